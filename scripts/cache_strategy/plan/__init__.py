"""`cache-strategy plan`: evidence to contract. Pure functions, one decision per file."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cache_strategy.model.contract import (
    Contract,
    ContractApplication,
    ContractRejection,
    Entry,
    Http,
    Infrastructure,
    Redis,
    StaticAssets,
)
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Application, Candidate, Evidence, Layer
from cache_strategy.model.forecast import Forecast
from cache_strategy.plan.benefit import Saving, saving_of
from cache_strategy.plan.candidates import MOST_ENTRIES, in_order, reason_against
from cache_strategy.plan.invalidation import (
    all_writers,
    choose_dependencies,
    choose_invalidators,
    writers_of,
)
from cache_strategy.plan.key import entry_id_of
from cache_strategy.plan.layer import choose_layers
from cache_strategy.plan.surroundings import Surroundings
from cache_strategy.plan.ttl import data_kind_of, with_foretold_ttl
from cache_strategy.plan.view import view_key_of
from cache_strategy.plan.warming import choose_warming


@dataclass
class _Draft:
    entries: list[Entry] = field(default_factory=list)
    rejected: dict[str, ContractRejection] = field(default_factory=dict)
    covered: dict[str, set[str]] = field(default_factory=dict)
    """Per endpoint id the tables that an entry below it already holds."""

    def reject(self, target: str, reason: str) -> None:
        self.rejected.setdefault(target, ContractRejection(target=target, reason=reason))

    def add(self, entry: Entry, candidate: Candidate) -> None:
        self.entries.append(entry)
        for endpoint in candidate.endpoints:
            self.covered.setdefault(endpoint, set()).update(candidate.reads)

    def hold(self, candidate: Candidate, combine: Callable[..., set[str]]) -> bool:
        """Whether the entries on the way, of one endpoint or of each, hold what a candidate reads."""
        held = [self.covered.get(endpoint, set()) for endpoint in candidate.endpoints]
        return any(held) and set(candidate.reads) <= combine(*held)


def plan(evidence: Evidence, forecast: Forecast | None = None) -> Contract:
    """
    A contract for everything that is worth a cache and safe to keep.

    Raises:
        CacheStrategyError: the evidence names no web application.
    """
    application = evidence.application
    if application is None or not evidence.frameworks:
        raise CacheStrategyError(
            f"{evidence.repo}: no web application was found, so there is nothing to plan; an import of flask, django or "
            "fastapi was looked for. Name the folder that holds it: cache-strategy run PATH"
        )
    draft = _Draft()
    around = Surroundings(evidence)
    savings = {candidate.rank: saving_of(candidate, evidence) for candidate in evidence.candidates}
    for candidate in in_order(evidence, savings):
        _consider(candidate, draft, around, savings[candidate.rank])
    for rejected in evidence.rejected:
        draft.reject(f"{rejected.path}:{rejected.qualname}", rejected.reason)
    writers = all_writers(draft.entries)
    entries = tuple(replace(e, invalidated_by=writers_of(e.depends_on, writers)) for e in draft.entries)
    entries = tuple(with_foretold_ttl(entry, forecast) for entry in entries)
    return Contract(
        application=_application(application, evidence),
        infrastructure=_infrastructure(application, evidence, forecast),
        entries=entries,
        rejected=tuple(draft.rejected.values()),
    )


def _consider(candidate: Candidate, draft: _Draft, around: Surroundings, saving: Saving | None) -> None:
    target = f"{candidate.path}:{candidate.qualname}"
    if candidate.kind == "endpoint" and any(
        e.kind == "endpoint" and e.target == target for e in draft.entries
    ):
        return  # a second route of the same function: its decorator serves both
    reason = reason_against(candidate) or around.reason_against(candidate)
    is_endpoint = candidate.kind == "endpoint"
    covered = is_endpoint and draft.hold(candidate, set.union)
    layers = choose_layers(
        candidate,
        data_kind_of(candidate),
        covered,
        around.is_personal(candidate),
        around.framework != "fastapi",
    )
    if reason is None and len(draft.entries) >= MOST_ENTRIES:
        reason = (
            f"ranks below the {MOST_ENTRIES} entries that one contract proposes; plan again when these are in"
        )
    if reason is None and not layers:
        reason = "all that it reads is kept by the entries below it, and its answer is private"
    if reason is None and candidate.kind == "function" and draft.hold(candidate, set.intersection):
        reason = "another entry on the way to it already holds what it reads"
    if reason is None and saving is not None:
        reason = saving.reason_against
        candidate = replace(candidate, because=(*candidate.because, saving.because))
    if reason is not None:
        draft.reject(target, reason)
    else:
        draft.add(_entry(candidate, target, layers, {entry.id for entry in draft.entries}), candidate)


def _entry(candidate: Candidate, target: str, layers: tuple[Layer, ...], taken: set[str]) -> Entry:
    kind = data_kind_of(candidate)
    is_view = candidate.kind == "query"
    shared = candidate.kind == "endpoint" and "http" in layers
    return Entry(
        id=entry_id_of(candidate, taken),
        target=target,
        kind="view" if is_view else "endpoint" if candidate.kind == "endpoint" else "function",
        layers=layers,
        key=() if is_view else candidate.key,
        ttl_seconds=kind.ttl_seconds,
        data=kind.name,
        depends_on=choose_dependencies(candidate),
        invalidated_by=choose_invalidators(candidate),
        because=candidate.because,
        warming=choose_warming(candidate, layers),
        http=Http() if shared else None,
        view_sql=_tidy(candidate.sql) if is_view else "",
        view_key=view_key_of(candidate.sql) if is_view else (),
        note=_note(candidate),
    )


def _note(candidate: Candidate) -> str:
    if not candidate.more_writers:
        return ""
    return f"{candidate.more_writers:,} more writers of its tables are not listed; the session's events see them all"


def _tidy(sql: str) -> str:
    lines = [line.strip() for line in sql.strip().rstrip(";").splitlines()]
    return "\n".join(line for line in lines if line)


def _application(application: Application, evidence: Evidence) -> ContractApplication:
    return ContractApplication(
        framework=evidence.frameworks[0],
        package=application.package,
        package_path=application.package_path,
        factory=application.factory,
        instance=application.instance,
        database=application.database,
        session=application.session,
        requirements=application.requirements,
    )


def _infrastructure(
    application: Application, evidence: Evidence, forecast: Forecast | None
) -> Infrastructure:
    has_static = any(c.kind == "static" for c in evidence.candidates)
    known = [row.memory_bytes for row in forecast.entries if row.memory_bytes] if forecast else []
    redis = Redis(namespace=re.sub(r"[^a-z0-9]+", "-", application.package.lower()).strip("-") or "app")
    if forecast and forecast.redis:
        megabytes = max(64, -(-forecast.redis.maxmemory_bytes // 2**20))
        redis = replace(
            redis, maxmemory_mb=megabytes, policy=forecast.redis.policy, maxmemory_source="derived"
        )
    elif known:  # twice the forecast: Redis needs room for keys, versions and fragmentation (assumed)
        redis = replace(redis, maxmemory_mb=max(64, 2 * sum(known) // 2**20), maxmemory_source="derived")
    return Infrastructure(
        redis=redis,
        cdn=("nginx",) if has_static else (),
        static=StaticAssets() if has_static else None,
    )
