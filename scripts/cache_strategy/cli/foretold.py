"""The forecast of a trace: endpoints, entries of the contract, their times to live, the Redis that they share."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cache_strategy.cli.terminal import progress

if TYPE_CHECKING:
    from cache_strategy.model.contract import Contract, Entry
    from cache_strategy.model.evidence import Evidence
    from cache_strategy.model.forecast import Forecast, MemoryChoice, TtlChoice
    from cache_strategy.model.trace import Trace
    from cache_strategy.simulate.entries import Foretold

RUNTIME_KEPT = 0.855
"""Share of its time to live after which the emitted cache computes a value anew, on average: it takes up to a tenth off at
random, and of what is left the last tenth is for one caller to compute the next value (`Entry._life_us`)."""
KEY_BYTES = 12
"""Of a key's part in the name of its value: its name's length and its own (assumed)."""
LONGEST_S = 604_800


@dataclasses.dataclass
class Replays:
    """What was replayed of one trace: a contract that is planned by it is foretold without doing it again."""

    entries: dict[Any, "Foretold | None"] = dataclasses.field(default_factory=dict)
    outcomes: dict[Any, dict[Any, Any]] = dataclasses.field(default_factory=dict)
    together: dict[Any, Any] = dataclasses.field(default_factory=dict)


def forecast_of(
    evidence: "Evidence",
    contract: "Contract | None",
    trace: "Trace",
    grid: tuple[list[int | None], list[int | None], list[str], list[str]] | None = None,
    exact_requests: int | None = None,
    replays: Replays | None = None,
) -> "Forecast":
    """
    What caches in front of the endpoints would do, and each entry of the contract under its own key.

    Args:
        replays: of the same trace, so far; what is replayed now is added.
    """
    from cache_strategy.simulate import simulate

    if grid is None:
        ttls = sorted({entry.ttl_seconds for entry in contract.entries}) if contract else []
        grid = ([*ttls] or [300], [None], ["lru"], ["ttl"])
    with progress() as say:
        say("Replaying the trace")
        found = simulate(
            trace,
            ttls=grid[0],
            capacities=grid[1],
            policies=grid[2],
            invalidations=grid[3],
            tables_of={endpoint.id: frozenset(endpoint.reads) for endpoint in evidence.endpoints},
            writing=_writing(evidence),
            **({"exact_requests": exact_requests} if exact_requests else {}),
        )
        if contract is None:
            return found
        say("Replaying the entries of the contract")
        return with_entries(found, evidence, contract, trace, replays or Replays())


def forecast_to_plan_by(
    evidence: "Evidence", contract: "Contract", trace: "Trace", replays: Replays
) -> "Forecast":
    """What is foretold of the entries alone."""
    from cache_strategy.model.forecast import Forecast

    with progress() as say:
        say("Replaying the entries of the contract")
        nothing = Forecast(requests=len(trace.accesses), keys=0, rows=())
        return with_entries(nothing, evidence, contract, trace, replays)


def forecast_of_parquet(
    evidence: "Evidence",
    place: str,
    grid: tuple[list[int | None], list[int | None], list[str], list[str]],
    cluster: str,
    workers: int,
    exact_requests: int,
) -> "Forecast":
    """The endpoints' rows of a trace in Parquet, here or on a cluster."""
    from cache_strategy.simulate import cluster as past_one_machine

    if not cluster:
        return forecast_of(evidence, None, past_one_machine.read_parquet(place), grid, exact_requests)
    with progress() as say:
        say(f"Replaying {place} on {cluster}")
        return past_one_machine.simulate_on_cluster(
            place,
            cluster,
            past_one_machine.Asked(*grid),
            workers=workers,
            tables_of={endpoint.id: frozenset(endpoint.reads) for endpoint in evidence.endpoints},
            writing=_writing(evidence),
        )


def with_entries(
    found: "Forecast", evidence: "Evidence", contract: "Contract", trace: "Trace", replays: Replays
) -> "Forecast":
    """The forecast with what it says of each entry, of all of them in one Redis, and of the endpoints they serve."""
    from cache_strategy.simulate import choose_memory, loads_of, together
    from cache_strategy.simulate.columns import columns_of

    accesses = columns_of(trace.accesses)
    foretold = {entry.id: (entry, one) for entry in contract.entries if (one := _foretold(entry, evidence, contract, trace, replays))}  # fmt: skip
    of = tuple((_asked(entry), one.storage) for entry, one in foretold.values())
    if of not in replays.together:
        replays.together[of] = together([one for _, one in foretold.values()], RUNTIME_KEPT)
    sizes, needed = replays.together[of]
    choices = [c for entry, one in foretold.values() if (c := _choice(entry, one, trace))]
    is_production = any("requests_per_hour" in m.figures for m in evidence.measurements)
    notes = found.notes
    if not trace.writes and any(one.row.stale_rate is not None for _, one in foretold.values()):
        notes += ("Writes are the log's own requests (POST, PUT …) whose tables the code names; jobs outside HTTP write unseen.",)  # fmt: skip
    redis: MemoryChoice | None = choose_memory(sizes, needed)
    return dataclasses.replace(
        found,
        entries=tuple(one.row for _, one in foretold.values()),
        curves=tuple(row for _, one in foretold.values() for row in one.curve),
        sizes=sizes,
        choices=tuple(choices) if is_production else (),
        redis=redis if is_production else None,
        loads=loads_of(accesses, _after(foretold, evidence)),
        notes=notes,
    )


