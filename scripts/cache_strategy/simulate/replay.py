"""The requests of one group, and caches over them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cache_strategy.simulate.engine import Engine, engine_for
from cache_strategy.simulate.loops import (
    AGED,
    COUNTS,
    FOREVER,
    JUDGED,
    STALE,
    held_at_most,
    many_ttls,
    one_cache,
    until_next_write,
)
from cache_strategy.simulate.policies import Policy

TTLS_AT_ONCE = 24
STATE_BYTES = 4
"""Per key and time to live."""
HEAD = 64
UNLIMITED = 1 << 62
BATCHES = 21
"""The last one is longer, and left out."""
FEWEST_PER_BATCH = 10
STUDENT_T = 2.093
"""97.5 % quantile of Student's t with 19 degrees of freedom."""


class Requests(NamedTuple):
    """What one cache is asked for: `loops.Columns`, and how many keys there are."""

    time_s: Any
    key: Any
    size: Any
    digest: Any
    until: Any
    judging: bool
    keys: int

    def columns(self, engine: Engine) -> tuple[Any, ...]:
        return (*map(engine.column, self[:5]), self.judging)


class Replay(NamedTuple):
    """
    What one cache did: of `judged` hits it is known whether they were `stale`, of `aged` ones of these since when, on
    average `age_s`. `origin_peak` is the most misses within one minute.
    """

    hits: int
    judged: int
    stale: int
    aged: int
    age_s: float
    peak_bytes: int
    hit_bytes: int
    origin_peak: int
    error: float | None


def requests_of(
    time_s: Any, key: Any, size: Any = None, digest: Any = None, writes: tuple[Any, Any] | None = None
) -> Requests:
    """
    Columns in any order to requests.

    Args:
        key: whole numbers from 0, none left out.
        writes: times in order and keys, -1 for a write that concerns all keys; None where writes are not known.
    """
    time_s, many = np.asarray(time_s, "f8"), len(time_s)
    order = slice(None) if np.all(time_s[1:] >= time_s[:-1]) else np.argsort(time_s, kind="stable")
    size = np.ones(many) if size is None else np.asarray(size)
    digest = np.zeros(many) if digest is None else np.asarray(digest)
    key, size, digest = (np.ascontiguousarray(c[order], "i4") for c in (np.asarray(key), size, digest))
    time_s, keys = time_s[order], int(key.max()) + 1
    until = np.full(many, FOREVER)
    if writes is not None:
        asked = np.asarray(writes[1]) < keys
        when, which = np.asarray(writes[0], "f8")[asked], np.asarray(writes[1], "i4")[asked]
        engine = engine_for(many)
        until = engine.column(until)
        following = engine.blank(keys, FOREVER, "f8")
        engine.ready(until_next_write)(*map(engine.column, (time_s, key, when, which)), following, until)
        until = np.asarray(until) - time_s[0]
    return Requests(time_s - time_s[0], key, size, digest, until, writes is not None, keys)


