"""Caches over the requests of one group, each way of asking as cheaply as it can be answered."""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cache_strategy.simulate.columns import Requests
from cache_strategy.simulate.engine import Engine, engine_for
from cache_strategy.simulate.loops import (
    AGE_SUM,
    AGED,
    AGES,
    BATCHES,
    COUNTS,
    FOREVER,
    HITS,
    JUDGED,
    STALE,
    held_at_most,
    many_ttls,
    one_cache,
)
from cache_strategy.simulate.policies import Policy

TTLS_AT_ONCE = 24
STATE_BYTES = 20
"""Per key and time to live."""
HEAD = 64
UNLIMITED = 1 << 62
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Replay:
    """
    What one cache did.

    `batches` are hits up to the end of each twentieth of the requests; `judged` are the hits of which it is known whether
    they were `stale`, `aged` those stale ones of which it is known since when, `age_s` their mean. `hit_bytes` and
    `peak_bytes` mean nothing where sizes are not known. `origin_peak` is the most misses within one minute.
    """

    hits: int
    judged: int
    stale: int
    aged: int
    age_s: float
    batches: Sequence[int]
    hit_bytes: int
    peak_bytes: int
    origin_peak: int


def replay_ttls(requests: Requests, ttls: Sequence[float], engine: Engine | None = None) -> list[Replay]:
    """A cache without a limit, whose values only expire, under each of `ttls` (infinity for no expiry)."""
    many = len(requests.time_s)
    engine = engine or engine_for(many * len(ttls))
    at_once = max(1, min(TTLS_AT_ONCE, 16 * many // (STATE_BYTES * requests.keys + 1)))
    columns = [engine.column(c) for c in (requests.time_s, requests.key, requests.digest, requests.until)]
    size = engine.column(requests.size)
    stored_bytes = engine.blank(many + 1, 0)
    done = []
    for start in range(0, len(ttls), at_once):
        part = np.array(ttls[start : start + at_once], "f8")
        cells = requests.keys * len(part)
        counts, ages, batches = (
            engine.blank(len(part) * n, 0, t) for n, t in ((COUNTS, "i8"), (AGES, "f8"), (BATCHES, "i8"))
        )
        missed = engine.blank(many, 0, "u4")
        engine.ready(many_ttls)(
            *columns,
            requests.writes_known,
            engine.column(part),
            engine.blank(cells, -FOREVER, "f8"),
            engine.blank(cells, FOREVER, "f8"),
            engine.blank(cells, 0, "i4"),
            counts,
            ages,
            batches,
            missed,
        )
        flags = np.asarray(missed)
        for bit, ttl in enumerate(part.tolist()):
            peak = engine.ready(held_at_most)(columns[0], size, ttl, missed, bit, stored_bytes)
            done.append(
                _replay(
                    requests,
                    counts[bit * COUNTS : (bit + 1) * COUNTS],
                    ages[bit * AGES : (bit + 1) * AGES],
                    batches[bit * BATCHES : (bit + 1) * BATCHES],
                    (flags >> bit) & 1,
                    peak,
                )
            )
    return done


def replay_one(
    requests: Requests,
    *,
    ttl: float,
    capacity: int | None,
    policy: Policy,
    drops: bool = False,
    engine: Engine | None = None,
) -> Replay:
    """
    One cache of `capacity` bytes (None: no limit). A value is served while it is younger than `ttl`, and with `drops` only
    until a write; what is larger than the cache is never stored.
    """
    many = len(requests.time_s)
    engine = engine or engine_for(many * 4)
    head = engine.blank(HEAD, -1)
    head[0], head[1], head[3] = requests.keys, UNLIMITED if capacity is None else capacity, -1
    counts, ages, missed = engine.blank(COUNTS, 0), engine.blank(AGES, 0, "f8"), engine.blank(many, 0, "u1")
    functions = policy.functions(importlib.import_module(policy.module_name))
    peak = engine.ready(one_cache, policy.name, **functions)(
        *map(engine.column, (requests.time_s, requests.key, requests.size, requests.digest, requests.until)),
        requests.writes_known,
        float(ttl),
        head[1],
        drops,
        engine.blank(requests.keys, -1, "i4"),
        head,
        engine.blank(policy.links(requests.keys, many), -1, "i4"),
        counts,
        ages,
        missed,
    )
    flags = np.asarray(missed)
    ends = [-(-many * (batch + 1) // BATCHES) for batch in range(BATCHES)]
    hits = np.concatenate(([0], np.cumsum(1 - flags.astype("i8"))))
    return _replay(requests, counts, ages, hits[ends], flags, peak)


def _replay(requests: Requests, counts: Any, ages: Any, batches: Any, missed: Any, peak: int) -> Replay:
    minutes = np.flatnonzero(np.diff(requests.time_s // 60, prepend=-1))
    return Replay(
        hits=int(counts[HITS]),
        judged=int(counts[JUDGED]),
        stale=int(counts[STALE]),
        aged=int(counts[AGED]),
        age_s=float(ages[AGE_SUM]) / int(counts[AGED]) if counts[AGED] else 0.0,
        batches=[int(n) for n in batches],
        hit_bytes=int(np.dot(requests.size.astype("f8"), 1 - missed.astype("f8")))
        if requests.sizes_known
        else 0,
        peak_bytes=int(peak),
        origin_peak=int(np.add.reduceat(missed, minutes, dtype="i8").max()) if len(minutes) else 0,
    )


STUDENT_T = 2.093
"""97.5 % quantile of Student's t with BATCHES - 1 = 19 degrees of freedom."""
FEWEST_PER_BATCH = 10


def half_width(hits_up_to: Sequence[int], requests: int) -> float | None:
    """
    Half of the 95 % interval of a hit rate; None for fewer than 200 requests.

    Source:
        Batch means: consecutive requests are not independent, the means of 20 consecutive batches nearly are.
        Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """
    if requests < BATCHES * FEWEST_PER_BATCH:
        return None
    ends = [-(-requests * batch // BATCHES) for batch in range(BATCHES + 1)]
    means = np.diff([0, *hits_up_to]) / np.diff(ends)
    return STUDENT_T * float(means.std(ddof=1)) / math.sqrt(BATCHES)


def replays(
    requests: Requests,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Mapping[str, Policy],
    invalidations: Sequence[str],
) -> dict[tuple[int | None, int | None, str, str], Replay]:
    """Every combination; what an unlimited cache does depends on no policy and is computed once."""
    found: dict[tuple[int | None, int | None, str, str], Replay] = {}
    lives = {ttl: FOREVER if ttl is None else float(ttl) for ttl in ttls}
    for capacity in capacities:
        for invalidation in invalidations:
            drops = invalidation == "event"
            if capacity is None and not drops:
                rows = replay_ttls(requests, list(lives.values()))
                found |= {
                    (ttl, None, name, invalidation): row
                    for ttl, row in zip(lives, rows, strict=True)
                    for name in policies
                }
                continue
            for ttl, life in lives.items():
                for name, policy in policies.items():
                    same = (ttl, None, next(iter(policies)), invalidation)
                    if capacity is None and same in found:
                        found[ttl, None, name, invalidation] = found[same]
                    else:
                        found[ttl, capacity, name, invalidation] = replay_one(
                            requests, ttl=life, capacity=capacity, policy=policy, drops=drops
                        )
    return found
