"""
Our own cache: the runtime's files as they are, the entries generated from the contract, and the edits that use them.

The package `<application>/caching/` is written whole; the application gets one import per file, a decorator per
entry, a call after a commit where the contract says write-through or tag, and one call in its factory.
"""

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import (
    add_decorator,
    add_import,
    call_after_commit,
    init_application,
    replace_sql,
)
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets._base import Target, render, require
from cache_strategy.emit.targets.runtime.code import ALIAS, EntryCode, entry_code, imports_for, statement_of
from cache_strategy.model.contract import Contract, Entry, Invalidator
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence

FILES = Path(__file__).parent / "files"
RUNTIME = ("values.py", "wire.py", "link.py", "watching.py", "runtime.py")
ENTRIES = "The entries of the contract."
ROUTES = ("route", "get", "post", "put", "patch", "delete")
RELATIVE = re.compile(r"^from \.", re.M)


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """Wires entry by entry; one that cannot be wired whole is left out whole."""
    if not contract.entries:
        return
    wired: list[Entry] = []
    for entry in contract.entries:
        state = draft.snapshot()
        try:
            _wire(entry, contract, evidence, draft)
            wired.append(entry)
        except CacheStrategyError as error:
            draft.restore(state)
            draft.withhold(entry.id, str(error))
    if not wired:
        return
    _write_package(wired, contract, evidence, draft)
    _write_application(wired, contract, draft)


def _wire(entry: Entry, contract: Contract, evidence: Evidence, draft: Draft) -> None:
    path, _, qualname = entry.target.rpartition(":")
    name = entry.id.replace("-", "_")
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
        for decorator, below in _decorators(entry, name, evidence):
            edit = partial(add_decorator.apply, qualname=qualname, decorator=decorator, below=below)
            draft.edit(path, edit, f"{qualname} is kept by {entry.id}.", (entry.id,))
    _import_entries(path, contract, (entry.id,), draft)
    for invalidator in entry.invalidated_by:
        if invalidator.how in ("write-through", "tag"):
            _wire_writer(entry, invalidator, contract, draft)


def _decorators(entry: Entry, name: str, evidence: Evidence) -> list[tuple[str, tuple[str, ...]]]:
    """Each decorator with the ones it must stand under. The headers go above the cache: they see what it serves."""
    if entry.kind == "function":
        return [(f"{ALIAS}.{name}", ())]
    below = _route_and_guards(entry, evidence)
    wanted = []
    if "http" in entry.layers:
        wanted.append((f"{ALIAS}.{name}_http", below))
    if set(entry.layers) & {"memory", "redis"}:
        wanted.append((f"{ALIAS}.{name}_endpoint", (*below, f"{ALIAS}.{name}_http")))
    return wanted


def _route_and_guards(entry: Entry, evidence: Evidence) -> tuple[str, ...]:
    own = [e for e in evidence.endpoints if f"{e.path}:{e.qualname}" == entry.target]
    function = next((f for f in evidence.functions if f"{f.path}:{f.qualname}" == entry.target), None)
    if not own or function is None:
        raise CannotEdit(
            f"{entry.target}: is not an endpoint of this application any more; make a new contract."
        )
    guards = {g for e in own for g in e.guards}
    heads = guards | {g.split("(")[0] for g in guards}
    names = [d.split("(")[0].lstrip("@").strip() for d in function.decorators]
    return tuple(
        name
        for name, decorator in zip(names, function.decorators, strict=True)
        if name.rpartition(".")[2] in ROUTES or name in heads or decorator in guards
    )


def _wire_writer(entry: Entry, invalidator: Invalidator, contract: Contract, draft: Draft) -> None:
    path, _, qualname = invalidator.writer.rpartition(":")
    statement = statement_of(entry, invalidator)
    what = "key" if invalidator.how == "write-through" else "tag"
    edit = partial(call_after_commit.apply, qualname=qualname, statement=statement)
    draft.edit(path, edit, f"{qualname} drops the {what} of {entry.id} after its commit.", (entry.id,))
    _import_entries(path, contract, (entry.id,), draft)


