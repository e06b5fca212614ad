"""nginx in front of the application: keeps what the application marks public, and fingerprinted static files for long."""

import re

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, render
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

PATH = "deploy/cdn/nginx-cache.conf"


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """One file to include in the `http` block of nginx."""
    if "nginx" not in contract.infrastructure.cdn:
        return
    zone = re.sub(r"[^a-z0-9_]", "_", contract.infrastructure.redis.namespace)
    text = render(__file__, "nginx-cache.conf.j2", zone=zone, static=contract.infrastructure.static)
    entries = tuple(e.id for e in contract.entries if "http" in e.layers)
    draft.write(PATH, text, "nginx keeps what the application marks public.", entries)


target = Target(__name__, emit)
