"""
A log that does not fit into memory, read once: what is asked for most stays whole, of the rest a part is drawn that covers all of it.

What is drawn is a path with all its requests, by a hash of it (spatially, as SHARDS does), so that what a cache does with its
keys is seen whole; a path that many ask for under many queries or as many users is drawn by these. The chance of being drawn is
the higher the more often it was asked for so far, by the root of it, and never rises again: what was left out once stays out.
All paths are counted, so that those drawn are known to stand for as many requests as there were. Requests that may write are
not drawn but kept. Those alike within a second, which any cache answers alike, are kept once and counted.

Source:
    Waldspurger et al., Efficient MRC Construction with SHARDS, FAST 2015; Cochran, Sampling Techniques, section 5.5 (the root).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cache_strategy.model.trace import Sample
from cache_strategy.simulate.counting import CLASSES, Counts, chance
from cache_strategy.simulate.sampling import hashes
from cache_strategy.simulate.scan import FAMILIES

SECOND = 1.0
"""Requests for the same within it are kept once; no time to live is shorter."""
WIDE_SHARE, WIDE_AT_LEAST = 1 / 200, 40
"""A path with more of the room than this is drawn by query and user, where there are so many of these (assumed)."""
WRITES_SHARE = 0.5
"""Of the room; of more writes than that a part is drawn as well."""
WHOLE_SHARE = 0.3
"""Of the room is for what is asked for most (assumed)."""
NAME_ROWS = 4
"""What a request's name takes beside the room of a row: its text, its hash and its number."""
LEAST = 60


class Names(NamedTuple):
    """By number the hashes of requests, of their paths (see `scan.take`), and of users."""

    requests: Any
    paths: Any
    users: Any


Part = tuple[Any, Any, Any, Any, Any, Any, Any]
"""Times, numbers of requests and of users, status, size, milliseconds, how many requests each stands for."""


