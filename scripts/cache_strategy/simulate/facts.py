"""What must be known of all requests of a group before any of them can be replayed; facts of parts of it add up."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cache_strategy.model.trace import Accesses, Sample
from cache_strategy.simulate.outcome import Grid
from cache_strategy.simulate.replay import Requests, requests_of

MANY_PATHS = 8
"""From so many on a key is asked for by so many that those drawn tell when it is missed (assumed)."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """
    Of some keys of a group, all of whose requests were seen.

    `users` are two of them at most. `differ` is whether two users got different answers to one key, `met` whether two asked
    for one key at all and digests show what they got.
    """

    requests: int
    first_s: float
    last_s: float
    users: frozenset[str]
    differ: bool
    met: bool
    sized: int
    bytes: int
    timed: int
    took_ms: float

    @property
    def is_private(self) -> bool:
        """Whether there are several users, and no digests which show that these get the same answers."""
        return len(self.users) > 1 and (self.differ or not self.met)

    @property
    def grid(self) -> Grid:
        return Grid.over(self.first_s, self.last_s - self.first_s)

    @property
    def mean_bytes(self) -> int:
        return round(self.bytes / max(1, self.sized))

    def __add__(self, other: "Facts") -> "Facts":
        return Facts(
            requests=self.requests + other.requests,
            first_s=min(self.first_s, other.first_s),
            last_s=max(self.last_s, other.last_s),
            users=frozenset(sorted(self.users | other.users)[:2]),
            differ=self.differ or other.differ,
            met=self.met or other.met,
            sized=self.sized + other.sized,
            bytes=self.bytes + other.bytes,
            timed=self.timed + other.timed,
            took_ms=self.took_ms + other.took_ms,
        )


def facts_of(accesses: Accesses, members: Any) -> Facts:
    """Of the requests at these places, which are in time order."""
    users = np.unique(accesses.user[members])
    differ, met = _answers(accesses, members) if len(users) > 1 else (False, False)
    size, took = accesses.size_bytes[members], accesses.duration_ms[members]
    has_size, has_time = size >= 0, ~np.isnan(took)
    times = accesses.time_s
    return Facts(
        requests=len(members),
        first_s=float(times[members[0]]),
        last_s=float(times[members[-1]]),
        users=frozenset(sorted(accesses.users[user] for user in users[:3])[:2]),
        differ=differ,
        met=met,
        sized=int(has_size.sum()),
        bytes=int(size[has_size].sum(dtype="i8")),
        timed=int(has_time.sum()),
        took_ms=float(took[has_time].sum(dtype="f8")),
    )


def _answers(accesses: Accesses, members: Any) -> tuple[bool, bool]:
    last: dict[int, tuple[int, int]] = {}
    met = False
    said = members[accesses.digest[members] > 0]
    columns = (accesses.key, accesses.user, accesses.digest)
    for key, user, digest in zip(*(column[said].tolist() for column in columns), strict=True):
        before = last.get(key)
        if before is not None and before[0] != user:
            met = True
            if before[1] != digest:
                return True, True
        last[key] = (user, digest)
    return False, met


def requests_with(accesses: Accesses, members: Any, facts: Facts, writes: Any | None) -> Requests:
    """The requests at these places; one that lacks its size or its time gets the mean of all that `facts` know."""
    key = accesses.key[members].astype("i8")
    if facts.is_private:
        key = key * len(accesses.users) + accesses.user[members]
    size = accesses.size_bytes[members] if facts.sized else None
    if size is not None:
        size = np.where(size < 0, facts.mean_bytes, size)
    took = accesses.duration_ms[members] / np.float32(1000) if facts.timed else None
    if took is not None:
        took = np.where(np.isnan(took), np.float32(facts.took_ms / facts.timed / 1000), took)
    _, first, key = np.unique(key, return_index=True, return_inverse=True)
    found = requests_of(
        accesses.time_s[members],
        key,
        size,
        accesses.digest[members],
        None if writes is None else (writes, np.full(len(writes), -1, "i4")),
        took,
        facts.grid,
    )
    return found if accesses.sample is None else _drawn(found, accesses.sample, members, first)


def _drawn(requests: Requests, sample: Sample, members: Any, first: Any) -> Requests:
    """
    The requests as what they stand for. Of a key to which many paths lead (an entry's, whose key leaves out a part of them) all
    requests were seldom drawn: each of them stands for its like at its moment.
    """
    unit, repeats = sample.unit[members], sample.repeats[members]
    own = unit[first]
    pairs = np.unique(requests.key.astype("i8") * len(sample.rate) + unit) // len(sample.rate)
    joined = np.bincount(pairs, minlength=requests.keys) >= MANY_PATHS
    repeats = np.where(joined[requests.key], sample.stands_for[members], repeats)
    weight = np.where(joined, 1.0, sample.weight[own])
    return requests._replace(repeats=repeats, weight=weight, unit=np.where(joined, -1, own), sample=sample)
