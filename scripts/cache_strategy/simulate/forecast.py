"""The door: groups of a trace, each replayed under every time to live, capacity, policy and kind of invalidation."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import UNKNOWN_TABLE
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate.columns import cacheable, columns_of
from cache_strategy.simulate.facts import Facts, facts_of, requests_with
from cache_strategy.simulate.loops import FOREVER
from cache_strategy.simulate.outcome import Replay
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Requests, first_requests, warming_of
from cache_strategy.simulate.sampling import outcomes

INVALIDATIONS = ("ttl", "event")
EXACT_REQUESTS = 100_000_000
"""Up to so many requests every one is replayed."""


def simulate(
    trace: Trace,
    *,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None] = (None,),
    policies: Sequence[str] = ("lru",),
    invalidations: Sequence[str] = ("ttl",),
    tables_of: Mapping[str, frozenset[str]] | None = None,
    writing: Mapping[str, frozenset[str]] | None = None,
    exact_requests: int = EXACT_REQUESTS,
) -> Forecast:
    """
    What a cache in front of each group would have done with this trace: exactly, up to `exact_requests`.

    Both rates are shares of the group's cacheable requests; stale is a value that the origin would no longer have given. A
    group whose users may get different answers is keyed by user.

    Args:
        ttls: whole seconds, None for no expiry.
        capacities: bytes of values, None for no limit.
        invalidations: "ttl", where `stale_rate` is what an invalidation has to save; "event", where a write takes out the
            values that it may have changed.
        tables_of: tables that a group's answers depend on; used where the trace has writes but no digests.
        writing: tables that requests of a group write, for a log, which has no writes of its own.
        exact_requests: more than so many are sampled by key.

    Raises:
        CacheStrategyError: an option out of range, no cacheable request, a capacity without sizes.
    """
    known = load_policies()
    check_options(ttls, capacities, policies, invalidations)
    accesses = columns_of(trace.accesses)
    at = np.flatnonzero(cacheable(accesses))
    if not len(at):
        raise CacheStrategyError(
            f"{trace.source or 'trace'}: has no request that a cache could answer (GET or HEAD, status 200 or 304)."
        )
    notes = list(trace.notes)
    many, left = requests_in(accesses), requests_in(accesses) - requests_in(accesses, at)
    if left:
        notes.append(f"{left} of {many} requests are left out: they write, or were answered with an error.")
    rows: list[ForecastRow] = []
    private, keys = [], 0
    chosen = {name: known[name] for name in policies}
    for group, members in grouped(accesses, at):
        facts = facts_of(accesses, members)
        private += [group] if facts.is_private else []
        check_sizes(group, facts, capacities, trace.source, notes)
        writes = writes_to(trace, (tables_of or {}).get(group), writing)
        requests = requests_with(accesses, members, facts, writes)
        keys += requests.all_keys
        done = outcomes(requests, ttls, capacities, chosen, invalidations, exact_requests, len(at))
        first = first_requests(requests)
        for ttl, capacity, name, kind in product(ttls, capacities, policies, invalidations):
            outcome, error = done[ttl, capacity, name, kind]
            life = FOREVER if ttl is None else ttl
            warm = None if capacity else warming_of(first, life, kind == "event")
            row = row_of(outcome, requests.all_keys, is_judged(requests), bool(facts.sized), warm)
            row |= {"group": group, "ttl_seconds": ttl, "capacity_bytes": capacity, "policy": name}
            rows.append(ForecastRow(**row, invalidation=kind, sampling_error=error))
    if private:
        notes.append(
            f"Keyed by user as well, as their answers may differ between users: {', '.join(private)}"
        )
    if len(at) > exact_requests and accesses.sample is None:
        notes.append(
            f"{len(at):,} requests are more than {exact_requests:,}: keys that are asked for often are replayed, of the "
            "others a sample; sampling_error is half of the 90 % interval that this leaves."
        )
    return Forecast(
        requests=many,
        keys=keys,
        rows=tuple(rows),
        source=trace.source,
        seconds=trace.seconds,
        notes=tuple(notes),
    )


def check_options(
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Sequence[str],
    invalidations: Sequence[str],
) -> None:
    _check("policy", policies, load_policies())
    _check("invalidation", invalidations, INVALIDATIONS)
    for option, values in (("ttl", ttls), ("capacity", capacities)):
        if not values or any(value is not None and value < 1 for value in values):
            raise CacheStrategyError(f"--{option}: {values}: numbers from 1 are needed, for example 300.")


def _check(option: str, names: Sequence[str], known: Sequence[str] | Mapping[str, Any]) -> None:
    for name in names or [""]:
        if name not in known:
            raise CacheStrategyError(f"--{option} {name}: is not known; choose of {', '.join(known)}.")


def requests_in(accesses: Accesses, at: Any = slice(None)) -> int:
    """How many requests there were, of these places; with those that a sample stands for."""
    if accesses.sample is None:
        return len(accesses.time_s[at])
    return round(float(accesses.sample.stands_for[at].sum()))


def grouped(accesses: Accesses, at: Any) -> list[tuple[str, Any]]:
    """Name and members of each group; the busiest first."""
    found = accesses.group[at]
    order = np.argsort(found, kind="stable")
    numbers, starts = np.unique(found[order], return_index=True)
    names = [accesses.groups[number] for number in numbers]
    groups = zip(names, np.split(at[order], starts[1:]), strict=True)
    return sorted(groups, key=lambda item: (-len(item[1]), item[0]))


def check_sizes(
    group: str, facts: Facts, capacities: Sequence[int | None], source: str, notes: list[str]
) -> None:
    """Notes that sizes are assumed; an error where a capacity needs them and there are none."""
    if not facts.sized and any(capacities):
        raise CacheStrategyError(
            f"{group}: its answers have no sizes in {source or 'the trace'}; a capacity needs them. "
            "Leave it away, or record a trace: cache-strategy record -- CMD"
        )
    if 0 < facts.sized < facts.requests:
        notes.append(
            f"{group}: {facts.requests - facts.sized} answers without a size count with the mean, "
            f"{facts.mean_bytes} bytes (assumed)."
        )


def is_judged(requests: Requests) -> bool:
    """Whether it can be known of any hit that it is stale, or not."""
    return requests.judging or bool(requests.digest.any())


def writes_to(
    trace: Trace, tables: frozenset[str] | None, writing: Mapping[str, frozenset[str]] | None = None
) -> Any:
    """
    Times of writes to `tables` in order; None when the trace has no writes or not all tables are known.

    Of a log these are the answered requests of endpoints that write.
    """
    if tables is None or UNKNOWN_TABLE in tables:
        return None
    lower = {table.lower() for table in tables}
    if trace.writes:
        return np.array(
            sorted(w.time_s for w in trace.writes if not lower.isdisjoint(t.lower() for t in w.tables))
        )
    accesses = trace.accesses
    if not writing or not isinstance(accesses, Accesses):
        return None
    if not any(group in writing for group in accesses.groups):
        return None
    concerned = [not lower.isdisjoint(t.lower() for t in writing.get(g, ())) for g in accesses.groups]
    return accesses.time_s[np.array(concerned)[accesses.group] & (accesses.status < 400)]


def row_of(
    done: Replay, keys: int, judged: bool, sizes_known: bool, warm: tuple[int, int, float] | None
) -> dict[str, Any]:
    """The figures of a row; None for what is not known."""
    many = done.requests
    stale_rate: float | None = None
    if done.judged:
        # Hits that the trace says nothing about are taken to be like the others.
        stale_rate = done.hits / many * done.stale / done.judged
    elif not done.hits and judged:
        stale_rate = 0.0
    return {
        "requests": many,
        "keys": keys,
        "hit_rate": done.hits / many,
        "stale_rate": stale_rate,
        "origin_requests": round(many - done.hits),
        "memory_bytes": done.peak_bytes if sizes_known else None,
        "error": done.error,
        "byte_hit_rate": done.hit_bytes / max(1, done.bytes) if sizes_known else None,
        "stale_age_s": done.age_s if done.aged else None,
        "origin_peak": done.origin_peak,
        "origin_busy_s": done.busy_s,
        "cold_start": done.cold_start,
        "stampede_requests": None if done.together is None else round(done.together),
        "stampede_peak": done.crowd,
        **(dict(zip(("warm_keys", "warm_requests", "warm_seconds"), warm, strict=True)) if warm else {}),
    }
