"""Tests for the user's repository: what the patch promises of each entry, checked by the user's own pytest."""

import posixpath
import re

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, folders_above, render
from cache_strategy.emit.targets.runtime.code import (
    EntryCode,
    entry_code,
    finders_of,
    givers_of,
    imports_for,
    statement_of,
)
from cache_strategy.emit.targets.runtime.in_django import action_of
from cache_strategy.emit.targets.runtime.in_fastapi import awaited
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.evidence import Evidence, KeyPart

MARK = "Made by cache-strategy"
NAME = "test_caches.py"
FOLDERS = ("tests", "test")
SETTINGS = ("pytest.ini", "conftest.py", "pyproject.toml", "setup.cfg", "tox.ini", "Pipfile")


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """One file beside the tests that are there: for pytest, of a Django application for its own runner and for pytest."""
    left_out = {item.entry for item in draft.withheld}
    framework = contract.application.framework
    codes = [entry_code(entry, framework) for entry in contract.entries if entry.id not in left_out]
    if not codes:
        return
    folder = _folder_of(contract, draft)
    above = [posixpath.join(place, name) for place in folders_above(contract) for name in SETTINGS]
    settings = (*SETTINGS, *above, f"{folder}/conftest.py", *contract.application.requirements)
    has_pytest = any("pytest" in (draft.text(name) or "") for name in settings)
    if framework == "django" and not has_pytest and draft.text(f"{folder}/__init__.py") is None:
        folder = f"{contract.application.package_path}/caching"  # where its runner looks
    path = f"{folder}/{NAME}"
    there = draft.text(path)
    if not has_pytest and framework != "django":
        draft.withhold(
            "tests", "no pytest was found in this repository; the tests of the caches are for pytest."
        )
        return
    if there is not None and MARK not in there:
        draft.withhold("tests", f"{path}: is there and not ours; rename it to get the tests of the caches.")
        return
    template = f"django_{NAME}.j2" if framework == "django" else f"{NAME}.j2"
    text = render(__file__, template, **_values(contract, evidence, codes))
    draft.write(path, text, "What the caches promise, as tests.", tuple(code.entry.id for code in codes))


def _folder_of(contract: Contract, draft: Draft) -> str:
    """The folder of tests that the repository has, at its top or in its package; "tests" where it has none."""
    inside = (f"{contract.application.package_path}/{name}" for name in FOLDERS)
    above = [posixpath.join(place, name) for place in folders_above(contract) for name in FOLDERS]
    there = (name for name in (*above, *FOLDERS, *inside) if (draft.repo / name).is_dir())
    return next(there, posixpath.join(folders_above(contract)[0], FOLDERS[0]))


def _values(contract: Contract, evidence: Evidence, codes: list[EntryCode]) -> dict[str, object]:
    keeping = [code for code in codes if code.keeps]
    views = [code for code in codes if code.entry.kind == "view"]
    endpoints = [code for code in keeping if code.entry.kind == "endpoint"]
    package, framework = contract.application.package, contract.application.framework
    root = contract.application.package_path.removesuffix(package.replace(".", "/"))
    modules, names = imports_for(
        endpoints, framework
    )  # what the keys ask who asks: a test must stand in for it
    return {
        "package": f"{package}.caching",
        "is_fastapi": framework == "fastapi",
        "awaited": awaited(keeping, evidence) if framework == "fastapi" else (),
        "url_env": contract.infrastructure.redis.url_env,
        "keys": [(code.name, tuple(part.name for part in code.entry.key)) for code in keeping],
        "depends_on": [
            (code.name, d.table, d.row, *((d.column,) if framework == "django" else ()))
            for code in keeping
            for d in code.entry.depends_on
            if not _is_dropped_by_hand(code.entry, d.table)
        ],
        "views": tuple((code.entry.id, d.table) for code in views for d in code.entry.depends_on),
        "view_names": [code.name for code in views],
        "tags": [(code.name, tag) for code in keeping for tag in code.entry.tags],
        "key_parts": [(c.name, part.name, _source(part, c.entry)) for c in endpoints for part in c.entry.key],
        "finders": sorted({f"{t}_by_{c}" for code in endpoints for t, c in finders_of(code.entry)}),
        "personal": [c.name for c in endpoints if any(p.source in ("user", "session") for p in c.entry.key)],
        "paths": {code.name: code.key_parameters for code in endpoints if code.key_parameters},
        "givers": {code.name: given for code in endpoints if (given := givers_of(code.entry, framework))},
        "strangers": sorted({*(m.split(".")[0] for m in modules), *names} - {"request"}),
        "headers": [(c.name, c.cache_control, c.vary) for c in codes if "http" in c.entry.layers],
        "targets": [
            (*_place(c.entry.target, root), *_action(c.entry, contract, evidence), c.name)
            for c in codes
            if c.entry.kind != "view"
        ],
        "calls": [
            (*_place(invalidator.writer, root), statement_of(code.entry, invalidator))
            for code in codes
            for invalidator in code.entry.invalidated_by
            if invalidator.how in ("write-through", "tag")
        ],
    }


def _is_dropped_by_hand(entry: Entry, table: str) -> bool:
    """No event tells of the table where every one of its writers calls the entry itself."""
    hows = {i.how for i in entry.invalidated_by if table in i.tables}
    return bool(hows) and "event" not in hows


def _source(part: KeyPart, entry: Entry) -> str:
    """Where a request has a part; of a row's key where it has what names the row."""
    if part.source != "row":
        return part.source
    other = part.expression.partition("=")[2]
    return next(_source(each, entry) for each in entry.key if each.name == other)


def _action(entry: Entry, contract: Contract, evidence: Evidence) -> tuple[str, ...]:
    """What of a class of Django's views answers; "" of anything else there."""
    if contract.application.framework != "django":
        return ()
    return (action_of(entry, evidence) if entry.kind == "endpoint" else "",)


def _place(target: str, root: str) -> tuple[str, str]:
    """The module and the qualified name of a "path:qualname", from the folder in which the package lies."""
    path, _, qualname = target.removeprefix(root).rpartition(":")
    return re.sub(r"(/__init__)?\.py$", "", path).replace("/", "."), qualname


target = Target(__name__, emit, order=60)
