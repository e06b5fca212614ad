"""A Cloudflare Worker with the same rules as the nginx target."""

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, render
from cache_strategy.emit.targets._fingerprint import fingerprinted_pattern
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

PATH = "deploy/cdn/cloudflare-worker.mjs"


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """One module: a Worker on the routes of the application."""
    if "cloudflare" not in contract.infrastructure.cdn:
        return
    static = contract.infrastructure.static
    text = render(
        __file__,
        "cloudflare-worker.mjs.j2",
        static=static,
        fingerprinted=fingerprinted_pattern(static.prefix).replace("/", "\\/") if static else "",
    )
    entries = tuple(e.id for e in contract.entries if "http" in e.layers)
    draft.write(PATH, text, "The CDN keeps what the application marks public.", entries)


target = Target(__name__, emit)
