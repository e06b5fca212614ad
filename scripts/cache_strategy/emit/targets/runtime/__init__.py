"""
Our own cache: the runtime's files as they are, the entries generated from the contract, and the edits that use them.

The package `<application>/caching/` is written whole; the application gets one import per file, a decorator per
entry, a call after a commit where the contract says write-through or tag, and what its framework needs to know (`wiring.py`).
"""

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import add_decorator, call_after_commit, replace_sql
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets._base import Target, render, require
from cache_strategy.emit.targets.runtime import in_django, in_fastapi, in_flask  # noqa: F401  (they register themselves)
from cache_strategy.emit.targets.runtime.code import (
    ALIAS,
    EntryCode,
    entry_code,
    finders_of,
    imports_for,
    statement_of,
)
from cache_strategy.emit.targets.runtime.joined import PARTS
from cache_strategy.emit.targets.runtime.wiring import ENTRIES, WIRINGS, Wiring, import_entries
from cache_strategy.model.contract import Contract, Entry, Invalidator
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence

FILES = Path(__file__).parent / "files"
INSTANCE = re.compile(r"\w*Cache\w*\(.*\)")
STATEMENTS = ("sql_doubts.py", "sql_reads.py", "statements.py")
RUNTIME = tuple(f"{name}.py" for name in PARTS)


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """Wires entry by entry; one that cannot be wired whole is left out whole."""
    if not contract.entries:
        return
    wiring = WIRINGS[contract.application.framework]
    wired: list[Entry] = []
    untouched = draft.snapshot()
    for entry in contract.entries:
        state = draft.snapshot()
        try:
            _wire(entry, wiring, contract, evidence, draft)
            wired.append(entry)
        except CacheStrategyError as error:
            draft.restore(state)
            draft.withhold(entry.id, str(error))
    if not wired:
        return
    codes = [entry_code(entry, contract.application.framework) for entry in wired]
    try:
        _write_package(wired, codes, wiring, contract, evidence, draft)
        wiring.write_application(codes, contract, evidence, draft)
    except CacheStrategyError as error:
        draft.restore(untouched)
        for entry in wired:
            draft.withhold(entry.id, str(error))
        return
    ids = tuple(entry.id for entry in wired)
    require("redis>=5.0", "The caches talk to Redis.", ids, contract, draft, beside=wiring.declared)


def _wire(entry: Entry, wiring: Wiring, contract: Contract, evidence: Evidence, draft: Draft) -> None:
    path, _, qualname = entry.target.rpartition(":")
    name = entry.id.replace("-", "_")
    reason = wiring.refusal(entry, contract, evidence)
    if reason:
        raise CannotEdit(f"{entry.target}: {reason}")
    if entry.kind == "view":
        session = contract.application.session
        if not session:
            raise CannotEdit(
                f"{entry.target}: no database session is known; name it under application.session."
            )
        edit = partial(
            replace_sql.apply,
            qualname=qualname,
            sql=entry.view_sql,
            expression=f"{ALIAS}.{name}.query({session})",
        )
        draft.edit(path, edit, f"{qualname} reads from the materialized view of {entry.id}.", (entry.id,))
    else:
        is_function = entry.kind == "function"
        wanted = [(f"{ALIAS}.{name}", ())] if is_function else wiring.decorators(entry, name, evidence)
        for decorator, below in wanted:
            edit = partial(add_decorator.apply, qualname=qualname, decorator=decorator, below=below)
            draft.edit(path, edit, f"{qualname} is kept by {entry.id}.", (entry.id,))
    import_entries(path, contract, (entry.id,), draft)
    for invalidator in entry.invalidated_by:
        if invalidator.how in ("write-through", "tag"):
            _wire_writer(entry, invalidator, contract, draft)


def _wire_writer(entry: Entry, invalidator: Invalidator, contract: Contract, draft: Draft) -> None:
    path, _, qualname = invalidator.writer.rpartition(":")
    statement = statement_of(entry, invalidator)
    what = "key" if invalidator.how == "write-through" else "tag"
    edit = partial(call_after_commit.apply, qualname=qualname, statement=statement)
    draft.edit(path, edit, f"{qualname} drops the {what} of {entry.id} after its commit.", (entry.id,))
    import_entries(path, contract, (entry.id,), draft)


