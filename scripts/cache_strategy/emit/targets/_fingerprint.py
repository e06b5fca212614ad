"""Which static files may be kept for a year: those whose name carries a fingerprint of their content."""

import re


def fingerprinted_pattern(prefix: str) -> str:
    """
    A pattern, for PCRE and JavaScript, of the paths of fingerprinted files under a prefix ("/static/").

    A fingerprint is eight hexadecimal digits or more before the last dot (`app.3f2a9c1b.js`, `app-3f2a9c1b.css`), unless
    they could be a date.
    """
    place = "/" + prefix.strip("/") + "/" if prefix.strip("/") else "/"
    return rf"^{re.escape(place)}.+[.-](?!(?:19|20)[0-9]{{6}}\.)[0-9a-f]{{8,}}\.[a-z0-9]+$"