def replay_ttls(requests: Requests, ttls: Sequence[float], engine: Engine | None = None) -> list[Replay]:
    """A cache without a limit, whose values only expire, under each of `ttls` (infinity for no expiry)."""
    many = len(requests.time_s)
    engine = engine or engine_for(many * len(ttls))
    at_once = max(1, min(TTLS_AT_ONCE, 16 * many // (STATE_BYTES * requests.keys + 1)))
    columns, stored, edges = requests.columns(engine), engine.blank(many + 1, 0), _edges(requests.time_s)
    done = []
    for start in range(0, len(ttls), at_once):
        part = np.array(ttls[start : start + at_once], "f8")
        where = engine.blank(requests.keys * len(part), -1, "i4")
        counts, ages = engine.blank(len(part) * COUNTS, 0), engine.blank(len(part), 0, "f8")
        missed = engine.blank(many, 0, "u4")
        engine.ready(many_ttls)(columns, engine.column(part), where, counts, ages, missed)
        flags = np.asarray(missed)
        for bit, ttl in enumerate(part.tolist()):
            peak = engine.ready(held_at_most)(columns, ttl, missed, bit, stored)
            misses = np.add.reduceat((flags >> bit) & 1, edges, dtype="i8")
            done.append(_replay(requests, counts[bit * COUNTS :], ages[bit], misses, edges, peak, stored[-1]))
    return done


def replay_one(
    requests: Requests,
    ttl: float,
    capacity: int | None,
    policy: Policy,
    drops: bool = False,
    engine: Engine | None = None,
) -> Replay:
    """A cache of `capacity` bytes (None: no limit); with `drops` a write takes out the values that it may have changed."""
    many = len(requests.time_s)
    engine = engine or engine_for(many * 4)
    head = engine.blank(HEAD, -1)
    head[0], head[1] = requests.keys, UNLIMITED if capacity is None else capacity
    counts, ages, missed = engine.blank(COUNTS, 0), engine.blank(1, 0, "f8"), engine.blank(many, 0, "u1")
    where = engine.blank(requests.keys, -1, "i4")
    links = engine.blank(policy.links(requests.keys, many), -1, "i4")
    run = engine.ready(one_cache, policy.name, **policy.functions())
    peak = run(requests.columns(engine), float(ttl), head[1], drops, where, head, links, counts, ages, missed)
    flags, edges = np.asarray(missed), _edges(requests.time_s)
    misses = np.add.reduceat(flags, edges, dtype="i8")
    return _replay(requests, counts, ages[0], misses, edges, peak, requests.size[flags > 0].sum(dtype="i8"))


def _edges(time_s: Any) -> Any:
    """Where a minute or a batch begins."""
    minutes = np.flatnonzero(np.diff(time_s // 60, prepend=-1))
    return np.union1d(minutes, np.arange(BATCHES) * (len(time_s) // BATCHES))


def _replay(
    requests: Requests, counts: Any, age_s: float, misses: Any, edges: Any, peak: int, missed_bytes: int
) -> Replay:
    minutes = np.flatnonzero(np.diff(requests.time_s[edges] // 60, prepend=-1))
    return Replay(
        hits=len(requests.time_s) - int(misses.sum()),
        judged=int(counts[JUDGED]),
        stale=int(counts[STALE]),
        aged=int(counts[AGED]),
        age_s=float(age_s) / max(1, int(counts[AGED])),
        peak_bytes=int(peak),
        hit_bytes=int(requests.size.sum(dtype="i8") - missed_bytes),
        origin_peak=int(np.add.reduceat(misses, minutes).max()),
        error=half_width(misses, edges, len(requests.time_s) // BATCHES),
    )


def half_width(misses: Any, edges: Any, size: int) -> float | None:
    """
    Half of the 95 % interval of a rate; None for batches of fewer than 10 requests.

    Source:
        Batch means: Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """
    if size < FEWEST_PER_BATCH:
        return None
    means = np.add.reduceat(misses, np.searchsorted(edges, np.arange(BATCHES) * size))[:-1] / size
    return STUDENT_T * float(means.std(ddof=1)) / math.sqrt(BATCHES - 1)


def replays(
    requests: Requests,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Mapping[str, Policy],
    invalidations: Sequence[str],
) -> dict[tuple[int | None, int | None, str, str], Replay]:
    """Every combination; what an unlimited cache does depends on no policy and is computed once."""
    found = {}
    lives = [FOREVER if ttl is None else float(ttl) for ttl in ttls]
    for capacity in capacities:
        for kind in invalidations:
            for name, policy in list(policies.items())[: 1 if capacity is None else None]:
                if capacity is None and kind == "ttl":
                    rows = replay_ttls(requests, lives)
                else:
                    rows = [replay_one(requests, life, capacity, policy, kind == "event") for life in lives]
                for ttl, row in zip(ttls, rows, strict=True):
                    for same in policies if capacity is None else (name,):
                        found[ttl, capacity, same, kind] = row
    return found
