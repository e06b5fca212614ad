"""The requests of one group, and caches over them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cache_strategy.model.trace import Sample
from cache_strategy.simulate import loops
from cache_strategy.simulate.engine import Engine, engine_for
from cache_strategy.simulate.loops import AGED, COUNTS, FOREVER, JUDGED, STALE
from cache_strategy.simulate.outcome import Grid, Part, Replay, outcome_of
from cache_strategy.simulate.policies import Policy

TTLS_AT_ONCE = 24
HEAD = 64
UNLIMITED = 1 << 62
WARM_KEYS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
WORTH_WARMING = 0.5
"""At least every second filled value must serve somebody (assumed)."""


class Requests(NamedTuple):
    """What one cache is asked for: `loops.Columns`, how many keys there are, and what else is known of the requests."""

    time_s: Any
    key: Any
    size: Any
    digest: Any
    until: Any
    judging: bool
    keys: int
    grid: Grid
    took_s: Any = None
    """Seconds that the origin took, None where not known."""
    first_write_s: Any = None
    """Per key the first write of all, None where writes are not known."""
    repeats: Any = None
    """Of a sample, per request how many it is at its moment; per key how many keys it stands for, and what it was drawn with."""
    weight: Any = None
    unit: Any = None
    sample: Sample | None = None

    @property
    def all_keys(self) -> int:
        """With those that were not drawn."""
        return self.keys if self.weight is None else round(float(self.weight.sum()))

    def asked(self) -> Any:
        """How often each key was asked for, where it was drawn."""
        return np.bincount(self.key, self.repeats, self.keys)

    def columns(self, engine: Engine) -> tuple[Any, ...]:
        return (*map(engine.column, self[:5]), self.judging)


def requests_of(
    time_s: Any,
    key: Any,
    size: Any = None,
    digest: Any = None,
    writes: tuple[Any, Any] | None = None,
    took_s: Any = None,
    grid: Grid | None = None,
    keys: int | None = None,
) -> Requests:
    """
    Columns in any order to requests.

    Args:
        key: whole numbers from 0, none left out.
        writes: times in order and keys, -1 for a write that concerns all keys; None where writes are not known.
        grid: of the whole trace, where these are a part of it.
        keys: how many there are; where it is not given the largest is taken to be asked for.
    """
    time_s, many = np.asarray(time_s, "f8"), len(time_s)
    order = slice(None) if np.all(time_s[1:] >= time_s[:-1]) else np.argsort(time_s, kind="stable")
    size = np.ones(many, "i4") if size is None else np.asarray(size)
    digest = np.zeros(many, "i4") if digest is None else np.asarray(digest)
    key, size, digest = (np.ascontiguousarray(c[order], "i4") for c in (np.asarray(key), size, digest))
    took_s = None if took_s is None else np.ascontiguousarray(np.asarray(took_s)[order], "f4")
    time_s = time_s[order]
    grid = grid or Grid.of(time_s)
    time_s = time_s - grid.start_s
    keys = keys or int(key.max()) + 1
    until, first_write = np.full(many, FOREVER), None
    if writes is not None:
        known = np.asarray(writes[1]) < keys
        when, which = np.asarray(writes[0], "f8")[known] - grid.start_s, np.asarray(writes[1], "i4")[known]
        engine = engine_for(many)
        until, following = engine.column(until), engine.blank(keys, FOREVER, "f8")
        all_keys = engine.ready(loops.until_next_write)(
            *map(engine.column, (time_s, key, when, which)), following, until
        )
        until, first_write = np.asarray(until), np.minimum(np.asarray(following), all_keys)
    return Requests(time_s, key, size, digest, until, writes is not None, keys, grid, took_s, first_write)


def parts_of_ttls(
    requests: Requests, ttls: Sequence[float], engine: Engine | None = None, drops: bool = False
) -> Iterator[tuple[Part, Any]]:
    """
    A cache without a limit under each of `ttls` (infinity for no expiry); with `drops` a write takes out the values that it
    may have changed. Also gives which requests were missed.
    """
    many = len(requests.time_s)
    engine = engine or engine_for(many * len(ttls))
    columns = requests.columns(engine)
    begins = np.concatenate([[0], np.cumsum(np.bincount(requests.key, minlength=requests.keys))])
    order, starts = engine.blank(many, 0, "i4"), engine.column(begins)
    engine.ready(loops.by_key)(columns[1], engine.column(begins.copy()), order)
    edges = engine.column(requests.grid.edges(requests.time_s))
    for start in range(0, len(ttls), TTLS_AT_ONCE):
        lives = np.array(ttls[start : start + TTLS_AT_ONCE], "f8")
        width = len(lives)
        held = (engine.blank(width, 0, "f8"), engine.blank(width, 0, "f8"), engine.blank(width, 0, "i4"))
        counts = (engine.blank(width, 0), engine.blank(width, 0), engine.blank(width, 0))
        missed, ages = engine.blank(many, 0, "u4"), engine.blank(width, 0, "f8")
        state = held, counts, ages, missed
        engine.ready(loops.many_ttls)(columns, order, starts, engine.column(lives), drops, *state)
        stored = engine.blank(many + 1, 0)
        for bit, ttl in enumerate(lives.tolist()):
            peak = engine.ready(loops.held_at_most)(columns[0], columns[2], ttl, missed, bit, stored)
            if drops:
                where = engine.blank(requests.keys, -1, "i4")
                peak = engine.ready(loops.held_replaced)(*columns[:3], ttl, missed, bit, where)
            figures = [int(column[bit]) for column in counts], float(ages[bit])
            part = _part(requests, engine, (missed, bit), edges, figures, int(peak), int(stored[many]))
            yield part, (np.asarray(missed) >> bit) & 1


def part_of_one(
    requests: Requests,
    ttl: float,
    capacity: int | None,
    policy: Policy,
    drops: bool = False,
    engine: Engine | None = None,
    kinds: tuple[Any, Any] | None = None,
) -> tuple[Part, Any]:
    """
    A cache of `capacity` bytes (None: no limit); with `drops` a write takes out the values that it may have changed. Also
    gives what became of each request (MISSED, FRESH, OLD).

    Args:
        kinds: several times to live, and which one each key has, in the place of `ttl`.
    """
    many = len(requests.time_s)
    engine = engine or engine_for(many * 4)
    head = engine.blank(HEAD, -1)
    head[0], head[1] = requests.keys, UNLIMITED if capacity is None else capacity
    counts, ages, missed = engine.blank(COUNTS, 0), engine.blank(1, 0, "f8"), engine.blank(many, 0, "u1")
    where = engine.blank(requests.keys, -1, "i4")
    links = engine.blank(policy.links(requests.keys, many), -1, "i4")
    lives, kind, order = np.array([ttl], "f8"), np.zeros(1, "i4"), np.zeros(1, "i4")
    given: dict[str, Any] = policy.functions()
    if kinds is not None:
        lives, kind = np.asarray(kinds[0], "f8"), np.asarray(kinds[1], "i4")
        order = np.argsort(requests.time_s + lives[kind[requests.key]], kind="stable").astype("i4")
        given |= {"nth_to_expire": loops.nth_of_order, "life_of": loops.life_of_kind}
    run = engine.ready(loops.one_cache, policy.name + "_kinds" * (kinds is not None), **given)
    memory = where, head, links, counts, ages, missed
    kinded = map(engine.column, (lives, kind, order))
    peak = run(requests.columns(engine), *kinded, head[1], drops, *memory)
    edges, flags = engine.column(requests.grid.edges(requests.time_s)), np.asarray(missed)
    stored = int(requests.size[flags == loops.MISSED].sum(dtype="i8"))
    figures = [int(count) for count in counts], float(ages[0])
    return _part(requests, engine, (missed, 0), edges, figures, int(peak), stored), flags


def replay_ttls(
    requests: Requests, ttls: Sequence[float], engine: Engine | None = None, drops: bool = False
) -> list[Replay]:
    return [outcome_of([part]) for part, _ in parts_of_ttls(requests, ttls, engine, drops)]


def replay_one(
    requests: Requests,
    ttl: float,
    capacity: int | None,
    policy: Policy,
    drops: bool = False,
    engine: Engine | None = None,
) -> Replay:
    return outcome_of([part_of_one(requests, ttl, capacity, policy, drops, engine)[0]])


def _part(
    requests: Requests,
    engine: Engine,
    which: tuple[Any, int],
    edges: Any,
    figures: tuple[list[int], float],
    peak: int,
    missed_bytes: int,
) -> Part:
    (missed, bit), (counts, ages_s) = which, figures
    misses = engine.blank(len(edges) - 1, 0)
    engine.ready(loops.count_misses)(missed, bit, edges, misses)
    hits = len(requests.time_s) - int(np.asarray(misses).sum())
    busy_s = together = crowd = None
    if requests.took_s is not None:
        busy_s = float(requests.took_s[(np.asarray(missed) >> bit) & 1 > 0].sum(dtype="f8"))
        columns = map(engine.column, (requests.time_s, requests.key, requests.took_s))
        state = engine.blank(requests.keys, -FOREVER, "f8"), engine.blank(requests.keys, 0, "i4")
        together, crowd = map(int, engine.ready(loops.crowds)(*columns, missed, bit, *state))
    return Part(
        grid=requests.grid,
        asked=np.diff(np.asarray(edges)),
        misses=np.asarray(misses),
        judged=hits if requests.judging else counts[JUDGED],
        stale=counts[STALE],
        aged=counts[AGED],
        ages_s=ages_s,
        peak_bytes=peak,
        bytes=int(requests.size.sum(dtype="i8")),
        missed_bytes=missed_bytes,
        busy_s=busy_s,
        together=together,
        crowd=crowd,
    )


class First(NamedTuple):
    """Of the keys that are asked for most, the first of them first: how often, when first, their first write, their number."""

    times: Any
    first_s: Any
    first_write_s: Any
    key: Any

    @classmethod
    def joined(cls, parts: "Sequence[First]") -> "First":
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))._best()

    def _best(self) -> "First":
        order = np.lexsort((self.first_s, -self.times))[: WARM_KEYS[-1]]
        return First(*(column[order] for column in self))


def first_requests(requests: Requests) -> First:
    first = np.full(requests.keys, FOREVER)
    first[requests.key[::-1]] = requests.time_s[::-1]  # the last one to be written is the earliest
    times = requests.asked()
    writes = requests.first_write_s
    writes = np.full(len(first), FOREVER) if writes is None else writes
    return First(times, first, writes, np.arange(len(first)))._best()


def warming_of(first: First, ttl: float, drops: bool) -> tuple[int, int, float]:
    """
    How many of the keys that are asked for most are worth filling beforehand, how many first requests they then answer,
    and for how many seconds that goes on. Each of the keys counts for one: its first request.
    """
    served = first.first_s < ttl
    if drops:
        served &= first.first_write_s > first.first_s
    gained = np.cumsum(served)
    keys = max((n for n in WARM_KEYS if n <= len(gained) and gained[n - 1] >= WORTH_WARMING * n), default=0)
    if not keys:
        return 0, 0, 0.0
    return keys, int(gained[keys - 1]), float(np.quantile(first.first_s[:keys][served[:keys]], 0.9))


def parts(
    requests: Requests,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Mapping[str, Policy],
    invalidations: Sequence[str],
    kept: float = 1.0,
    by_slice: bool = False,
) -> dict[tuple[int | None, int | None, str, str], Part]:
    """
    Every combination; what an unlimited cache does depends on no policy and is computed once.

    Args:
        kept: share of its time to live after which a value is computed anew.
        by_slice: whether to say what unlimited caches held in each slice, for the parts of a whole.
    """
    found = {}
    lives = [FOREVER if ttl is None else ttl * kept for ttl in ttls]
    for capacity in capacities:
        for kind in invalidations:
            drops = kind == "event"
            for name, policy in list(policies.items())[: 1 if capacity is None else None]:
                if capacity is None:
                    done = parts_of_ttls(requests, lives, None, drops)
                    rows = [
                        with_changes(part, requests, missed, life) if by_slice else part
                        for (part, missed), life in zip(done, lives, strict=True)
                    ]
                else:
                    rows = [part_of_one(requests, life, capacity, policy, drops)[0] for life in lives]
                for ttl, row in zip(ttls, rows, strict=True):
                    for same in policies if capacity is None else (name,):
                        found[ttl, capacity, same, kind] = row
    return found


MOST_CHANGES = 200_000
"""Of one part; more of them are not sent to where parts are joined."""


def with_changes(part: Part, requests: Requests, missed: Any, ttl: float) -> Part:
    """The part with what an unlimited cache held over time."""
    at = np.flatnonzero(missed)
    at = at[np.argsort(requests.key[at], kind="stable")]
    begins, key, size = requests.time_s[at], requests.key[at], requests.size[at].astype("i8")
    again = np.append(np.where(key[1:] == key[:-1], begins[1:], FOREVER), FOREVER)
    when, change = np.concatenate([np.minimum(again, begins + ttl), begins]), np.concatenate([-size, size])
    order = np.lexsort((change, when))  # what leaves at a moment leaves first
    order = order[np.isfinite(when[order])]
    when, change = when[order], change[order]
    edges = requests.grid.edges(when)[:-1]
    so_far = np.concatenate([[0], np.cumsum(change)])
    inside = np.maximum.reduceat(np.append(so_far[1:], 0), edges)
    ends = np.append(edges[1:], len(when))
    held = np.where(ends > edges, np.maximum(so_far[edges], inside), so_far[edges])
    return replace(part, held=held, changes=(when, change) if len(when) <= MOST_CHANGES else None)
