"""What the report says, before it is Markdown or HTML."""

from collections import Counter
from dataclasses import dataclass

from cache_strategy.model.change import ChangeSet
from cache_strategy.model.contract import Contract, Entry, endpoints_of
from cache_strategy.model.evidence import UNKNOWN_TABLE, Evidence, Measurement
from cache_strategy.model.forecast import Forecast
from cache_strategy.model.verdict import Verdict
from cache_strategy.report import figures
from cache_strategy.report.compared import NAMES as COMPARED
from cache_strategy.report.compared import certainty, compared_lines
from cache_strategy.report.entries import WAYS, ReportEntry, hit_rate_of, report_entry, used_ways
from cache_strategy.report.figures import Figure, Row
from cache_strategy.report.graphs import STYLE, Graph, graphs_of
from cache_strategy.report.measured import Measured, measured_of
from cache_strategy.report.picture import layers_picture, writers_picture

MOST_REJECTED = 200
"""Lines that a reader may still look through; the rest is counted and stands in the evidence."""


@dataclass(frozen=True, kw_only=True)
class Impact:
    """One figure of one entry before and after, with the spread where there is one."""

    entry: str
    name: str
    before: str
    after: str
    source: str


@dataclass(frozen=True, kw_only=True)
class PatchedFile:
    """A file that emit would write or edit."""

    path: str
    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Something to look at when the caches run, and when to worry."""

    what: str
    where: str
    worry: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the templates need."""

    repo: str
    commit: str
    extent: str
    summary: tuple[Row, ...]
    questions: tuple[str, ...]
    entries: tuple[ReportEntry, ...]
    infrastructure: tuple[Row, ...]
    ways: tuple[tuple[str, str], ...]
    unknown_writers: tuple[str, ...]
    metrics_route: str
    monitoring: tuple[Watch, ...]
    impact: tuple[Impact, ...]
    proof: tuple[str, ...]
    patch: tuple[PatchedFile, ...]
    rejected: tuple[tuple[str, str], ...]
    more_rejected: int
    unread: tuple[tuple[str, str], ...]
    existing_caches: tuple[str, ...]
    measured: Measured
    next_steps: tuple[str, ...]
    graphs: tuple[Graph, ...]
    graph_style: str
    layers_svg: str
    writers_svg: str


