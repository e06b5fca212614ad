"""
CS205 long-lived-document

What it does
    Flags documents and service workers that browsers may keep for more than a day (expires, max-age, immutable) though
    their names stay when their contents change: in nginx and in the _headers file of a static site.

Why is this bad
    Whoever has been there sees the old page, with links to files that are gone, and nothing on the server can change that.

Example
    location / {
        root /srv/site;
        try_files $uri /index.html;
        expires 1y;
    }

Use instead
    location / {
        root /srv/site;
        try_files $uri /index.html;
        expires -1;
    }
    location /assets/ {
        root /srv/site;
        expires 1y;
    }

Known problems
    A place whose pages never change is flagged: allow the line.

Source
    https://www.rfc-editor.org/rfc/rfc8246; 4 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._config import at, is_static, seconds_of
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(__name__, code="CS205", severity="warning", keywords=("expires ", "max-age", "immutable"))

_DAY = 86400
_DOCUMENT = regex(
    r"^=? ?/(?:index\.html?)?$|\\?\.html?\b|\b(?:service[-_]?worker|sw)\\?\.js|manifest\.json|\\?\.webmanifest"
)
_EVERYTHING = regex(r"^/(?:\*|index\.html)?$|\.html$|^/(?:service-worker|sw)\.js$")
_FIX = "Let the document be asked for each time (no-cache) and keep the files with a hash in their names for a year."


@rule.config("nginx")
def visit_nginx(file: "ConfigFile") -> "Iterator[Finding]":
    for location in file.root.all("location"):
        if not _DOCUMENT.search(location.value) or is_static(location.parent or location):
            continue
        serves_pages = location.own("try_files", "index") or location.value not in ("/", "= /")
        for node in location.own("expires", "add_header") if serves_pages else ():
            text = node.value.removeprefix("modified ")
            kept = seconds_of(text) if node.key == "expires" else _max_age(text)
            if kept > _DAY:
                message = f"{node.head} for {location.value}: an old document stays in browsers."
                yield rule.finding(at(node), message, fix=_FIX)


@rule.config("headers")
def visit_headers(file: "ConfigFile") -> "Iterator[Finding]":
    for place in file.root.children:
        for node in place.children if _EVERYTHING.search(place.head) else ():
            if _max_age(node.head) > _DAY and not patterns.match(
                r"(?:cdn|cloudflare-cdn)-", node.head, patterns.I
            ):
                yield rule.finding(
                    at(node), f"{node.head} for {place.head}: an old document stays in browsers.", fix=_FIX
                )


def _max_age(text: str) -> int:
    """The time that browsers may keep an answer with this header, in seconds."""
    if not patterns.search(r"cache-control", text, patterns.I) or patterns.search(
        r"no-cache|no-store|must-revalidate", text
    ):
        return 0
    found = patterns.search(r"(?<!s-)max-?age=(\d+)", text)
    return int(found[1]) if found else 0
