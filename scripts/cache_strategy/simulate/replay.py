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
    COUNTS,
    FOREVER,
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
BATCHES = 21
"""The last one is longer, and left out."""
FEWEST_PER_BATCH = 10
STUDENT_T = 2.093
"""97.5 % quantile of Student's t with 19 degrees of freedom."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """
    What one cache did.

    `judged` are the hits of which it is known whether they were `stale`, `aged` those stale ones of which it is known since
    when, `age_s` their mean. `hit_bytes` and `peak_bytes` mean nothing where sizes are not known. `origin_peak` is the
    most misses within one minute, `error` half of the 95 % interval of the hit rate.
    """

    hits: int
    judged: int
    stale: int
    aged: int
    age_s: float
    hit_bytes: int
    error: float | None
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
        counts, ages = engine.blank(len(part) * COUNTS, 0), engine.blank(len(part) * AGES, 0, "f8")
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
            missed,
        )
        flags = np.asarray(missed)
        for bit, ttl in enumerate(part.tolist()):
            peak = engine.ready(held_at_most)(columns[0], size, ttl, missed, bit, stored_bytes)
            done.append(
                _replay(requests, counts[bit * COUNTS :], ages[bit * AGES :], (flags >> bit) & 1, peak)
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
    head[0], head[1] = requests.keys, UNLIMITED if capacity is None else capacity
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
    return _replay(requests, counts, ages, np.asarray(missed), peak)


def _replay(requests: Requests, counts: Any, ages: Any, missed: Any, peak: int) -> Replay:
    minutes = np.flatnonzero(np.diff(requests.time_s // 60, prepend=-1))
    size = requests.size
    return Replay(
        hits=len(missed) - int(missed.sum(dtype="i8")),
        judged=int(counts[JUDGED]),
        stale=int(counts[STALE]),
        aged=int(counts[AGED]),
        age_s=float(ages[AGE_SUM]) / int(counts[AGED]) if counts[AGED] else 0.0,
        hit_bytes=int(size.sum(dtype="i8") - size[missed > 0].sum(dtype="i8")),
        error=half_width(missed),
        peak_bytes=int(peak),
        origin_peak=int(np.add.reduceat(missed, minutes, dtype="i8").max()) if len(minutes) else 0,
    )


def half_width(flags: Any) -> float | None:
    """
    Half of the 95 % interval of the share of ones; None for fewer than 200.

    Source:
        Batch means: consecutive requests are not independent, the means of 20 consecutive batches nearly are.
        Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """
    size = len(flags) // BATCHES
    if size < FEWEST_PER_BATCH:
        return None
    means = np.add.reduceat(flags, np.arange(BATCHES) * size, dtype="i8")[:-1] / size
    return STUDENT_T * float(means.std(ddof=1)) / math.sqrt(BATCHES - 1)


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
        for kind in invalidations:
            for name, policy in list(policies.items())[: 1 if capacity is None else None]:
                if capacity is None and kind == "ttl":
                    rows = replay_ttls(requests, list(lives.values()))
                else:
                    rows = [
                        replay_one(
                            requests, ttl=life, capacity=capacity, policy=policy, drops=kind == "event"
                        )
                        for life in lives.values()
                    ]
                for ttl, row in zip(lives, rows, strict=True):
                    for same in policies if capacity is None else (name,):
                        found[ttl, capacity, same, kind] = row
    return found
