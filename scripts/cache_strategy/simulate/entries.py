"""Entries of a contract under the trace's requests: each for itself, then all of them in one Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cache_strategy.model.forecast import ForecastRow, Load
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate.columns import columns_of
from cache_strategy.simulate.facts import facts_of, requests_with
from cache_strategy.simulate.forecast import EXACT_REQUESTS, is_judged, requests_in, row_of, writes_to
from cache_strategy.simulate.outcome import Replay
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Requests, first_requests, parts_of_ttls, warming_of
from cache_strategy.simulate.sampling import Case, limited, outcomes, scaled, strata_of
from cache_strategy.simulate.storage import Storage, held, resident

SHARED_AT_MOST = 1_000_000
"""Requests of all entries in one Redis that are replayed; of more the keys are sampled."""
SHARES = (1, 2, 4, 8, 16, 32)
"""A Redis of so many parts of what would be needed."""
NAMED = 5
"""Of the keys worth filling beforehand."""
POLICIES = ("redis_lru", "redis_lfu")


class Foretold(NamedTuple):
    """
    One entry.

    `row` is for its own time to live: hits without invalidation, and in `stale_rate` the share of them that invalidation
    takes. `curve` has it under other times to live, with invalidation ("event") and without ("ttl"). `held` is what Redis
    holds for it, per slice of the trace (see `storage.held`).
    """

    row: ForecastRow
    curve: tuple[ForecastRow, ...]
    requests: Requests
    storage: Storage | None
    held: Any


def foretell(
    trace: Trace,
    whole_s: tuple[float, float],
    *,
    ttls: Sequence[int],
    ttl: int,
    tables: frozenset[str],
    writing: Mapping[str, frozenset[str]],
    trace_of_writes: Trace,
    storage: Storage | None,
    kept: float,
    known: dict[Case, tuple[Replay, float | None]],
) -> Foretold:
    """
    Args:
        trace: the entry's own requests, under its key.
        whole_s: first and last moment of the whole trace.
        ttls: of the curve; `ttl`, the contract's, is among them.
        tables, writing, trace_of_writes: what makes it stale, see `writes_to`.
        storage: how Redis keeps it, None where it lives elsewhere.
        kept: share of its time to live after which a value is computed anew.
        known: what was replayed of these requests before; what is replayed now is added.
    """
    accesses = columns_of(trace.accesses)
    entry, members = accesses.groups[0], np.arange(len(accesses))
    facts = replace(facts_of(accesses, members), first_s=whole_s[0], last_s=whole_s[1])
    writes = writes_to(trace_of_writes, tables, writing)
    requests = requests_with(accesses, members, facts, writes)
    first = first_requests(requests)
    kinds = ("ttl",) if writes is None else ("ttl", "event")
    lru = {"lru": load_policies()["lru"]}
    if missing := [each for each in ttls if (each, None, "lru", kinds[-1]) not in known]:
        known |= outcomes(requests, missing, [None], lru, kinds, EXACT_REQUESTS, len(accesses), kept)
    rows: dict[tuple[int, str], ForecastRow] = {}
    for each in ttls:
        for kind in kinds:
            outcome, error = known[each, None, "lru", kind]
            warm = warming_of(first, each * kept, kind == "event") if each == ttl else None
            figures = row_of(outcome, requests.all_keys, is_judged(requests), bool(facts.sized), warm)
            figures |= {"group": entry, "ttl_seconds": each, "capacity_bytes": None, "policy": "lru"}
            rows[each, kind] = ForecastRow(**figures, invalidation=kind, sampling_error=error)
    row, curve = rows[ttl, kinds[-1]], tuple(rows.values())
    asked_most = (accesses.keys[key] for key in first.key[: min(NAMED, row.warm_keys or 0)])
    row = replace(row, warm_first=tuple(name for name in asked_most if name))
    in_redis = None
    if storage is not None and facts.sized:
        life = ttl * kept
        _, missed = next(iter(parts_of_ttls(requests, [life], None, kinds[-1] == "event")))
        in_redis = held(requests, missed, storage)
        row = replace(row, memory_bytes=round(float(resident(in_redis, requests.grid).max())))
    if len(kinds) == 2:
        alone = rows[ttl, "ttl"]
        lost = alone.hit_rate - row.hit_rate
        row = replace(row, hit_rate=alone.hit_rate, stale_rate=lost, stale_age_s=alone.stale_age_s)
    return Foretold(replace(row, invalidation="ttl"), curve, requests, storage, in_redis)


def together(entries: Sequence[Foretold], kept: float) -> tuple[tuple[ForecastRow, ...], int]:
    """
    All entries of one Redis under several sizes and Redis's policies, and the bytes that hold everything.

    Empty where none of them has sizes.
    """
    sharing = [e for e in entries if e.storage is not None and e.held is not None]
    if not sharing:
        return (), 0
    needed = int(resident(sum(e.held for e in sharing), sharing[0].requests.grid).max())
    requests, lives, kind = _merged(sharing, kept)
    policies, rows = load_policies(), []
    many = len(requests.time_s)
    strata = strata_of(requests.asked(), min(1.0, SHARED_AT_MOST / many), weights=requests.weight)
    sampled = scaled(requests, strata)
    own_kind = kind[np.concatenate([s.keys for s in strata])]
    for parts in SHARES:
        for name in POLICIES:
            capacity = max(1, needed // parts)
            outcome, error = limited(
                *sampled, 0.0, capacity, policies[name], drops=True, kinds=(lives, own_kind)
            )
            figures = row_of(outcome, requests.all_keys, requests.judging, True, None)
            figures |= {"group": "", "ttl_seconds": None, "capacity_bytes": capacity, "policy": name}
            figures |= {"cold_start": (), "error": None}
            rows.append(ForecastRow(**figures, invalidation="event", sampling_error=error or None))
    whole, _ = limited(*sampled, 0.0, None, policies["lru"], drops=True, kinds=(lives, own_kind))
    figures = row_of(whole, requests.all_keys, requests.judging, True, None)
    figures |= {"group": "", "ttl_seconds": None, "capacity_bytes": None, "policy": "lru", "cold_start": ()}
    rows.append(ForecastRow(**figures, invalidation="event"))
    return tuple(rows), needed


def _merged(entries: Sequence[Foretold], kept: float) -> tuple[Requests, Any, Any]:
    """The requests of all entries in time order, their times to live, and which of these each key has."""
    offsets = np.cumsum([0, *(e.requests.keys for e in entries)])
    time_s = np.concatenate([e.requests.time_s for e in entries])
    order = np.argsort(time_s, kind="stable")

    def column(values: Sequence[Any]) -> Any:
        return np.concatenate(values)[order]

    sizes = [
        (e.storage.record_bytes(e.requests.size) + e.storage.versions_bytes()).astype("i4")
        for e in entries
        if e.storage
    ]
    requests = entries[0].requests._replace(
        time_s=time_s[order],
        key=column([e.requests.key + at for e, at in zip(entries, offsets[:-1], strict=True)]).astype("i4"),
        size=column(sizes),
        digest=np.zeros(len(order), "i4"),
        until=column([e.requests.until for e in entries]),
        judging=all(e.requests.judging for e in entries),
        keys=int(offsets[-1]),
        took_s=None,
        first_write_s=None,
    )
    if requests.weight is not None:
        drawn = [e.requests for e in entries]
        requests = requests._replace(
            repeats=column([r.repeats for r in drawn]),
            weight=np.concatenate([r.weight for r in drawn]),
            unit=np.concatenate([r.unit for r in drawn]),
        )
    lives = np.array([e.storage.ttl_s * kept for e in entries if e.storage])
    return requests, lives, np.repeat(np.arange(len(entries)), np.diff(offsets)).astype("i4")


def loads_of(accesses: Accesses, after: Mapping[str, tuple[float, bool]], most: int = 20) -> tuple[Load, ...]:
    """
    What the endpoints cost that cost most.

    Args:
        after: of an endpoint the share of its requests that still have to be computed, and whether such a request is all
            that its computing was.
    """
    found = []
    for number, group in enumerate(accesses.groups):
        at = accesses.group == number
        requests = requests_in(accesses, at)
        took = accesses.duration_ms[at].astype("f8")
        weight = np.ones(len(took)) if accesses.sample is None else accesses.sample.stands_for[at]
        known = ~np.isnan(took)
        busy = float(np.average(took[known], weights=weight[known])) * requests / 1000 if known.any() else None  # fmt: skip
        left, is_whole = after.get(group, (1.0, True))
        found.append(
            Load(
                endpoint=group,
                requests=requests,
                origin_requests=round(left * requests),
                busy_s=busy,
                origin_busy_s=None if busy is None or not is_whole else busy * left,
            )
        )
    return tuple(sorted(found, key=lambda load: (-(load.busy_s or 0), -load.requests))[:most])