def collect(
    evidence: Evidence,
    contract: Contract,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> Report:
    """Joins what each stage found out, entry by entry."""
    entries = tuple(report_entry(e, contract, evidence, forecast, verdict, changes) for e in contract.entries)
    rejected = _rejected(evidence, contract)
    return Report(
        repo=evidence.repo,
        commit=f"Commit {evidence.commit[:12]}" if evidence.commit else "Not a git repository",
        extent=_extent(evidence),
        summary=_summary(evidence, contract, forecast, verdict, len(rejected)),
        questions=_questions(contract),
        entries=entries,
        infrastructure=_infrastructure(contract),
        ways=tuple((how, WAYS[how]) for how in WAYS if how in used_ways(contract)),
        unknown_writers=tuple(
            f"{w.path}:{w.line} {w.qualname}" for w in evidence.writers if UNKNOWN_TABLE in w.tables
        ),
        metrics_route=contract.infrastructure.metrics_route,
        monitoring=_monitoring(contract),
        impact=_impact(verdict),
        proof=_proof(verdict),
        patch=_patch(changes),
        rejected=rejected[:MOST_REJECTED],
        more_rejected=max(0, len(rejected) - MOST_REJECTED),
        unread=tuple((u.path, u.reason) for u in evidence.unread),
        existing_caches=evidence.application.existing_caches if evidence.application else (),
        measured=measured_of(evidence),
        next_steps=_next_steps(evidence, contract, verdict, changes),
        graphs=graphs_of(contract, forecast, verdict),
        graph_style=STYLE,
        layers_svg=layers_picture(contract),
        writers_svg=writers_picture(contract),
    )


# --- the whole


def _extent(evidence: Evidence) -> str:
    built = evidence.built_with
    return (
        f"{evidence.files:,} Python files, {evidence.lines:,} lines, {len(evidence.endpoints):,} endpoints, "
        f"{len(evidence.tables):,} tables, {len(evidence.writers):,} writers; {built}"
    )


def _summary(
    evidence: Evidence, contract: Contract, forecast: Forecast | None, verdict: Verdict | None, rejected: int
) -> tuple[Row, ...]:
    redis = contract.infrastructure.redis
    layers = {layer for entry in contract.entries for layer in entry.layers}
    parts = [f"Redis with {redis.maxmemory_mb} MB, {redis.policy}"] if layers & {"redis", "memory"} else []
    parts += [", ".join(contract.infrastructure.cdn)] if contract.infrastructure.cdn else []
    parts += ["materialized views in the database"] if "matview" in layers else []
    return (
        Row(
            name="Opportunities",
            figure=figures.derived(
                f"{len(contract.entries)} entries; {rejected} rejected", "the code and the contract"
            ),
        ),
        Row(name="Expected hit rate", figure=_overall_hit_rate(contract, forecast)),
        Row(name="Expected improvement", figure=_overall_improvement(evidence, contract, forecast, verdict)),
        Row(
            name="Infrastructure",
            figure=Figure(
                text="; ".join(parts) or "nothing new", source=f"{redis.maxmemory_source}: see below"
            ),
        ),
        Row(name="Proof", figure=_overall_proof(verdict)),
    )


def _overall_hit_rate(contract: Contract, forecast: Forecast | None) -> Figure:
    by_id = {e.id: e for e in contract.entries}
    rows = [r for r in forecast.entries if r.group in by_id] if forecast else []
    if not rows:
        return figures.unknown(figures.ACCESS_LOG)
    by_row = any(d.row for r in rows for d in by_id[r.group].depends_on)
    return hit_rate_of(rows, forecast.source if forecast else "", by_row)


def _overall_improvement(
    evidence: Evidence, contract: Contract, forecast: Forecast | None, verdict: Verdict | None
) -> Figure:
    runs = {r.mode: r for r in verdict.runs} if verdict else {}
    off, on = runs.get("off"), runs.get("on")
    if verdict and off and on and off.statements and on.statements is not None:
        saved = 1 - on.statements / off.statements
        change = "fewer" if saved >= 0 else "more"
        return Figure(
            text=f"{figures.percent(abs(saved))} {change} database statements ({off.statements:,} before, {on.statements:,} after)",
            source=f"measured: {' '.join(verdict.command)}",
        )
    return _expected_improvement(evidence, contract, forecast) or figures.unknown(figures.VERIFY)


def _expected_improvement(evidence: Evidence, contract: Contract, forecast: Forecast | None) -> Figure | None:
    """Statements that hits save, of endpoints whose reads one entry holds all by itself."""
    measured = {m.id: m.figures.get("statements_per_request") for m in evidence.measurements}
    reads = {e.id: set(e.reads) for e in evidence.endpoints}
    total = sum(m.value * m.n for m in measured.values() if m and m.n)
    fresh = {r.group: r.hit_rate - (r.stale_rate or 0) for r in forecast.entries} if forecast else {}
    saved: dict[str, float] = {}
    for entry in contract.entries:
        tables = {d.table for d in entry.depends_on}
        for endpoint in endpoints_of(entry, evidence):
            statements = measured.get(endpoint.id)
            if endpoint.method == "GET" and statements and statements.n and reads[endpoint.id] <= tables:
                saved[endpoint.id] = max(
                    saved.get(endpoint.id, 0), fresh.get(entry.id, 0) * statements.value * statements.n
                )
    if not total or not any(saved.values()):
        return None
    return figures.derived(
        f"about {figures.percent(sum(saved.values()) / total)} fewer database statements",
        "hit rates of the replay times statements per request; endpoints that one entry answers alone",
    )


def _overall_proof(verdict: Verdict | None) -> Figure:
    if verdict is None:
        return Figure(text="none yet", source=f"prove it: {figures.VERIFY}")
    count = Counter(e.verdict for e in verdict.entries)
    words = [f"{count[word]} {word}" for word in ("proven", "refuted", "untested") if count[word]]
    return Figure(
        text=", ".join(words) or "nothing was judged", source=f"measured: {' '.join(verdict.command)}"
    )


# --- one entry


def _infrastructure(contract: Contract) -> tuple[Row, ...]:
    redis, static = contract.infrastructure.redis, contract.infrastructure.static
    layers = {layer for entry in contract.entries for layer in entry.layers}
    named: list[tuple[str, Figure]] = []
    if layers & {"redis", "memory"}:
        memory = Figure(
            text=f"{redis.maxmemory_mb} MB",
            source="derived: twice what the replay held"
            if redis.maxmemory_source == "derived"
            else f"{redis.maxmemory_source}; derive it: {figures.ACCESS_LOG}",
        )
        named += [
            ("Redis, memory", memory),
            ("Redis, when full", Figure(text=redis.policy, source="set in the contract")),
            ("Redis, address", Figure(text=f"${redis.url_env}; without it every answer is computed as today", source="")),
            ("Longest wait for Redis", Figure(text=f"{redis.budget_ms} ms per request", source="set in the contract (budget_ms); assumed")),
        ]  # fmt: skip
    if contract.infrastructure.cdn:
        named.append(("CDN and proxy", Figure(text=", ".join(contract.infrastructure.cdn), source="")))
    if static:
        named.append(
            (
                "Static files",
                Figure(
                    text=f"{static.prefix}: fingerprinted names kept for {figures.duration(static.max_age_seconds)}, others revalidated",
                    source="set in the contract",
                ),
            )
        )
    views = [e.id for e in contract.entries if e.kind == "view"]
    if views:
        named.append(("Materialized views", Figure(text=", ".join(views), source="")))
    return tuple(Row(name=name, figure=figure) for name, figure in named)


def _questions(contract: Contract) -> tuple[str, ...]:
    """One question per kind of data whose staleness nobody has confirmed, with the proposed answer."""
    kinds: dict[str, list[Entry]] = {}
    for entry in contract.entries:
        if entry.staleness_source != "confirmed":
            kinds.setdefault(entry.data or "other", []).append(entry)
    return tuple(
        f"How old may {kind} data be ({', '.join(e.id for e in entries)})? Proposed: the next read sees every committed write; "
        f"an invalidation that is lost is made good after {figures.duration(max(e.ttl_seconds for e in entries))} at most (assumed)."
        for kind, entries in kinds.items()
    )


def _monitoring(contract: Contract) -> tuple[Watch, ...]:
    layers = {layer for entry in contract.entries for layer in entry.layers}
    watches = []
    if layers & {"redis", "memory"}:
        watches += [
            Watch(
                what="Hit rate of each entry",
                where="cache_hits_total and cache_misses_total, label entry",
                worry="below the expected one: a key with too many parts, or more writes than thought",
            ),
            Watch(
                what="Wrong answers",
                where="cache_mismatches_total, of a process started with CACHE_MODE=shadow, which recomputes every hit",
                worry="above 0: a writer does not invalidate; cache-strategy verify names it",
            ),
            Watch(
                what="Redis",
                where="cache_redis_up, cache_errors_total, cache_undelivered",
                worry="0, or rising: answers are computed as without a cache until it is back",
            ),
            Watch(
                what="Evictions",
                where="evicted_keys and used_memory of Redis (INFO)",
                worry="evicted_keys rises: memory is too small for the entries",
            ),
            Watch(
                what="Waiting for another's computation",
                where="cache_waits_total",
                worry="rises with the load: the computation is slow; warm the entry",
            ),
        ]
    if "http" in layers:
        watches.append(
            Watch(
                what="Answers from browser and CDN",
                where="the proxy's log: the share of HIT, and of status 304",
                worry="no HIT: a Set-Cookie or a Vary keeps the answer out",
            )
        )
    if "matview" in layers:
        watches.append(
            Watch(
                what="Materialized views",
                where="the duration of REFRESH MATERIALIZED VIEW in pg_stat_statements",
                worry="near the time between two writes: the view is never read fresh",
            )
        )
    return tuple(watches)


def _patch(changes: ChangeSet | None) -> tuple[PatchedFile, ...]:
    return tuple(
        PatchedFile(
            path=c.path,
            what="new" if c.before is None else "edited",
            why=c.why,
        )
        for c in (changes.changes if changes else ())
    )


def _rejected(evidence: Evidence, contract: Contract) -> tuple[tuple[str, str], ...]:
    """The contract's rejections, a person's among them, then the profile's, each target once."""
    entries = {e.target for e in contract.entries}
    found = {r.target: r.reason for r in contract.rejected}
    for item in evidence.rejected:
        target = f"{item.path}:{item.qualname}"
        if target not in entries:
            found.setdefault(target, item.reason)
    return tuple(found.items())


def _next_steps(
    evidence: Evidence, contract: Contract, verdict: Verdict | None, changes: ChangeSet | None
) -> tuple[str, ...]:
    steps = []
    if not evidence.measurements:
        steps.append(f"Measure: {figures.RECORD}. With an access log of production: {figures.ACCESS_LOG}")
    if _questions(contract):
        steps.append(
            "Answer the questions above in cache-strategy.yaml (staleness_source: confirmed), and commit it."
        )
    else:
        steps.append("Read cache-strategy.yaml, and commit it.")
    if changes and changes.changes:
        steps.append(
            "Read the patch: cache-strategy emit PATH. Write it: cache-strategy emit PATH --apply. Take it back: cache-strategy emit PATH --revert"
        )
    if verdict is None:
        steps.append(f"Prove it with your own tests: {figures.VERIFY}")
    elif any(e.verdict == "refuted" for e in verdict.entries):
        steps.append(f"Mend what the proof refuted, and prove it again: {figures.VERIFY}")
    elif any(e.verdict == "untested" for e in verdict.entries):
        steps.append(f"Test what is untested (read, write, read again), and prove it: {figures.VERIFY}")
    return tuple(steps)


# --- the proof

_NAMES = {
    "latency_ms": "answer time (median)",
    "database_ms": "of it in the database",
    "statements_per_request": "database statements per request",
}


def _impact(verdict: Verdict | None) -> tuple[Impact, ...]:
    if verdict is None:
        return ()
    found = [
        Impact(
            entry="all of the command",
            name=COMPARED[c.name],
            before=f"{c.before:,g} {c.unit}",
            after=f"{c.after:,g} {c.unit}",
            source=f"measured, {certainty(c)}",
        )
        for c in verdict.comparisons
    ]
    for judged in verdict.entries:
        before, after = judged.before or {}, judged.after or {}
        for name, words in _NAMES.items():
            own = name if name in before else f"{name}_p50"
            if own in before and own in after:
                counts = f"n = {before[own].n or 0:,} and {after[own].n or 0:,}"
                found.append(
                    Impact(
                        entry=judged.id,
                        name=words,
                        before=_with_spread(before, own, name),
                        after=_with_spread(after, own, name),
                        source=f"{after[own].source}, {counts}",
                    )
                )
    return tuple(found)


def _with_spread(measured: dict[str, Measurement], own: str, name: str) -> str:
    low, high = measured.get(f"{name}_p25"), measured.get(f"{name}_p75")
    text = figures.value_of(measured[own])
    return f"{text} ({figures.number(low.value)} to {figures.number(high.value)})" if low and high else text


def _proof(verdict: Verdict | None) -> tuple[str, ...]:
    if verdict is None:
        return ()
    words = {"off": "Caches off", "on": "Caches on", "oracle": "Caches on, every hit recomputed"}
    lines = [f"The command: {' '.join(verdict.command)}"]
    lines += [
        f"{words[r.mode]}: exit code {r.exit_code}, {r.seconds:.1f} s. {r.summary}".strip()
        for r in verdict.runs
    ]
    return (*lines, *compared_lines(verdict), *verdict.notes)