def _asked(entry: "Entry") -> "Entry":
    """All of an entry that a forecast depends on."""
    return dataclasses.replace(entry, because=())


def _foretold(
    entry: "Entry", evidence: "Evidence", contract: "Contract", trace: "Trace", replays: Replays
) -> "Foretold | None":
    of = _asked(entry), _storage(entry, contract)
    if of not in replays.entries:
        replays.entries[of] = _replayed(entry, evidence, contract, trace, replays)
    return replays.entries[of]


def _replayed(
    entry: "Entry", evidence: "Evidence", contract: "Contract", trace: "Trace", replays: Replays
) -> "Foretold | None":
    from cache_strategy.cli.entry_trace import trace_of
    from cache_strategy.simulate import foretell, ttls_for
    from cache_strategy.simulate.columns import columns_of

    own = trace_of(entry, evidence, trace)
    if own is None:
        return None
    times = columns_of(trace.accesses).time_s
    return foretell(
        own,
        (float(times[0]), float(times[-1])),
        ttls=ttls_for(_widest(entry, trace.seconds), entry.ttl_seconds, _longest(entry)),
        ttl=entry.ttl_seconds,
        tables=frozenset(d.table for d in entry.depends_on),
        writing=_writing(evidence),
        trace_of_writes=trace,
        storage=_storage(entry, contract),
        kept=_kept(entry),
        known=replays.outcomes.setdefault((entry.id, entry.key, entry.depends_on, _kept(entry)), {}),
    )


def _widest(entry: "Entry", seconds: float) -> int:
    """The longest time to live that a curve shows: some steps beyond the contract's, and no more than the trace can tell."""
    return max(60, entry.ttl_seconds, min(max(8 * entry.ttl_seconds, 3600), int(seconds), LONGEST_S))


def _kept(entry: "Entry") -> float:
    is_ours = entry.emit == "runtime" and bool({"redis", "memory"} & set(entry.layers))
    return RUNTIME_KEPT if is_ours else 1.0


def _storage(entry: "Entry", contract: "Contract") -> Any:
    from cache_strategy.simulate import Storage

    if "redis" not in entry.layers or entry.emit != "runtime":
        return None
    rows = sum(bool(d.row) for d in entry.depends_on)
    prefix = len(contract.infrastructure.redis.namespace) + len(":e:") + len("@key/")
    return Storage(
        name_bytes=prefix + len(entry.id) + 4 + sum(len(part.name) + KEY_BYTES for part in entry.key),
        rows=rows,
        tags=3 + len(entry.depends_on) + len(entry.tags) + rows,
        ttl_s=entry.ttl_seconds,
        version_s=2 * max(e.ttl_seconds for e in contract.entries),
    )


def _writing(evidence: "Evidence") -> Mapping[str, frozenset[str]]:
    return {
        e.id: frozenset(e.writes) for e in evidence.endpoints if e.writes and e.method not in ("GET", "HEAD")
    }


def _longest(entry: "Entry") -> int:
    """What a value may live at most: its usual life; where no write takes it out, no longer than it may be stale."""
    waits = not entry.invalidated_by or any(i.how == "ttl" for i in entry.invalidated_by)
    if waits and entry.staleness_bound_seconds:
        return min(entry.ttl_seconds, entry.staleness_bound_seconds)
    return min(entry.ttl_seconds, LONGEST_S)


def _choice(entry: "Entry", one: "Foretold", trace: "Trace") -> "TtlChoice | None":
    from cache_strategy.simulate import choose_ttl

    # A log does not say which row was written: what depends on rows loses less than all its keys at each write.
    kind = "ttl" if any(d.row for d in entry.depends_on) else one.curve[-1].invalidation
    curve = [row for row in one.curve if row.invalidation == kind]
    bounded = bool(entry.staleness_bound_seconds) or entry.staleness_source == "confirmed"
    return choose_ttl(entry.id, curve, _longest(entry), trace.seconds, bounded)


def _after(
    foretold: "Mapping[str, tuple[Entry, Foretold]]", evidence: "Evidence"
) -> dict[str, tuple[float, bool]]:
    """Per endpoint the share of requests that no entry answers; of an endpoint's own entry that is all it computes."""
    from cache_strategy.model.contract import endpoints_of

    found: dict[str, tuple[float, bool]] = {}
    for entry, one in foretold.values():
        left = 1 - one.row.hit_rate + (one.row.stale_rate or 0)
        for endpoint in endpoints_of(entry, evidence):
            if endpoint.method == "GET":
                mine = left, entry.kind == "endpoint"
                found[endpoint.id] = min(
                    found.get(endpoint.id, mine), mine, key=lambda item: (not item[1], item[0])
                )
    return found