class Room:
    """The requests of logs that are kept, `most` of them at most."""

    def __init__(self, most: int, salt: int = 0) -> None:
        self.parts: list[Part] = []
        self.seen = 0
        self.is_drawn = False
        self.writes_whole = True
        self._most, self._salt, self._held, self._step = most, salt, 0, 0
        self._rate = 1.0
        self._counts = Counts()
        self._wide = np.zeros(0, "i8")
        self._often, self._rates = np.zeros(0, "u8"), np.zeros(0)

    def wanted(self, requests: Any, paths: Any, users: Any) -> Any:
        """Of requests just read, by their hashes, those that are kept."""
        self.seen += len(requests)
        if not self.is_drawn:
            return slice(None)
        units = self._units(requests, paths, users)
        self._counts.add(units, _family(paths), np.ones(len(units), "i4"))
        return np.flatnonzero(chance(units) < self._rate_of(units, paths))

    def add(self, part: tuple[Any, ...], known: int, names: Callable[[], Names]) -> bool:
        """A part more, after which `known` requests have names; whether requests left, so that some names may not be needed any more."""
        whole: Part = (*part, np.ones(len(part[0]), "i4"))
        self.parts.append(_merged(whole) if self.is_drawn else whole)
        self._held += len(self.parts[-1][0])
        if self._held + NAME_ROWS * known <= self._most:
            return False
        self._draw(names())
        return True

    def _draw(self, names: Names) -> None:
        """Makes room: half of it, so that this is done seldom."""
        is_first = not self.is_drawn
        if is_first:
            self.parts = [_merged(part) for part in self.parts]
            self.is_drawn = True
        columns = [np.concatenate(column) for column in zip(*self.parts, strict=True)]
        self.parts.clear()
        request, user, repeats = columns[1], columns[2], columns[6]
        hashed = names.requests[request], names.paths[request], names.users[user]
        goal = self._most // 2
        units = self._units(*hashed)
        before = self._rate_of(units, hashed[1])
        wide = self._widen(hashed, before, goal)
        self._counts.forget(np.unique(units[wide]))
        units = self._units(*hashed)
        new = np.flatnonzero(wide | is_first)
        self._counts.add(units[new], _family(hashed[1][new]), repeats[new])
        found, first, place = np.unique(units, return_index=True, return_inverse=True)
        cost = np.ones(len(request))
        cost[np.unique(request, return_index=True)[1]] += NAME_ROWS
        costs, asked = np.bincount(place, cost), np.bincount(place, repeats)
        before, writes = before[first], hashed[1][first] & 1 > 0
        self.writes_whole = self.writes_whole and float(costs[writes].sum()) <= WRITES_SHARE * goal
        sure = writes & self.writes_whole
        most = np.argsort(-asked * ~writes, kind="stable")
        sure[most[: np.searchsorted(np.cumsum(costs[most]), WHOLE_SHARE * goal)]] = True
        while True:
            rates = np.minimum(before, np.where(sure, 1.0, _shares(asked, self._step)))
            if self._step >= LEAST or float((costs * rates / before).sum()) <= goal:
                break
            self._step += 1
        self._rate = min(self._rate, float(_shares(1.0, self._step)))
        kept = chance(found) < rates
        often = kept & (rates > self._rate) & ~(writes & self.writes_whole)
        self._often, self._rates = found[often], rates[often]
        at = np.flatnonzero(kept[place])
        self.parts = [tuple(column[at] for column in columns)]  # type: ignore[list-item]  # as many as there were
        self._held = len(at)

    def _widen(self, hashed: tuple[Any, Any, Any], before: Any, goal: int) -> Any:
        """Finds paths that take much of the room, whose requests are many different ones; which these are."""
        paths, place, rows = np.unique(hashed[1], return_inverse=True, return_counts=True)
        large = np.flatnonzero((rows > WIDE_SHARE * goal) & (paths & 1 == 0) & ~np.isin(paths, self._wide))
        of_large = np.flatnonzero(np.isin(place, large) & (before >= 1))
        different = np.unique(_mixed(hashed[0][of_large], hashed[2][of_large]), return_index=True)[1]
        many = np.bincount(place[of_large[different]], minlength=len(paths))
        wide = large[many[large] >= WIDE_AT_LEAST]
        self._wide = np.union1d(self._wide, paths[wide])
        return np.isin(place, wide)

    def _units(self, requests: Any, paths: Any, users: Any) -> Any:
        """What is drawn: 64 even bits for each request's path, or of a wide one for request and user."""
        units = hashes(paths, self._salt)
        if len(self._wide):
            wide = np.flatnonzero(np.isin(paths, self._wide))
            units[wide] = hashes(_mixed(requests[wide], users[wide]), self._salt)
        return units

    def _rate_of(self, units: Any, paths: Any) -> Any:
        """The chance with which each of these units was drawn so far."""
        rates = np.full(len(units), self._rate)
        if len(self._often):
            at = np.minimum(np.searchsorted(self._often, units), len(self._often) - 1)
            rates = np.where(self._often[at] == units, self._rates[at], rates)
        return np.where((paths & 1 > 0) & self.writes_whole, 1.0, rates)

    def sample(self, names: Names, request: Any, user: Any, repeats: Any) -> Sample | None:
        """What the requests kept stand for; None where all were kept."""
        if not self.is_drawn:
            return None
        hashed = names.requests[request], names.paths[request], names.users[user]
        units, first, unit = np.unique(self._units(*hashed), return_index=True, return_inverse=True)
        paths = hashed[1][first]
        rate, asked = self._rate_of(units, paths), np.bincount(unit, repeats)
        weight, cell = self._counts.weights(units, _family(paths), asked, rate)
        drawn = np.flatnonzero(rate < 1)
        # All requests were counted: what is drawn stands for just what was not kept whole.
        left, estimated = self.seen - float(asked[rate >= 1].sum()), float((asked * weight)[drawn].sum())
        weight[drawn] *= left / max(1e-9, estimated)
        cells = FAMILIES * CLASSES + CLASSES
        numbers = np.full(cells, -1)
        numbers[cell[drawn]] = 1
        numbers = np.cumsum(numbers > 0) - 1
        cell = np.where(cell < 0, -1, numbers[cell])
        spread = (1 - rate[drawn]) * (weight[drawn] * asked[drawn]) ** 2
        return Sample(
            unit=unit.astype("i4"),
            repeats=repeats,
            rate=rate,
            weight=weight,
            cell=cell,
            asked=np.bincount(cell[drawn], (weight * asked)[drawn]),
            spread=np.bincount(cell[drawn], spread),
            requests=self.seen,
        )


def _family(paths: Any) -> Any:
    return (paths >> 1) % FAMILIES


def _shares(asked: Any, step: int) -> Any:
    """Of units that were asked for so often, by halves of doublings."""
    share = np.sqrt(asked) * 2.0 ** (-step / 2)
    return np.minimum(1, 2.0 ** (np.floor(2 * np.log2(share) + 1e-9) / 2))


def _mixed(*columns: Any) -> Any:
    mixed = np.zeros(len(columns[0]), "u8")
    for column in columns:
        mixed = hashes(np.asarray(column, "i8").view("u8") ^ mixed, 1)
    return mixed


def _merged(part: Part) -> Part:
    """The requests for the same, with the same status, by the same user within a second as one."""
    seconds = np.floor(part[0] / SECOND).astype("i8")
    same = _mixed(part[1], part[2], part[3], seconds)
    _, first, place = np.unique(same, return_index=True, return_inverse=True)
    if len(first) == len(same):
        return part
    repeats, order = np.bincount(place, part[6]).astype("i4"), np.argsort(first)
    at = first[order]
    return (*(column[at] for column in part[:6]), repeats[order])
