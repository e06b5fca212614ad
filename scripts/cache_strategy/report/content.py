"""What the report says, before it is Markdown or HTML."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cache_strategy.model.change import ChangeSet
from cache_strategy.model.contract import Contract, Entry, Invalidator, endpoints_of
from cache_strategy.model.evidence import UNKNOWN_TABLE, Endpoint, Evidence, KeyPart, Measurement
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.verdict import EntryVerdict, Verdict
from cache_strategy.report import figures
from cache_strategy.report.figures import Figure, Row
from cache_strategy.report.implementation import implementation_of
from cache_strategy.report.picture import layers_picture, writers_picture

MOST_REJECTED = 200
"""Lines that a reader may still look through; the rest is counted and stands in the evidence."""


@dataclass(frozen=True, kw_only=True)
class WriterLine:
    """A writer of an entry's tables, what it writes, and how that invalidates the entry."""

    writer: str
    tables: str
    how: str


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """
    One entry of the contract.

    `now` is what `measured_of` (the endpoint that is asked most) costs today, `cache` what the contract says, `expected`
    what comes of it. `mark` is the verdict in one word: proven, refuted, untested, or "" when there is none.
    """

    id: str
    serves: tuple[str, ...]
    target: str
    layers: str
    ttl: str
    hit_rate: Figure
    mark: str
    verdict: str
    withheld: str
    measured_of: str
    now: tuple[Row, ...]
    cache: tuple[Row, ...]
    expected: tuple[Row, ...]
    writers: tuple[WriterLine, ...]
    depends_on: str
    because: tuple[str, ...]
    note: str
    limits: tuple[str, ...]
    implementation: str
    in_force: bool


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
    next_steps: tuple[str, ...]
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
    entries = tuple(_entry(e, contract, evidence, forecast, verdict, changes) for e in contract.entries)
    rejected = _rejected(evidence, contract)
    return Report(
        repo=evidence.repo,
        commit=f"Commit {evidence.commit[:12]}" if evidence.commit else "Not a git repository",
        extent=_extent(evidence),
        summary=_summary(evidence, contract, forecast, verdict, len(rejected)),
        questions=_questions(contract),
        entries=entries,
        infrastructure=_infrastructure(contract),
        ways=tuple((how, _WAYS[how]) for how in _WAYS if how in _used_ways(contract)),
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
        next_steps=_next_steps(evidence, contract, verdict, changes),
        layers_svg=layers_picture(contract),
        writers_svg=writers_picture(contract),
    )


# --- the whole


def _extent(evidence: Evidence) -> str:
    built = ", ".join((*evidence.frameworks, *evidence.orms)) or "no web framework"
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


