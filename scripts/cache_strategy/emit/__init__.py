"""`cache-strategy emit`: contract to changes. Nothing is written here; `apply.py` does that."""

from dataclasses import replace
from pathlib import Path

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import TARGETS
from cache_strategy.emit.targets.runtime.wiring import WIRINGS
from cache_strategy.model.change import ChangeSet, Withheld
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence
from cache_strategy.siblings import load_siblings

WIRED = ("flask", "django", "fastapi")
"""The frameworks whose applications can be edited."""


def emit(contract: Contract, evidence: Evidence, repo: Path) -> ChangeSet:
    """
    Everything that the contract asks for, as changes to the repository as it is now. A second run gives none.

    Entries that cannot be wired are left out whole, with the reason in `withheld`.

    Raises:
        CacheStrategyError: a file of the contract is gone, or cannot be read.
    """
    framework = contract.application.framework
    if framework not in WIRED:
        reason = f"this is a {framework} application; emit wires {', '.join(WIRED)} so far."
        return ChangeSet(
            changes=(), withheld=tuple(Withheld(entry=e.id, reason=reason) for e in contract.entries)
        )
    load_siblings("cache_strategy.emit.targets")
    draft = Draft(repo)
    contract = WIRINGS[framework].placed(contract, draft)
    for target in sorted(TARGETS.values(), key=lambda t: (t.order, t.name)):
        left_out = {item.entry for item in draft.withheld}
        wired = tuple(entry for entry in contract.entries if entry.id not in left_out)
        if wired or not contract.entries:
            target.emit(replace(contract, entries=wired), evidence, draft)
    return ChangeSet(changes=draft.changes(), withheld=tuple(draft.withheld), limits=draft.limits)


def runtime_source(is_async: bool = False) -> str:
    """The cache module alone, as `emit --runtime FILE` writes it."""
    from cache_strategy.emit.targets.runtime.joined import joined

    return joined(is_async)