def _write_package(
    wired: list[Entry],
    codes: list[EntryCode],
    wiring: Wiring,
    contract: Contract,
    evidence: Evidence,
    draft: Draft,
) -> None:
    folder = posixpath.join(contract.application.package_path, "caching")
    framework = contract.application.framework
    ids = tuple(e.id for e in wired)
    views = [c for c in codes if c.entry.kind == "view"]
    memoized = [c for c in codes if c.entry.emit == "flask-caching"]
    kept = [c.name for c in codes if c.keeps_statements and wiring.keeps]
    more = (
        *(STATEMENTS if kept else ()),
        *((f"{wiring.keeps}.py",) if kept else ()),
        *(("sql_views.py",) if views else ()),
    )
    for name in (*RUNTIME, *wiring.files, *more):
        draft.write(f"{folder}/{name}", (FILES / name).read_text(encoding="utf-8"), "The cache itself.", ids)
    draft.write(
        f"{folder}/__init__.py",
        '"""The caches of this application, made by cache-strategy from cache-strategy.yaml."""\n',
        "The package of the caches.",
        ids,
    )
    warmed = [c for c in codes if c.entry.warming]
    values: dict[str, Any] = {
        "contract": contract,
        "framework": framework,
        "codes": codes,
        "views": views,
        "memoized": memoized,
        "watched": _watched(wired, evidence),
        "columns": _columns(wired, evidence, bool(wiring.keeps)),
        "imports": imports_for(codes, framework),
        "warmed": warmed,
        "sees_all": all(e.kind == "endpoint" for e in wired)
        and not _keeps_by_itself(contract, evidence, draft),
        "kept_statements": kept,
        "keeps": wiring.keeps,
        "uses_any": any(c.entry.kind == "endpoint" and c.keeps for c in codes),
        **wiring.values(codes, contract, evidence),
    }
    draft.write(f"{folder}/entries.py", render(__file__, "entries.py.j2", **values), ENTRIES, ids)
    if warmed and framework == "flask":
        text = render(__file__, "warm.py.j2", targets=_warm_targets(warmed), **values)
        draft.write(f"{folder}/warm.py", text, "Fills entries before the first reader comes.", ids)


def _keeps_by_itself(contract: Contract, evidence: Evidence, draft: Draft) -> bool:
    """Whether the application keeps something by itself: where it answers from that, no statement is seen."""
    found = (
        [cache.partition(" ") for cache in evidence.application.existing_caches]
        if evidence.application
        else []
    )
    for place, _, what in found:
        path, _, line = place.rpartition(":")
        text = (draft.text(path) or "").splitlines()
        made = re.match(r"\s*(\w+)\s*=\s*\w+\(", text[int(line) - 1]) if INSTANCE.fullmatch(what) else None
        used = made and re.compile(rf"\b{made[1]}\.(?!init_app\b)\w|\b{made[1]}\[")
        root = draft.repo / contract.application.package_path
        if not used or any(
            used.search(draft.text(p.relative_to(draft.repo).as_posix()) or "")
            for p in root.rglob("*.py")
            if "caching" not in p.parts
        ):
            return True
    return False


def _columns(wired: list[Entry], evidence: Evidence, keeps: bool) -> list[str]:
    """The columns besides the primary keys by which entries know rows, and those by which their statements do."""
    named = {(d.table, d.column) for entry in wired for d in entry.depends_on if d.column}
    if keeps and any("statements" in entry.layers for entry in wired):
        used = {dependency.table for entry in wired for dependency in entry.depends_on}
        named |= {
            (table.name, column)
            for table in evidence.tables
            if table.name in used
            for column in table.parents
        }
    return sorted(f"{table}.{column}" for table, column in named.union(*map(finders_of, wired)))


def _watched(wired: list[Entry], evidence: Evidence) -> list[tuple[str, str | None]]:
    """Every table of every dependency, unless the contract has each of its writers invalidate by a call of its own."""
    key_of = {t.name: t.primary_key[0] if len(t.primary_key) == 1 else None for t in evidence.tables}
    by_hand: dict[str, bool] = {}
    for entry in wired:
        for dependency in entry.depends_on:
            hows = [i.how for i in entry.invalidated_by if dependency.table in i.tables]
            only_calls = bool(hows) and all(how != "event" for how in hows)
            by_hand[dependency.table] = by_hand.get(dependency.table, True) and only_calls
    for table, _ in (found for entry in wired for found in finders_of(entry)):
        by_hand[table] = False
    return [(table, key_of.get(table)) for table, hand in sorted(by_hand.items()) if not hand]


def _warm_targets(warmed: list[EntryCode]) -> list[tuple[EntryCode, str, str]]:
    """Each entry with the module and the function that fill it; a view needs neither."""
    result = []
    for code in warmed:
        path, _, qualname = code.entry.target.rpartition(":")
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        result.append((code, module, qualname))
    return result


target = Target(__name__, emit, order=10)