def _entry(
    entry: Entry,
    contract: Contract,
    evidence: Evidence,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> ReportEntry:
    endpoints = endpoints_of(entry, evidence)
    measured_of, measured = _measurements(entry, endpoints, evidence)
    judged = next((v for v in verdict.entries if v.id == entry.id), None) if verdict else None
    row = next((r for r in forecast.entries if r.group == entry.id), None) if forecast else None
    by_row = any(d.row for d in entry.depends_on)
    hit_rate = hit_rate_of([row], forecast.source, by_row) if row and forecast else _no_hit_rate(forecast)
    withheld = next((w.reason for w in changes.withheld if w.entry == entry.id), "") if changes else ""
    implementation = implementation_of(entry, contract, changes)
    return ReportEntry(
        id=entry.id,
        serves=tuple(e.id for e in endpoints),
        target=entry.target,
        layers=" + ".join(entry.layers),
        ttl=figures.duration(entry.ttl_seconds),
        hit_rate=hit_rate,
        mark=judged.verdict if judged else "",
        verdict=_verdict_words(judged),
        withheld=withheld,
        measured_of=measured_of,
        now=figures.rows(_now(measured)),
        cache=figures.rows(_cache(entry)),
        expected=figures.rows(_expected(judged, measured, row, hit_rate)),
        writers=tuple(
            WriterLine(writer=i.writer, tables=", ".join(i.tables), how=_how(i)) for i in entry.invalidated_by
        ),
        depends_on=", ".join(d.table for d in entry.depends_on),
        because=entry.because,
        note=entry.note,
        limits=(changes.limits or {}).get(entry.id, ()) if changes else (),
        implementation=implementation,
        in_force=changes is not None and not withheld and not implementation,
    )


def _measurements(
    entry: Entry, endpoints: list[Endpoint], evidence: Evidence
) -> tuple[str, dict[str, Measurement]]:
    """Of the endpoint that is asked most, and what was measured of the entry's function itself."""
    found = {m.id: m.figures for m in evidence.measurements}
    usable = [e.id for e in endpoints if e.id in found and e.method == "GET"]
    busiest = max(usable, key=lambda endpoint: _count(found[endpoint]), default="")
    return busiest, {**found.get(busiest, {}), **found.get(entry.target, {})}


def _count(measured: dict[str, Measurement]) -> int:
    return max((m.n or 0 for m in measured.values()), default=0)


def _now(measured: dict[str, Measurement]) -> list[tuple[str, Figure]]:
    def figure(name: str) -> Figure:
        return figures.measured(measured.get(name), figures.RECORD)

    return [
        ("Answer time (median)", figure("latency_ms_p50")),
        ("Of it in the database", figure("database_ms_p50")),
        ("Of it in the application", _own_time(measured)),
        ("95 of 100 answers within", figure("latency_ms_p95")),
        ("Database statements per request", figure("statements_per_request")),
        ("Size of an answer", figure("answer_bytes")),
        ("Answers that differ from the one before", figure("change_share")),
        ("Request volume", _volume(measured)),
        ("Reads per write of its tables", _reads_per_write(measured)),
    ]


def _own_time(measured: dict[str, Measurement]) -> Figure:
    latency, database = measured.get("latency_ms_p50"), measured.get("database_ms_p50")
    if latency is None or database is None:
        return figures.unknown(figures.RECORD)
    own = max(0.0, latency.value - database.value)
    return figures.derived(f"{figures.number(own)} ms", "the median less the database's")


def _volume(measured: dict[str, Measurement]) -> Figure:
    volume = measured.get("requests_per_hour")
    if volume is not None:
        return figures.measured(volume, figures.ACCESS_LOG)
    seen = measured.get("latency_ms_p50")
    if seen is None or seen.n is None:
        return figures.unknown(figures.ACCESS_LOG)
    return Figure(
        text=f"{seen.n:,} requests in the recording",
        source=f"measured: {seen.where}; per hour in production: {figures.ACCESS_LOG}",
    )


def _reads_per_write(measured: dict[str, Measurement]) -> Figure:
    ratio = measured.get("reads_per_write")
    if ratio is not None:
        text = (
            f"{ratio.value:,.0f} reads, no write"
            if ratio.unit != "reads/write"
            else f"{figures.number(ratio.value)} : 1"
        )
        return Figure(text=text, source=figures.source_of(ratio))
    return figures.unknown(figures.RECORD)


def _cache(entry: Entry) -> list[tuple[str, Figure]]:
    confirmed = entry.staleness_source == "confirmed"
    said = "confirmed in the contract" if confirmed else ""
    bound = entry.staleness_bound_seconds
    staleness = (
        f"{figures.duration(bound)} at most" if bound else "none: the next read sees a committed write"
    )
    ttl = figures.duration(entry.ttl_seconds)
    memory = (
        f"; a process trusts its memory for {figures.duration(entry.window_seconds)} without asking Redis"
        if entry.window_seconds
        else ""
    )
    keys = ", ".join(map(_key_part, entry.key))
    depends = ", ".join(
        f"{d.table} (the row of {d.row})" if d.row else f"{d.table} (any row)" for d in entry.depends_on
    )
    return [
        ("Layer", Figure(text=" + ".join(entry.layers) + memory, source="")),
        ("Key", Figure(text=keys or "none: one value for all", source="")),
        ("Staleness that is tolerated", Figure(text=staleness, source=said or f"{entry.staleness_source}: confirm it in the contract")),
        ("Time to live", Figure(text=ttl, source=said) if confirmed else figures.assumed(ttl, f"usual for {entry.data or 'such'} data")),
        ("Depends on", Figure(text=depends or "no table", source="")),
        *([("Tags", Figure(text=", ".join(entry.tags), source=""))] if entry.tags else []),
        ("Warming", Figure(text=_warming(entry), source="")),
    ]  # fmt: skip


def _key_part(part: KeyPart) -> str:
    read = f": {part.expression}" if part.expression and part.expression != part.name else ""
    return f"{part.name} ({part.source}{read})"


_WHEN = {"startup": "when a process starts", "deploy": "after a deployment", "schedule": "on a schedule"}


def _warming(entry: Entry) -> str:
    parts = []
    for warming in entry.warming:
        what = "its one value"
        if warming.keys:
            what = f"the keys of {' '.join(warming.keys.split())}, at most {warming.limit:,}"
        parts.append(f"{_WHEN[warming.when]}: {what}")
    return "; ".join(parts) or "none: the first reader fills it"


def hit_rate_of(rows: Sequence[ForecastRow], source: str, by_row: bool) -> Figure:
    """
    What invalidation leaves of the hits, and the hits there would be if nothing were written.

    Args:
        rows: of entries, at least one.
        by_row: a trace does not say which row was written, so that an entry that depends on rows does better.
    """
    requests = sum(r.requests for r in rows)
    hits = sum(r.hit_rate * r.requests for r in rows) / requests
    where = f"replay of {requests:,} requests of {source or 'a trace'}"
    errors = [r.error for r in rows if r.error is not None]
    spread = f" ± {100 * errors[0]:.1f}" if len(rows) == 1 and errors else ""
    if any(r.stale_rate is None for r in rows):
        return figures.derived(
            f"at most {100 * hits:.1f}{spread} %", f"{where}, which does not show writes; each costs a hit"
        )
    stale = sum((r.stale_rate or 0) * r.requests for r in rows) / requests
    if not stale:
        return figures.derived(f"{100 * hits:.1f}{spread} %", where)
    return figures.derived(
        f"{'at least ' if by_row else ''}{100 * (hits - stale):.1f}{spread} %",
        f"{where}; {figures.percent(hits)} if its writes had not invalidated any",
    )


def _no_hit_rate(forecast: Forecast | None) -> Figure:
    """A trace that does not show the entry's key leaves counting to the running cache."""
    return figures.unknown(figures.VERIFY if forecast else figures.ACCESS_LOG)


def _expected(
    judged: EntryVerdict | None,
    measured: dict[str, Measurement],
    row: ForecastRow | None,
    hit_rate: Figure,
) -> list[tuple[str, Figure]]:
    counted = (judged.after or {}).get("hits") if judged else None
    before = (judged.before or {}).get("latency_ms_p50") if judged else None
    after = (judged.after or {}).get("latency_ms_p50") if judged else None
    today = measured.get("latency_ms_p50")
    if counted is not None and counted.n:
        seen = Figure(
            text=f"{counted.value:,.0f} of {counted.n:,} reads",
            source=f"measured: {counted.where}",
        )
    else:
        seen = figures.unknown(figures.VERIFY)
    miss = figures.unknown(figures.RECORD)
    if today is not None:
        miss = figures.derived(f"{figures.number(today.value)} ms, and one store", "the answer time of today")
    average = figures.unknown(f"{figures.VERIFY}, and {figures.ACCESS_LOG}")
    if after is not None:
        average = figures.measured(after, figures.VERIFY)
    saved = figures.unknown(figures.VERIFY)
    if before is not None and after is not None:
        difference = before.value - after.value
        text = f"{figures.number(difference)} ms"
        if difference < 0:
            text = f"none with this command: {figures.number(-difference)} ms more"
        saved = figures.derived(text, "medians with caches off and on, misses included")
    memory = figures.unknown(figures.ACCESS_LOG)
    if row is not None and row.memory_bytes is not None:
        memory = figures.derived(
            figures.size(row.memory_bytes), "the largest that the replay held, of whole answers"
        )
    return [
        ("Hit rate", hit_rate),
        ("Hits in the proof", seen),
        ("Answer on a miss", miss),
        ("Answer on average", average),
        ("Time saved per answer", saved),
        ("Memory", memory),
    ]  # fmt: skip


def _verdict_words(judged: EntryVerdict | None) -> str:
    if judged is None:
        return f"Not proven yet. Prove it: {figures.VERIFY}"
    if judged.verdict == "proven":
        return f"Proven: {judged.hits:,} hits recomputed, every one equal."
    if judged.verdict == "untested":
        return f"Untested: no hit was seen. {judged.hint}".strip()
    first = judged.mismatches[0]
    cause = f"{first.write} by {first.writer}" if first.write else first.reason
    return (
        f"Refuted: of {judged.hits:,} hits recomputed, some differ from what the application answers. "
        f"For example {f'key {first.key}' if first.key else 'its one value'}: {cause.rstrip('.')}."
    )


# --- invalidation

_WAYS = {
    "event": "the database session's events see the write and invalidate after its commit",
    "write-through": "the writer itself drops the key after its commit",
    "tag": "the writer itself drops the tag after its commit",
    "ttl": "nothing is dropped: its writes are seen when the time to live ends",
}


def _used_ways(contract: Contract) -> set[str]:
    return {i.how for e in contract.entries for i in e.invalidated_by}


def _how(invalidator: Invalidator) -> str:
    """The way's name, with the kind of write and the key where they say more."""
    details = [] if invalidator.writes == "orm" else [invalidator.writes]
    details += [f"drops {invalidator.call}"] if invalidator.call else []
    return f"{invalidator.how}{' (' + '; '.join(details) + ')' if details else ''}"


# --- around the entries


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
    found = []
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
    return (*lines, *verdict.notes)
