"""The door: groups of a trace, each replayed under every time to live, capacity and policy."""

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Literal

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import UNKNOWN_TABLE
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.trace import Access, Trace
from cache_strategy.simulate.policies import Policy, load_policies
from cache_strategy.simulate.replay import Replay, Request, replay

UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
KEPT_STATUS = (None, 200, 304)
BATCHES = 20
FEWEST_PER_BATCH = 10
STUDENT_T = 2.093
"""97.5 % quantile of Student's t with BATCHES - 1 = 19 degrees of freedom."""
EVERYTHING = "*"
"""The group of a forecast for one cache that all groups share."""


def simulate(
    trace: Trace,
    *,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None] = (None,),
    policies: Sequence[str] = ("lru",),
    by: Literal["group", "all"] = "group",
    tables_of: Mapping[str, frozenset[str]] | None = None,
    per_user: Collection[str] | None = None,
) -> Forecast:
    """
    What a cache in front of each group would have done with this trace, exactly.

    Both rates are shares of all cacheable requests of the group: `hit_rate` of those served from the cache,
    `stale_rate` of those served a value that the origin would no longer have given. Invalidation is not simulated:
    the time to live alone bounds the age, so `stale_rate` is what an invalidation has to save.

    Args:
        ttls: whole seconds from 1, None for no expiry.
        capacities: bytes of values, None for no limit; they need a trace with answer sizes.
        by: "group" gives each group a cache of its own, "all" one cache to all of them together.
        tables_of: tables that a group's answers depend on; used where the trace has writes but no digests.
        per_user: groups whose key holds the user. None: found from the trace (a group is private unless digests show
            that different users get the same answers).

    Raises:
        CacheStrategyError: an unknown policy, a time to live below 1, no cacheable request, a capacity without sizes.
    """
    known = load_policies()
    _check(ttls, capacities, policies, known)
    cacheable = [access for access in trace.accesses if _is_cacheable(access)]
    if not cacheable:
        raise CacheStrategyError(
            f"{trace.source or 'trace'}: has no request that a cache could answer (GET or HEAD, status 200 or 304). "
            "Record a load that reads: cache-strategy record -- CMD"
        )
    notes = list(trace.notes)
    if len(cacheable) < len(trace.accesses):
        left_out = len(trace.accesses) - len(cacheable)
        notes.append(
            f"{left_out} of {len(trace.accesses)} requests are left out: they write, or were answered with an error."
        )
    accesses = sorted(cacheable, key=lambda access: access.time_s)
    private = _private_groups(accesses, per_user, notes)
    tables = tables_of or {}
    groups = _grouped(accesses, private, by)
    rows: list[ForecastRow] = []
    for group, members in groups.items():
        requests, sizes_known = _requests(group, members, private, by, notes)
        writes = _writes(trace, {access.group for access in members}, tables)
        for ttl, capacity, name in product(ttls, capacities, policies):
            if capacity is not None and not sizes_known:
                raise CacheStrategyError(
                    f"{group}: its answers have no sizes in {trace.source or 'the trace'}; "
                    "a capacity needs them. Leave the capacity away, or record a trace: cache-strategy record -- CMD"
                )
            done = replay(
                requests, ttl_seconds=ttl, capacity_bytes=capacity, policy=known[name], writes_s=writes
            )
            rows.append(
                _row(group, ttl, capacity, name, requests, done, sizes_known, _is_judged(members, writes))
            )
    return Forecast(
        requests=len(trace.accesses),
        keys=sum(len({_key(access, private, by) for access in members}) for members in groups.values()),
        rows=tuple(rows),
        source=trace.source,
        seconds=trace.seconds,
        notes=tuple(notes),
    )


def _check(
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Sequence[str],
    known: Mapping[str, Policy],
) -> None:
    for name in policies:
        if name not in known:
            raise CacheStrategyError(f"--policy {name}: is not known; the policies are {', '.join(known)}.")
    for option, values, example in (
        ("ttl", ttls, "whole seconds, for example 300"),
        ("capacity", capacities, "bytes"),
    ):
        for value in values:
            if value is not None and value < 1:
                raise CacheStrategyError(f"--{option} {value}: is below 1; write {example}.")
    if not ttls or not capacities or not policies:
        raise CacheStrategyError(
            "simulate: nothing to simulate; name at least one time to live, for example --ttl 60,300"
        )


