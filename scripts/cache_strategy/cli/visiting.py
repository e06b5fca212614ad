"""What visitors ask the user's server for, from the command line of `verify`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cache_strategy.model.errors import CacheStrategyError

if TYPE_CHECKING:
    from cache_strategy.verify import Tour

PAGES_AT_MOST = 300
"""Each is asked for twice by every visitor in three runs (assumed)."""


def tour_of(pages: Path | None, url: str, headers: Sequence[str]) -> "Tour | None":
    """
    The tour that --pages, --url and --as describe; None without --pages.

    Raises:
        CacheStrategyError: no such file, no page in it, no address, no header.
    """
    from cache_strategy.verify import Tour, pages_in

    if pages is None:
        if headers:
            raise CacheStrategyError("--as: there is nothing to ask for; name the pages: --pages FILE.")
        return None
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise CacheStrategyError(f"--url {url}: is no address of a server; write http://HOST:PORT.")
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip().replace("-", "").isalnum() or not value.strip().isprintable():
            raise CacheStrategyError('--as: is no header; write "Cookie: session=…" or "Authorization: …".')
    try:
        with pages.open(encoding="utf-8", errors="replace") as lines:
            paths, unread = pages_in(lines, PAGES_AT_MOST)
    except OSError as error:
        raise CacheStrategyError(
            f"{pages}: cannot be read ({error.strerror}); name an access log or a list of paths."
        ) from error
    if not paths:
        raise CacheStrategyError(
            f"{pages}: names no page; write one path a line (/products/1), or name an access log."
        )
    if unread:
        print(f"{pages}: {unread} lines name no page that GET asks for and were left out.", file=sys.stderr)
    return Tour(url=url, paths=paths, headers=tuple(headers))
