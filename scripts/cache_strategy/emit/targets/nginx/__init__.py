"""nginx in front of the application: keeps what the application marks public, and fingerprinted static files for long."""

import re

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, render
from cache_strategy.emit.targets._fingerprint import fingerprinted_pattern
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

PATH = "deploy/cdn/nginx-cache.conf"


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """One file to include in the `http` block of nginx."""
    if "nginx" not in contract.infrastructure.cdn:
        return
    static = contract.infrastructure.static
    text = render(
        __file__,
        "nginx-cache.conf.j2",
        zone=zone_of(contract.infrastructure.redis.namespace),
        static=static,
        # In a quoted string of nginx, a quote ends it and a backslash stays before anything else.
        fingerprinted=fingerprinted_pattern(static.prefix).replace('"', '\\"') if static else "",
    )
    entries = tuple(e.id for e in contract.entries if "http" in e.layers)
    draft.write(PATH, text, "nginx keeps what the application marks public.", entries)


def zone_of(namespace: str) -> str:
    """The namespace as a word that may begin the name of a variable: "$1…" would be a group of a pattern."""
    word = re.sub(r"[^a-z0-9_]", "_", namespace.lower())
    return word if re.match(r"[a-z]", word) else f"cache_{word}"


target = Target(__name__, emit)
