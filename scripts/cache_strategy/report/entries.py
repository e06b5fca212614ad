"""One entry of the contract as the report shows it: what is, what is expected, who invalidates it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cache_strategy.model.change import ChangeSet
from cache_strategy.model.contract import Contract, Entry, Invalidator, endpoints_of
from cache_strategy.model.evidence import Endpoint, Evidence, KeyPart, Measurement
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.verdict import EntryVerdict, Verdict
from cache_strategy.report import figures
from cache_strategy.report.figures import Figure, Row
from cache_strategy.report.foretold import foretold
from cache_strategy.report.implementation import implementation_of


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


def report_entry(
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
        *([("Of it in calls outside", figure("outside_ms_p50"))] if "outside_ms_p50" in measured else []),
        ("Of it in the application", _own_time(measured)),
        ("95 of 100 answers within", figure("latency_ms_p95")),
        ("Database statements per request", figure("statements_per_request")),
        ("Size of an answer", figure("answer_bytes")),
        ("Answers that differ from the one before", figure("change_share")),
        *(
            [("Answers that differ between users", figure("differs_between_users_share"))]
            if "differs_between_users_share" in measured
            else []
        ),
        ("Request volume", _volume(measured)),
        ("Reads per write of its tables", _reads_per_write(measured)),
    ]


def _own_time(measured: dict[str, Measurement]) -> Figure:
    if "own_ms_p50" in measured:
        return figures.measured(measured["own_ms_p50"], figures.RECORD)
    latency, database = measured.get("latency_ms_p50"), measured.get("database_ms_p50")
    if latency is None or database is None or latency.where != database.where:
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
        ("Time to live", _time_to_live(entry, ttl, said)),
        ("Depends on", Figure(text=depends or "no table", source="")),
        *([("Tags", Figure(text=", ".join(entry.tags), source=""))] if entry.tags else []),
        ("Warming", Figure(text=_warming(entry), source="")),
    ]  # fmt: skip


def _time_to_live(entry: Entry, ttl: str, said: str) -> Figure:
    if said:
        return Figure(text=ttl, source=said)
    marked = "time to live: "
    why = next((reason.removeprefix(marked) for reason in entry.because if reason.startswith(marked)), "")
    return (
        figures.derived(ttl, why) if why else figures.assumed(ttl, f"usual for {entry.data or 'such'} data")
    )


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
    before = (judged.before or {}) if judged else {}
    after = (judged.after or {}) if judged else {}
    memory = figures.unknown(figures.ACCESS_LOG)
    if row is not None and row.memory_bytes is not None:
        memory = figures.derived(
            figures.size(row.memory_bytes), "the largest that the replay held, of whole answers"
        )
    return [
        ("Hit rate", hit_rate),
        ("Hits in the proof", _hits_in_the_proof(after)),
        ("Answer on a hit", _answer_on_a_hit(after)),
        ("Answer on a miss", _answer_on_a_miss(before, measured)),
        ("Answer on average", _answer_on_average(before, after, row)),
        ("Time saved per answer", _saved(before, after)),
        ("Memory", memory),
        *(foretold(row) if row is not None else ()),
    ]


def _hits_in_the_proof(after: dict[str, Measurement]) -> Figure:
    counted = after.get("hits")
    if counted is None or not counted.n:
        return figures.unknown(figures.VERIFY)
    return Figure(
        text=f"{counted.value:,.0f} of {counted.n:,} reads", source=f"{counted.source}: {counted.where}"
    )


def _hit_ms(after: dict[str, Measurement]) -> float | None:
    """The fastest quarter of the answers with caches on: hits, where at least that many of the reads were."""
    counted, quarter = after.get("hits"), after.get("latency_ms_p25")
    if counted is None or quarter is None or not counted.n or counted.value / counted.n < 0.25:
        return None
    return quarter.value


def _answer_on_a_hit(after: dict[str, Measurement]) -> Figure:
    hit = _hit_ms(after)
    if hit is None:
        return figures.unknown(figures.VERIFY)
    return figures.derived(f"{figures.number(hit)} ms", "the fastest quarter of the answers with caches on")


def _answer_on_a_miss(before: dict[str, Measurement], measured: dict[str, Measurement]) -> Figure:
    off, today = before.get("latency_ms_p50"), measured.get("latency_ms_p50")
    if off is not None:
        return figures.derived(f"{figures.number(off.value)} ms, and one store", "the median with caches off")
    if today is not None:
        return figures.derived(f"{figures.number(today.value)} ms, and one store", "the answer time of today")
    return figures.unknown(figures.RECORD)


def _answer_on_average(
    before: dict[str, Measurement], after: dict[str, Measurement], row: ForecastRow | None
) -> Figure:
    hit, miss = _hit_ms(after), before.get("latency_ms_p50")
    if row is not None and hit is not None and miss is not None:
        share = row.hit_rate - (row.stale_rate or 0)
        return figures.derived(
            f"{figures.number(share * hit + (1 - share) * miss.value)} ms",
            "the hit rate, and both answers above",
        )
    if "latency_ms_p50" in after:
        return figures.measured(after["latency_ms_p50"], figures.VERIFY)
    return figures.unknown(f"{figures.VERIFY}, and {figures.ACCESS_LOG}")


def _saved(before: dict[str, Measurement], after: dict[str, Measurement]) -> Figure:
    off, on = before.get("latency_ms_p50"), after.get("latency_ms_p50")
    if off is None or on is None:
        return figures.unknown(figures.VERIFY)
    difference = off.value - on.value
    text = f"{figures.number(difference)} ms"
    if difference < 0:
        text = f"none with this command: {figures.number(-difference)} ms more"
    return figures.derived(text, "medians with caches off and on, misses included")


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

WAYS = {
    "event": "the database session's events see the write and invalidate after its commit",
    "write-through": "the writer itself drops the key after its commit",
    "tag": "the writer itself drops the tag after its commit",
    "ttl": "nothing is dropped: its writes are seen when the time to live ends",
}


def used_ways(contract: Contract) -> set[str]:
    return {i.how for e in contract.entries for i in e.invalidated_by}


def _how(invalidator: Invalidator) -> str:
    """The way's name, with the kind of write and the key where they say more."""
    details = [] if invalidator.writes == "orm" else [invalidator.writes]
    details += [f"drops {invalidator.call}"] if invalidator.call else []
    return f"{invalidator.how}{' (' + '; '.join(details) + ')' if details else ''}"


# --- around the entries
