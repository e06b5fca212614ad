"""The door: groups of a trace, each replayed under every time to live, capacity, policy and kind of invalidation."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import UNKNOWN_TABLE
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate.columns import Requests, cacheable, columns_of, private_groups, requests_of
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Replay, replays

INVALIDATIONS = ("ttl", "event")


def simulate(
    trace: Trace,
    *,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None] = (None,),
    policies: Sequence[str] = ("lru",),
    invalidations: Sequence[str] = ("ttl",),
    tables_of: Mapping[str, frozenset[str]] | None = None,
    per_user: Collection[str] | None = None,
) -> Forecast:
    """
    What a cache in front of each group would have done with this trace, exactly.

    Both rates are shares of all cacheable requests of the group: `hit_rate` of those served from the cache,
    `stale_rate` of those served a value that the origin would no longer have given.

    Args:
        ttls: whole seconds from 1, None for no expiry.
        capacities: bytes of values, None for no limit; they need a trace with answer sizes.
        invalidations: "ttl", where the time to live alone bounds the age, so that `stale_rate` is what an invalidation has to
            save; "event", where a write takes out the values that it may have changed.
        tables_of: tables that a group's answers depend on; used where the trace has writes but no digests.
        per_user: groups whose key holds the user. None: found from the trace (a group is private unless digests show
            that different users get the same answers).

    Raises:
        CacheStrategyError: an unknown policy, a time to live below 1, no cacheable request, a capacity without sizes.
    """
    known = load_policies()
    _check(ttls, capacities, policies, invalidations, known)
    accesses = columns_of(trace.accesses)
    at = np.flatnonzero(cacheable(accesses))
    if not len(at):
        raise CacheStrategyError(
            f"{trace.source or 'trace'}: has no request that a cache could answer (GET or HEAD, status 200 or 304). "
            "Record a load that reads: cache-strategy record -- CMD"
        )
    notes = list(trace.notes)
    if len(at) < len(accesses):
        notes.append(
            f"{len(accesses) - len(at)} of {len(accesses)} requests are left out: "
            "they write, or were answered with an error."
        )
    private = private_groups(accesses, at, per_user)
    if private and per_user is None:
        notes.append(
            f"Keyed by user as well, as their answers may differ between users: {', '.join(private)}"
        )
    rows: list[ForecastRow] = []
    keys = 0
    for group, members in _grouped(accesses, at):
        requests = _requests(
            group, accesses, members, private, _writes(trace, (tables_of or {}).get(group)), notes
        )
        if not requests.sizes_known and any(capacities):
            raise CacheStrategyError(
                f"{group}: its answers have no sizes in {trace.source or 'the trace'}; "
                "a capacity needs them. Leave the capacity away, or record a trace: cache-strategy record -- CMD"
            )
        keys += requests.keys
        done = replays(requests, ttls, capacities, {name: known[name] for name in policies}, invalidations)
        for ttl, capacity, name, kind in product(ttls, capacities, policies, invalidations):
            row = _row(group, requests, done[ttl, capacity, name, kind])
            rows.append(
                ForecastRow(ttl_seconds=ttl, capacity_bytes=capacity, policy=name, invalidation=kind, **row)
            )
    return Forecast(
        requests=len(accesses),
        keys=keys,
        rows=tuple(rows),
        source=trace.source,
        seconds=trace.seconds,
        notes=tuple(notes),
    )


def _check(
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Sequence[str],
    invalidations: Sequence[str],
    known: Collection[str],
) -> None:
    for option, names, among in (("policy", policies, known), ("invalidation", invalidations, INVALIDATIONS)):
        for name in names:
            if name not in among:
                raise CacheStrategyError(f"--{option} {name}: is not known; choose of {', '.join(among)}.")
    for option, values, example in (
        ("ttl", ttls, "whole seconds, for example 300"),
        ("capacity", capacities, "bytes"),
    ):
        for value in values:
            if value is not None and value < 1:
                raise CacheStrategyError(f"--{option} {value}: is below 1; write {example}.")
    if not (ttls and capacities and policies and invalidations):
        raise CacheStrategyError(
            "simulate: nothing to simulate; name at least one time to live, for example --ttl 60,300"
        )


def _grouped(accesses: Accesses, at: Any) -> list[tuple[str, Any]]:
    """Name and members of each group; the busiest first."""
    found = accesses.group[at]
    order = np.argsort(found, kind="stable")
    numbers, starts = np.unique(found[order], return_index=True)
    names = [accesses.groups[number] for number in numbers]
    groups = zip(names, np.split(at[order], starts[1:]), strict=True)
    return sorted(groups, key=lambda item: (-len(item[1]), item[0]))


def _requests(
    group: str,
    accesses: Accesses,
    members: Any,
    private: Collection[str],
    writes: list[float] | None,
    notes: list[str],
) -> Requests:
    """The requests of one cache; one that lacks its size gets the mean of the others."""
    size = accesses.size_bytes[members]
    lacking = size < 0
    if lacking.all():
        size = None
    elif lacking.any():
        mean = round(float(size[~lacking].mean()))
        size = np.where(lacking, mean, size)
        notes.append(
            f"{group}: {int(lacking.sum())} answers without a size count with the mean, {mean} bytes (assumed)."
        )
    key = accesses.key[members].astype("i8")
    if group in private:
        key = key * len(accesses.users) + accesses.user[members]
    return requests_of(
        accesses.time_s[members],
        np.unique(key, return_inverse=True)[1],
        size,
        accesses.digest[members],
        None if writes is None else (np.array(writes), np.full(len(writes), -1)),
    )


def _writes(trace: Trace, tables: frozenset[str] | None) -> list[float] | None:
    """Times of writes to `tables`; None when the trace has no writes or not all tables are known."""
    if not trace.writes or tables is None or UNKNOWN_TABLE in tables:
        return None
    lower = {table.lower() for table in tables}
    return sorted(w.time_s for w in trace.writes if not lower.isdisjoint(t.lower() for t in w.tables))


def _row(group: str, requests: Requests, done: Replay) -> dict[str, Any]:
    many = len(requests.time_s)
    hit_rate = done.hits / many
    stale_rate: float | None = None
    if done.judged:
        # Hits that the trace says nothing about are taken to be like the others.
        stale_rate = hit_rate * done.stale / done.judged
    elif requests.judged and not done.hits:
        stale_rate = 0.0
    return {
        "group": group,
        "requests": many,
        "keys": requests.keys,
        "hit_rate": hit_rate,
        "stale_rate": stale_rate,
        "origin_requests": many - done.hits,
        "memory_bytes": done.peak_bytes if requests.sizes_known else None,
        "error": done.error,
        "byte_hit_rate": done.hit_bytes / total
        if requests.sizes_known and (total := int(requests.size.sum(dtype="i8")))
        else None,
        "stale_age_s": done.age_s if done.aged else None,
        "origin_peak": done.origin_peak,
    }