def _is_cacheable(access: Access) -> bool:
    return access.status in KEPT_STATUS and access.group.partition(" ")[0] not in UNSAFE


def _grouped(accesses: Sequence[Access], private: Collection[str], by: str) -> dict[str, list[Access]]:
    """The busiest group first."""
    groups: dict[str, list[Access]] = defaultdict(list)
    for access in accesses:
        groups[EVERYTHING if by == "all" else access.group].append(access)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _key(access: Access, private: Collection[str], by: str) -> str:
    key = f"{access.user} {access.key}" if access.group in private else access.key
    return f"{access.group} {key}" if by == "all" else key


def _private_groups(
    accesses: Sequence[Access], per_user: Collection[str] | None, notes: list[str]
) -> frozenset[str]:
    if per_user is not None:
        return frozenset(per_user)
    users: dict[str, set[str]] = defaultdict(set)
    last: dict[tuple[str, str], Access] = {}
    met: set[str] = set()
    differ: set[str] = set()
    for access in accesses:
        users[access.group].add(access.user)
        if not access.digest:
            continue
        before = last.get((access.group, access.key))
        if before is not None and before.user != access.user:
            met.add(access.group)
            if before.digest != access.digest:
                differ.add(access.group)
        last[access.group, access.key] = access
    private = {
        group for group, found in users.items() if len(found) > 1 and (group in differ or group not in met)
    }
    if private:
        notes.append(
            f"Keyed by user as well, as their answers may differ between users: {', '.join(sorted(private))}"
        )
    return frozenset(private)


def _requests(
    group: str, members: Sequence[Access], private: Collection[str], by: str, notes: list[str]
) -> tuple[list[Request], bool]:
    """The requests, and whether their sizes are known; one that lacks its size gets the mean of the others."""
    sizes = [access.size_bytes for access in members if access.size_bytes is not None]
    mean = round(statistics.fmean(sizes)) if sizes else 0
    if sizes and len(sizes) < len(members):
        notes.append(
            f"{group}: {len(members) - len(sizes)} answers without a size count with the mean, {mean} bytes (assumed)."
        )
    requests = [
        Request(
            access.time_s,
            _key(access, private, by),
            mean if access.size_bytes is None else access.size_bytes,
            access.digest,
        )
        for access in members
    ]
    return requests, bool(sizes)


def _writes(
    trace: Trace, groups: Collection[str], tables_of: Mapping[str, frozenset[str]]
) -> list[float] | None:
    """Times of writes to the tables of `groups`; None when the trace has no writes or not all tables are known."""
    if not trace.writes or any(group not in tables_of for group in groups):
        return None
    tables = {table.lower() for group in groups for table in tables_of[group]}
    if UNKNOWN_TABLE in tables:
        return None
    return sorted(
        write.time_s
        for write in trace.writes
        if not tables.isdisjoint(table.lower() for table in write.tables)
    )


def _is_judged(members: Sequence[Access], writes: Sequence[float] | None) -> bool:
    return writes is not None or any(access.digest for access in members)


def _row(
    group: str,
    ttl: int | None,
    capacity: int | None,
    policy: str,
    requests: Sequence[Request],
    done: Replay,
    sizes_known: bool,
    judged: bool,
) -> ForecastRow:
    hits = sum(done.hits)
    hit_rate = hits / len(requests)
    stale_rate: float | None = None
    if done.judged:
        # Hits that the trace says nothing about are taken to be like the others.
        stale_rate = hit_rate * done.stale / done.judged
    elif judged and not hits:
        stale_rate = 0.0
    return ForecastRow(
        group=group,
        ttl_seconds=ttl,
        capacity_bytes=capacity,
        policy=policy,
        requests=len(requests),
        keys=len({request.key for request in requests}),
        hit_rate=hit_rate,
        stale_rate=stale_rate,
        origin_requests=len(requests) - hits,
        memory_bytes=done.peak_bytes if sizes_known else None,
        error=half_width(done.hits),
    )


def half_width(flags: Sequence[bool]) -> float | None:
    """
    Half of the 95 % interval of the share of true flags; None for fewer than 200.

    Source:
        Batch means: consecutive requests are not independent, the means of 20 consecutive batches nearly are.
        Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """
    size = len(flags) // BATCHES
    if size < FEWEST_PER_BATCH:
        return None
    means = [sum(flags[i * size : (i + 1) * size]) / size for i in range(BATCHES)]
    return STUDENT_T * statistics.stdev(means) / math.sqrt(BATCHES)
