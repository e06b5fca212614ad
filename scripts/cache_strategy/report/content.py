"""What the report says, before it is Markdown or HTML."""

from dataclasses import dataclass

from cache_strategy.model.change import ChangeSet
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.evidence import Endpoint, Evidence, Measurement
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.verdict import EntryVerdict, Verdict
from cache_strategy.report import figures
from cache_strategy.report.figures import Figure
from cache_strategy.report.implementation import implementation_of
from cache_strategy.report.picture import layers_picture, writers_picture


@dataclass(frozen=True, kw_only=True)
class Line:
    """A writer of an entry's tables, and how it invalidates."""

    writer: str
    tables: str
    how: str


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """One entry of the contract as the report shows it. Names are the report's own headings."""

    id: str
    title: str
    target: str
    layers: str
    ttl: Figure
    key: tuple[str, ...]
    staleness: Figure
    window: str
    current: tuple[tuple[str, Figure], ...]
    volume: Figure
    ratio: Figure
    depends_on: tuple[str, ...]
    writers: tuple[Line, ...]
    warming: tuple[str, ...]
    expected: tuple[tuple[str, Figure], ...]
    hit_rate: Figure
    because: tuple[str, ...]
    implementation: str
    verdict: str
    note: str
    withheld: str
    limits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the templates need."""

    repo: str
    commit: str
    files: int
    lines: int
    frameworks: str
    entries: tuple[ReportEntry, ...]
    hit_rate: Figure
    improvement: Figure
    infrastructure: tuple[tuple[str, str], ...]
    rejected: tuple[tuple[str, str], ...]
    unread: tuple[tuple[str, str], ...]
    unknown_writers: tuple[str, ...]
    questions: tuple[str, ...]
    next_steps: tuple[str, ...]
    impact: tuple[tuple[str, str, str], ...]
    proof: tuple[str, ...]
    existing_caches: tuple[str, ...]
    layers_svg: str
    writers_svg: str
    metrics_route: str
    endpoints: int
    trace: str


def collect(
    evidence: Evidence,
    contract: Contract,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> Report:
    """Joins what each stage found out, entry by entry."""
    entries = tuple(_entry(e, evidence, forecast, verdict, changes) for e in contract.entries)
    return Report(
        repo=evidence.repo,
        commit=evidence.commit[:12] or "not a git repository",
        files=evidence.files,
        lines=evidence.lines,
        frameworks=", ".join((*evidence.frameworks, *evidence.orms)),
        entries=entries,
        hit_rate=_overall_hit_rate(contract, evidence, forecast),
        improvement=_overall_improvement(verdict),
        infrastructure=_infrastructure(contract),
        rejected=tuple((r.target, r.reason) for r in contract.rejected),
        unread=tuple((u.path, u.reason) for u in evidence.unread),
        unknown_writers=tuple(f"{w.path}:{w.line} {w.qualname}" for w in evidence.writers if "?" in w.tables),
        questions=_questions(contract),
        next_steps=_next_steps(evidence, verdict, changes),
        impact=_impact(verdict),
        proof=_proof(verdict),
        existing_caches=evidence.application.existing_caches if evidence.application else (),
        layers_svg=layers_picture(contract),
        writers_svg=writers_picture(contract),
        metrics_route=contract.infrastructure.metrics_route,
        endpoints=len(evidence.endpoints),
        trace=forecast.source if forecast else "",
    )


def endpoints_of(entry: Entry, evidence: Evidence) -> list[Endpoint]:
    """The endpoints that an entry serves: its own, or those whose code leads to it."""
    own = [e for e in evidence.endpoints if f"{e.path}:{e.qualname}" == entry.target]
    if own:
        return own
    ids = {i for c in evidence.candidates if f"{c.path}:{c.qualname}" == entry.target for i in c.endpoints}
    return [e for e in evidence.endpoints if e.id in ids]


def _entry(
    entry: Entry,
    evidence: Evidence,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> ReportEntry:
    endpoints = endpoints_of(entry, evidence)
    measured = _measurements(entry, endpoints, evidence)
    judged = next((v for v in verdict.entries if v.id == entry.id), None) if verdict else None
    rows = _rows(entry, endpoints, forecast)
    hit_rate = _hit_rate(rows)
    withheld = next((w.reason for w in changes.withheld if w.entry == entry.id), "") if changes else ""
    return ReportEntry(
        id=entry.id,
        title=", ".join(e.id for e in endpoints) or entry.target.rpartition(":")[2],
        target=entry.target,
        layers=" + ".join(entry.layers),
        ttl=figures.assumed(figures.duration(entry.ttl_seconds), f"usual for {entry.data} data")
        if entry.staleness_source != "confirmed"
        else Figure(text=figures.duration(entry.ttl_seconds), source="confirmed in the contract"),
        key=tuple(f"{p.name} ({p.source}{': ' + p.expression if p.expression else ''})" for p in entry.key),
        staleness=_staleness(entry),
        window=figures.duration(entry.window_seconds) if entry.window_seconds else "",
        current=_current(measured),
        volume=figures.measured(measured.get("requests_per_hour"), figures.ACCESS_LOG),
        ratio=_ratio(measured),
        depends_on=tuple(
            f"{d.table} (the row of {d.row})" if d.row else f"{d.table} (any row)" for d in entry.depends_on
        ),
        writers=tuple(
            Line(writer=i.writer, tables=", ".join(i.tables), how=_HOW[i.how].format(call=i.call))
            for i in entry.invalidated_by
        ),
        warming=tuple(
            f"{w.when}: "
            + (
                f"the keys of `{' '.join(w.keys.split())}`, at most {w.limit:,}"
                if w.keys
                else "its one value"
            )
            for w in entry.warming
        ),
        expected=_expected(judged, measured, hit_rate),
        hit_rate=_hit_rate_figure(rows, hit_rate),
        because=entry.because,
        implementation=implementation_of(entry, changes),
        verdict=_verdict_words(judged),
        note=entry.note,
        withheld=withheld,
        limits=(changes.limits or {}).get(entry.id, ()) if changes else (),
    )


_HOW = {
    "ttl": "nothing: its writes are seen when the time to live ends",
    "event": "event: the session's events see the write and act after its commit",
    "write-through": "write-through: the writer itself drops the key after its commit ({call})",
    "tag": "tag: the writer itself drops the tag after its commit",
}


def _measurements(entry: Entry, endpoints: list[Endpoint], evidence: Evidence) -> dict[str, Measurement]:
    """Of the function itself where it was measured, else of its busiest endpoint."""
    found = {m.id: m.figures for m in evidence.measurements}
    if entry.target in found:
        return found[entry.target]
    usable = [found[e.id] for e in endpoints if e.id in found]

    def volume(item: dict[str, Measurement]) -> float:
        return item["requests_per_hour"].value if "requests_per_hour" in item else 0.0

    return max(usable, key=volume) if usable else {}


def _current(measured: dict[str, Measurement]) -> tuple[tuple[str, Figure], ...]:
    latency, database = measured.get("latency_ms_p50"), measured.get("database_ms_p50")
    own: Figure = figures.unknown(figures.RECORD)
    if latency is not None and database is not None:
        own = figures.derived(
            f"{figures.number(max(0.0, latency.value - database.value))} ms", "median minus database"
        )
    return (
        ("answer time, median", figures.measured(latency, figures.RECORD)),
        ("of it database", figures.measured(database, figures.RECORD)),
        ("of it the application's own", own),
        (
            "database statements per request",
            figures.measured(measured.get("statements_per_request"), figures.RECORD),
        ),
        ("95 of 100 answers within", figures.measured(measured.get("latency_ms_p95"), figures.RECORD)),
        ("answer size", figures.measured(measured.get("answer_bytes"), figures.RECORD)),
    )


def _ratio(measured: dict[str, Measurement]) -> Figure:
    reads, writes = measured.get("requests_per_hour"), measured.get("writes_per_hour")
    if reads is None or writes is None:
        return figures.unknown(figures.RECORD)
    if not writes.value:
        return figures.derived("no write in the trace", f"{reads.where}, {writes.where}")
    return figures.derived(
        f"{figures.number(reads.value / writes.value)} : 1", f"{reads.where}, {writes.where}"
    )


def _staleness(entry: Entry) -> Figure:
    bound = entry.staleness_bound_seconds
    text = f"at most {figures.duration(bound)}" if bound else "none: the next read sees a committed write"
    if entry.staleness_source == "confirmed":
        return Figure(text=text, source="confirmed in the contract")
    return Figure(text=text, source=f"{entry.staleness_source}, until a person confirms it in the contract")


def _rows(entry: Entry, endpoints: list[Endpoint], forecast: Forecast | None) -> list[ForecastRow]:
    if forecast is None:
        return []
    groups = {e.id for e in endpoints}
    return [r for r in forecast.rows if r.group in groups and r.ttl_seconds == entry.ttl_seconds]


def _hit_rate(rows: list[ForecastRow]) -> float | None:
    requests = sum(r.requests for r in rows)
    return sum(r.hit_rate * r.requests for r in rows) / requests if requests else None


def _hit_rate_figure(rows: list[ForecastRow], hit_rate: float | None) -> Figure:
    if hit_rate is None:
        return figures.unknown(figures.ACCESS_LOG)
    errors = [r.error for r in rows if r.error is not None]
    spread = f" ± {100 * max(errors):.1f}" if errors else ""
    return figures.derived(
        f"{100 * hit_rate:.1f}{spread} %", f"replay of {sum(r.requests for r in rows):,} requests"
    )


def _expected(
    judged: EntryVerdict | None, measured: dict[str, Measurement], hit_rate: float | None
) -> tuple[tuple[str, Figure], ...]:
    before = measured.get("latency_ms_p50")
    after = (judged.after or {}).get("latency_ms_p50") if judged else None
    hit = figures.measured(after, figures.VERIFY)
    miss: Figure = figures.unknown(figures.RECORD)
    average: Figure = figures.unknown(f"{figures.ACCESS_LOG}, and {figures.VERIFY}")
    if before is not None:
        miss = figures.derived(f"{figures.number(before.value)} ms and one store", "the answer time of today")
    if before is not None and after is not None and hit_rate is not None:
        mean = hit_rate * after.value + (1 - hit_rate) * before.value
        average = figures.derived(f"{figures.number(mean)} ms", "hit rate, and both answer times")
    return (("a hit", hit), ("a miss", miss), ("on average", average))


def _verdict_words(judged: EntryVerdict | None) -> str:
    if judged is None:
        return f"not verified yet: {figures.VERIFY}"
    if judged.verdict == "proven":
        return f"proven: {judged.hits:,} hits recomputed, every one equal"
    if judged.verdict == "untested":
        return f"untested: no hit was seen. {judged.hint}".strip()
    first = judged.mismatches[0]
    return f"refuted: {len(judged.mismatches)} of {judged.hits:,} hits differ; key {first.key}, {first.write or first.reason} {first.writer}"


def _overall_hit_rate(contract: Contract, evidence: Evidence, forecast: Forecast | None) -> Figure:
    rows = {}
    for entry in contract.entries:
        for row in _rows(entry, endpoints_of(entry, evidence), forecast):
            rows[row.group] = row
    share = _hit_rate(list(rows.values()))
    if share is None:
        return figures.unknown(figures.ACCESS_LOG)
    return figures.derived(
        figures.percent(share), f"replay of {sum(r.requests for r in rows.values()):,} requests"
    )


def _overall_improvement(verdict: Verdict | None) -> Figure:
    runs = {r.mode: r for r in verdict.runs} if verdict else {}
    off, on = runs.get("off"), runs.get("on")
    if off is None or on is None or not off.statements or on.statements is None:
        return figures.unknown(figures.VERIFY)
    saved = 1 - on.statements / off.statements
    return Figure(
        text=f"{figures.percent(saved)} fewer database statements ({off.statements:,} before, {on.statements:,} after)",
        source=f"measured: {' '.join(verdict.command) if verdict else ''}",
    )


def _infrastructure(contract: Contract) -> tuple[tuple[str, str], ...]:
    redis = contract.infrastructure.redis
    lines = [
        (
            "Redis",
            f"{redis.maxmemory_mb} MB ({redis.maxmemory_source}), {redis.policy}, from ${redis.url_env}; a request waits for it "
            f"at most {redis.budget_ms} ms (assumed); without it every answer is computed as today",
        )
    ]
    if contract.infrastructure.cdn:
        lines.append(("CDN", ", ".join(contract.infrastructure.cdn)))
    static = contract.infrastructure.static
    if static:
        lines.append(
            (
                "Static files",
                f"{static.prefix}: fingerprinted names for {figures.duration(static.max_age_seconds)}, others revalidated",
            )
        )
    views = [e.id for e in contract.entries if e.kind == "view"]
    if views:
        lines.append(("Materialized views", ", ".join(views)))
    return tuple(lines)


def _questions(contract: Contract) -> tuple[str, ...]:
    """One question per kind of data whose staleness nobody has confirmed, with the proposed answer."""
    kinds: dict[str, list[Entry]] = {}
    for entry in contract.entries:
        if entry.staleness_source != "confirmed":
            kinds.setdefault(entry.data or "other", []).append(entry)
    return tuple(
        f"How old may {kind} data be ({', '.join(e.id for e in entries)})? Proposed: the next read sees every committed write; "
        f"kept at most {figures.duration(max(e.ttl_seconds for e in entries))}."
        for kind, entries in kinds.items()
    )


def _next_steps(evidence: Evidence, verdict: Verdict | None, changes: ChangeSet | None) -> tuple[str, ...]:
    steps = []
    if not evidence.measurements:
        steps.append(f"Measure: {figures.RECORD}; with an access log: {figures.ACCESS_LOG}")
    steps.append("Read cache-strategy.yaml, answer the questions above in it, commit it.")
    if changes and changes.changes:
        steps.append(
            "Read the patch: cache-strategy emit. Write it: cache-strategy emit --apply. Take it back: cache-strategy emit --revert"
        )
    if verdict is None:
        steps.append(f"Prove it: {figures.VERIFY}")
    elif not verdict.ok:
        steps.append("Mend what the proof refuted, and prove it again.")
    return tuple(steps)


def _impact(verdict: Verdict | None) -> tuple[tuple[str, str, str], ...]:
    if verdict is None:
        return ()
    rows = []
    for judged in verdict.entries:
        for name in sorted(set(judged.before or {}) & set(judged.after or {})):
            before, after = (judged.before or {})[name], (judged.after or {})[name]
            count = f", n = {before.n} and {after.n}" if before.n is not None else ""
            rows.append(
                (
                    f"{judged.id}: {name.replace('_', ' ')} ({before.source}{count})",
                    figures.number(before.value),
                    figures.number(after.value),
                )
            )
    return tuple(rows)


def _proof(verdict: Verdict | None) -> tuple[str, ...]:
    if verdict is None:
        return ()
    words = {"off": "caches off", "on": "caches on", "oracle": "caches on, every hit recomputed"}
    lines = [f"`{' '.join(verdict.command)}`"]
    lines += [
        f"{words[r.mode]}: exit code {r.exit_code}, {r.seconds:.1f} s. {r.summary}".strip()
        for r in verdict.runs
    ]
    return (*lines, *verdict.notes)
