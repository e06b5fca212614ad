"""FastAPI with SQLAlchemy: decorators next to endpoints, a middleware and an address for the metrics; a cache for coroutines beside the plain one."""

import posixpath
from functools import partial
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import init_application
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets.runtime.code import ALIAS, EntryCode
from cache_strategy.emit.targets.runtime.joined import joined
from cache_strategy.emit.targets.runtime.wiring import Wiring, import_entries, path_of
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.evidence import Evidence

ORM = "sqlalchemy"


class InFastAPI(Wiring):
    files = (
        "sql_text.py",
        "sqlalchemy_sql.py",
        "sqlalchemy_events.py",
        "asyncio_events.py",
        "fastapi_http.py",
    )
    declared = "fastapi"

    def refusal(self, entry: Entry, contract: Contract, evidence: Evidence) -> str:
        if set(evidence.orms) != {ORM}:
            found = ", ".join(sorted(set(evidence.orms) - {ORM})) or "no ORM that is known"
            return f"its database is reached through {found}; only SQLAlchemy tells of every write and its commit."
        if entry.kind == "view":
            return "materialized views are read through plain sessions of Flask applications only."
        if entry.emit != "runtime":
            return f"{entry.emit} is for applications of Flask; write emit: runtime."
        if any(i.how in ("write-through", "tag") for i in entry.invalidated_by):
            return "an invalidation by hand would have to be awaited; write how: event, which hears of every commit."
        return self.needs_columns(entry)

    def values(self, codes: list[EntryCode], contract: Contract, evidence: Evidence) -> dict[str, Any]:
        names = ["RequestScope", "add_metrics"]
        endpoints = [code for code in codes if code.entry.kind == "endpoint"]
        if any("http" in code.entry.layers for code in endpoints):
            names.append("http_headers")
        if any(code.keeps for code in endpoints):
            names.append("cached_endpoint")
        return {"http_names": sorted(names), "actions": {}, "awaited": awaited(codes, evidence)}

    def write_application(
        self, codes: list[EntryCode], contract: Contract, evidence: Evidence, draft: Draft
    ) -> None:
        application, ids = contract.application, tuple(code.entry.id for code in codes)
        place = application.factory or application.instance
        if not place:
            raise CannotEdit(
                "no function that makes the application and no module-level FastAPI() is known; name it under application.factory or application.instance."
            )
        module, _, name = place.partition(":")
        path = path_of(module, application.package, application.package_path, draft)
        argument = {"factory": name} if application.factory else {"instance": name}
        edit = partial(init_application.apply, call=f"{ALIAS}.init_app", **argument)
        why = f"What a request opens is known throughout it; {contract.infrastructure.metrics_route}."
        draft.edit(path, edit, why, ids)
        import_entries(path, contract, ids, draft)
        if awaited(codes, evidence):
            file = posixpath.join(application.package_path, "caching", "async_runtime.py")
            draft.write(file, joined(is_async=True), "The cache itself, for coroutines.", ids)
        for code in codes:
            if code.entry.warming:
                reason = "FastAPI has no commands: call its function once after a deployment, in a process of the application."
                draft.withhold(f"{code.entry.id} (warming)", reason)


def awaited(codes: list[EntryCode], evidence: Evidence) -> tuple[str, ...]:
    """The names of entries whose functions are coroutines."""
    waiting = {f"{f.path}:{f.qualname}" for f in evidence.functions if f.is_async}
    return tuple(code.name for code in codes if code.entry.target in waiting)


wiring = InFastAPI("fastapi")
