"""Flask: a blueprint, a call in the factory, decorators below routes and guards."""

from functools import partial
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import init_application
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets.runtime.code import ALIAS, EntryCode
from cache_strategy.emit.targets.runtime.wiring import Wiring, endpoint_of, import_entries, path_of
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence

ROUTES = ("route", "get", "post", "put", "patch", "delete")


class InFlask(Wiring):
    files = ("sql_text.py", "sqlalchemy_sql.py", "sqlalchemy_events.py", "flask_http.py")
    keeps = "sqlalchemy_statements"
    declared = "flask"

    def decorators(self, entry: Entry, name: str, evidence: Evidence) -> list[tuple[str, tuple[str, ...]]]:
        """The headers go above the cache: they see what it serves."""
        below = _route_and_guards(entry, evidence)
        wanted = []
        if "http" in entry.layers:
            wanted.append((f"{ALIAS}.{name}_http", below))
        if set(entry.layers) & {"memory", "redis"}:
            wanted.append((f"{ALIAS}.{name}_endpoint", (*below, f"{ALIAS}.{name}_http")))
        return wanted

    def values(self, codes: list[EntryCode], contract: Contract, evidence: Evidence) -> dict[str, Any]:
        names = ["metrics_blueprint"]
        if any("http" in c.entry.layers for c in codes):
            names.append("http_headers")
        if any(c.entry.kind == "endpoint" and c.keeps for c in codes):
            names.append("cached_endpoint")
        return {"http_names": sorted(names), "actions": {}}

    def write_application(
        self, codes: list[EntryCode], contract: Contract, evidence: Evidence, draft: Draft
    ) -> None:
        application, ids = contract.application, tuple(code.entry.id for code in codes)
        place = application.factory or application.instance
        if not place:
            draft.withhold(
                "metrics",
                f"no create_app() and no module-level app is known; call caching.entries.init_app(app) by hand ({application.package}).",
            )
            return
        module, _, name = place.partition(":")
        path = path_of(module, application.package, application.package_path, draft)
        argument = {"factory": name} if application.factory else {"instance": name}
        edit = partial(init_application.apply, call=f"{ALIAS}.init_app", **argument)
        why = f"{contract.infrastructure.metrics_route} and the commands of the caches."
        try:
            draft.edit(path, edit, why, ids)
            import_entries(path, contract, ids, draft)
        except CacheStrategyError as error:
            draft.withhold("metrics", str(error))


def _route_and_guards(entry: Entry, evidence: Evidence) -> tuple[str, ...]:
    own, function = endpoint_of(entry, evidence)
    if function is None:
        raise CannotEdit(f"{entry.target}: is no function any more; make a new contract.")
    guards = {g for e in own for g in e.guards}
    heads = guards | {g.split("(")[0] for g in guards}
    names = [d.split("(")[0].lstrip("@").strip() for d in function.decorators]
    return tuple(
        name
        for name, decorator in zip(names, function.decorators, strict=True)
        if name.rpartition(".")[2] in ROUTES or name in heads or decorator in guards
    )


wiring = InFlask("flask")
