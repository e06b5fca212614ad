"""Flask-Caching instead of our own cache, for functions of applications that speak it already."""

import posixpath
from pathlib import Path

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, require
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.evidence import Evidence

FILE = Path(__file__).parent / "files" / "flask_caching_entry.py"
REQUIREMENT = "Flask-Caching>=2.0"


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """The module that the generated entries import, the requirement, and what this target cannot guarantee."""
    left_out = {item.entry for item in draft.withheld}
    # endpoints and views are ours whatever `emit` says
    ours = (e for e in contract.entries if e.emit == "flask-caching" and e.kind == "function")
    entries = [entry for entry in ours if entry.id not in left_out]
    if not entries:
        return
    ids = tuple(entry.id for entry in entries)
    path = posixpath.join(contract.application.package_path, "caching", FILE.name)
    draft.write(path, FILE.read_text(encoding="utf-8"), "Functions kept by Flask-Caching.", ids)
    require(REQUIREMENT, "The entries of Flask-Caching.", ids, contract, draft)
    for entry in entries:
        draft.limits[entry.id] = limits_of(entry)


def limits_of(entry: Entry) -> tuple[str, ...]:
    """The guarantees of the runtime that an entry of Flask-Caching lacks, and what happens instead."""
    limits = [
        "one computation per expiry in all (the threads of a process wait for one of them; each process computes once)",
        f"an old value while the next is computed (staleness_bound_seconds of {entry.staleness_bound_seconds} is not used)",
    ]
    if "memory" in entry.layers:
        limits.append("the memory of the process (Flask-Caching asks Redis at each hit)")
    return tuple(limits)


target = Target(__name__, emit)
