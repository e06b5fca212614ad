"""Tests for the user's repository: what the patch promises of each entry, checked by the user's own pytest."""

import re

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, render
from cache_strategy.emit.targets.runtime.code import EntryCode, entry_code, imports_for, statement_of
from cache_strategy.model.contract import Contract, Dependency, Entry
from cache_strategy.model.evidence import Evidence

MARK = "Made by cache-strategy"
NAME = "test_caches.py"
FOLDERS = ("tests", "test")
SETTINGS = ("pytest.ini", "conftest.py", "pyproject.toml", "setup.cfg", "tox.ini", "Pipfile")


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """One file beside the tests that are there; none where they are not pytest's."""
    left_out = {item.entry for item in draft.withheld}
    codes = [entry_code(entry) for entry in contract.entries if entry.id not in left_out]
    if not codes:
        return
    folder = _folder_of(contract, draft)
    path = f"{folder or FOLDERS[0]}/{NAME}"
    there = draft.text(path)
    if not _uses_pytest(contract, draft, folder):
        draft.withhold(
            "tests", "no pytest was found in this repository; the tests of the caches are for pytest."
        )
        return
    if there is not None and MARK not in there:
        draft.withhold("tests", f"{path}: is there and not ours; rename it to get the tests of the caches.")
        return
    text = render(__file__, f"{NAME}.j2", **_values(contract, codes))
    draft.write(path, text, "What the caches promise, as tests.", tuple(code.entry.id for code in codes))


def _folder_of(contract: Contract, draft: Draft) -> str:
    """The folder of tests that the repository has, at its top or in its package; "" where it has none."""
    inside = (f"{contract.application.package_path}/{name}" for name in FOLDERS)
    return next((name for name in (*FOLDERS, *inside) if (draft.repo / name).is_dir()), "")


def _uses_pytest(contract: Contract, draft: Draft, folder: str) -> bool:
    if folder and (draft.repo / folder / "conftest.py").exists():
        return True
    return any(
        "pytest" in (draft.text(name) or "") for name in (*SETTINGS, *contract.application.requirements)
    )


def _values(contract: Contract, codes: list[EntryCode]) -> dict[str, object]:
    keeping = [code for code in codes if code.keeps]
    endpoints = [code for code in keeping if code.entry.kind == "endpoint"]
    return {
        "package": f"{contract.application.package}.caching",
        "url_env": contract.infrastructure.redis.url_env,
        "keys": [(code.name, tuple(part.name for part in code.entry.key)) for code in keeping],
        "depends_on": [
            (code.name, dependency.table, dependency.row)
            for code in keeping
            for dependency in code.entry.depends_on
            if not _is_dropped_by_hand(code.entry, dependency)
        ],
        "views": tuple(
            (code.entry.id, dependency.table)
            for code in codes
            for dependency in code.entry.depends_on
            if code.entry.kind == "view"
        ),
        "view_names": [code.name for code in codes if code.entry.kind == "view"],
        "tags": [(code.name, tag) for code in keeping for tag in code.entry.tags],
        "key_parts": [(code.name, part.name, part.source) for code in endpoints for part in code.entry.key],
        "personal": [c.name for c in endpoints if any(p.source in ("user", "session") for p in c.entry.key)],
        "paths": {code.name: code.key_parameters for code in endpoints if code.key_parameters},
        "strangers": _strangers(endpoints),
        "headers": [(c.name, c.cache_control, c.vary) for c in codes if "http" in c.entry.layers],
        "targets": [(*_place(c.entry.target), c.name) for c in codes if c.entry.kind != "view"],
        "calls": [
            (*_place(invalidator.writer), statement_of(code.entry, invalidator))
            for code in codes
            for invalidator in code.entry.invalidated_by
            if invalidator.how in ("write-through", "tag")
        ],
    }


def _is_dropped_by_hand(entry: Entry, dependency: Dependency) -> bool:
    """No event tells of the table where every one of its writers calls the entry itself."""
    hows = {i.how for i in entry.invalidated_by if dependency.table in i.tables}
    return bool(hows) and "event" not in hows


def _strangers(endpoints: list[EntryCode]) -> list[str]:
    """What the keys ask who asks: modules, and names of flask, that a test must stand in for."""
    modules, names = imports_for(endpoints)
    return sorted({*(module.split(".")[0] for module in modules), *names} - {"request"})


def _place(target: str) -> tuple[str, str]:
    """The module and the qualified name of a "path:qualname"."""
    path, _, qualname = target.rpartition(":")
    return re.sub(r"(/__init__)?\.py$", "", path).replace("/", "."), qualname


target = Target(__name__, emit, order=60)