def _import_entries(path: str, contract: Contract, ids: tuple[str, ...], draft: Draft) -> None:
    """The import in the style of the file: relative where its imports of the package are."""
    package, root = contract.application.package, contract.application.package_path
    module, source, folder = f"{package}.caching", draft.text(path) or "", posixpath.dirname(path)
    is_inside = (folder + "/").startswith(root.rstrip("/") + "/")
    is_absolute = re.search(rf"^from {re.escape(package)}\b", source, re.M)
    if is_inside and RELATIVE.search(source) and not is_absolute:
        depth = 0 if folder == root else len(posixpath.relpath(folder, root).split("/"))
        module = "." * (depth + 1) + "caching"
    edit = partial(add_import.apply, module=module, name="entries", alias=ALIAS)
    draft.edit(path, edit, ENTRIES, ids)


def _write_package(wired: list[Entry], contract: Contract, evidence: Evidence, draft: Draft) -> None:
    folder = posixpath.join(contract.application.package_path, "caching")
    ids = tuple(e.id for e in wired)
    codes = [entry_code(entry) for entry in wired]
    views = [c for c in codes if c.entry.kind == "view"]
    memoized = [c for c in codes if c.entry.emit == "flask-caching"]
    names = [*RUNTIME, "sql_text.py", "sqlalchemy_events.py", "flask_http.py"] + (["sql_views.py"] if views else [])
    for name in names:
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
        "codes": codes,
        "views": views,
        "memoized": memoized,
        "watched": _watched(wired, evidence),
        "imports": imports_for(codes),
        "warmed": warmed,
        "http_names": _http_names(codes),
        "uses_any": any(c.entry.kind == "endpoint" and c.keeps for c in codes),
    }
    draft.write(f"{folder}/entries.py", render(__file__, "entries.py.j2", **values), ENTRIES, ids)
    if warmed:
        text = render(__file__, "warm.py.j2", targets=_warm_targets(warmed), **values)
        draft.write(f"{folder}/warm.py", text, "Fills entries before the first reader comes.", ids)


def _http_names(codes: list[EntryCode]) -> list[str]:
    names = ["metrics_blueprint"]
    if any("http" in c.entry.layers for c in codes):
        names.append("http_headers")
    if any(c.entry.kind == "endpoint" and c.keeps for c in codes):
        names.append("cached_endpoint")
    return sorted(names)


def _watched(wired: list[Entry], evidence: Evidence) -> list[tuple[str, str | None]]:
    """Every table of every dependency, unless the contract has each of its writers invalidate by a call of its own."""
    key_of = {t.name: t.primary_key[0] if len(t.primary_key) == 1 else None for t in evidence.tables}
    by_hand: dict[str, bool] = {}
    for entry in wired:
        for dependency in entry.depends_on:
            hows = [i.how for i in entry.invalidated_by if dependency.table in i.tables]
            only_calls = bool(hows) and all(how != "event" for how in hows)
            by_hand[dependency.table] = by_hand.get(dependency.table, True) and only_calls
    return [(table, key_of.get(table)) for table, hand in sorted(by_hand.items()) if not hand]


def _warm_targets(warmed: list[EntryCode]) -> list[tuple[EntryCode, str, str]]:
    """Each entry with the module and the function that fill it; a view needs neither."""
    result = []
    for code in warmed:
        path, _, qualname = code.entry.target.rpartition(":")
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        result.append((code, module, qualname))
    return result


def _write_application(wired: list[Entry], contract: Contract, draft: Draft) -> None:
    application, ids = contract.application, tuple(e.id for e in wired)
    place = application.factory or application.instance
    if not place:
        draft.withhold(
            "metrics",
            f"no create_app() and no module-level app is known; call caching.entries.init_app(app) by hand ({application.package}).",
        )
    else:
        module, _, name = place.partition(":")
        path = _path_of(module, application.package, application.package_path, draft)
        argument = {"factory": name} if application.factory else {"instance": name}
        edit = partial(init_application.apply, call=f"{ALIAS}.init_app", **argument)
        why = f"{contract.infrastructure.metrics_route} and the commands of the caches."
        try:
            draft.edit(path, edit, why, ids)
            _import_entries(path, contract, ids, draft)
        except CacheStrategyError as error:
            draft.withhold("metrics", str(error))
    require("redis>=5.0", "The caches talk to Redis.", ids, contract, draft)


def _path_of(module: str, package: str, package_path: str, draft: Draft) -> str:
    """The file of a module, from where the main package lies."""
    root = package_path.removesuffix(package.replace(".", "/")).rstrip("/")
    stem = posixpath.join(root, module.replace(".", "/"))
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        if draft.text(path) is not None:
            return path
    raise CacheStrategyError(
        f"{module}: has no file at {stem}.py; correct application.factory in the contract."
    )


target = Target(__name__, emit, order=10)
