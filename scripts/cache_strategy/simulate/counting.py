"""How often each path of a log was asked for, of all of them: what a part that was drawn has to add up to."""

from typing import Any

import numpy as np

from cache_strategy.simulate.scan import FAMILIES

AT_ONCE = 2_000_000
MOST_UNITS = 6_000_000
"""Counted one by one, with 21 bytes each; of more, those asked for seldom are counted in part."""
CLASSES = 64
CLASSES_PER_DOUBLING = 2
FEWEST = 4
"""Drawn ones that can speak for the others of their class (assumed)."""


class Counts:
    """Of each unit that requests are drawn by: its number of requests, and its family."""

    def __init__(self, most: int = MOST_UNITS) -> None:
        self.units = np.zeros(0, "u8")
        self.asked = np.zeros(0, "i8")
        self.family = np.zeros(0, "i4")
        self._stands = np.zeros(0)  # for how many, where that does not change any more; else 0
        self._rate, self._most = 1.0, most
        self._waiting: list[tuple[Any, Any, Any]] = []
        self._many = 0

    def add(self, units: Any, families: Any, asked: Any) -> None:
        self._waiting.append((units, families.astype("i4"), asked))
        self._many += len(units)
        if self._many > max(AT_ONCE, len(self.units) // 3):
            self.settle()

    def forget(self, units: Any) -> None:
        self.settle()
        self._keep(~np.isin(self.units, units))

    def settle(self) -> None:
        """Counts what waits."""
        if not self._waiting:
            return
        units, families, asked = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        self._waiting, self._many = [], 0
        units, first, place = np.unique(units, return_index=True, return_inverse=True)
        more = np.bincount(place, asked).astype("i8")
        at = np.searchsorted(self.units, units)
        known = np.zeros(len(units), "?")
        inside = at < len(self.units)
        known[inside] = self.units[at[inside]] == units[inside]
        self.asked[at[known]] += more[known]
        new = ~known & (chance(units) < self._rate)
        at = at[new]
        self.units = np.insert(self.units, at, units[new])
        self.asked = np.insert(self.asked, at, more[new])
        self.family = np.insert(self.family, at, families[first[new]])
        self._stands = np.insert(self._stands, at, 0.0)
        if len(self.units) > self._most:
            self._prune()

    def _prune(self) -> None:
        """Of those asked for seldom a part is left, by the hash they are drawn by."""
        often = max(2, int(np.partition(self.asked, -(self._most // 4))[-(self._most // 4)]))
        self._stands = np.where((self._stands == 0) & (self.asked > often), 1 / self._rate, self._stands)
        sure = self._stands > 0
        while np.count_nonzero(sure | (chance(self.units) < self._rate)) > self._most * 0.6:
            self._rate /= 2
        self._keep(sure | (chance(self.units) < self._rate))

    def _keep(self, which: Any) -> None:
        self.units, self.asked, self.family, self._stands = (
            column[which] for column in (self.units, self.asked, self.family, self._stands)
        )

    def weights(self, units: Any, families: Any, asked: Any, rate: Any) -> tuple[Any, Any]:
        """
        How many like it each drawn unit stands for, and its cell: a family's units that are asked for about as often, or where few
        of these were drawn all units that are. The drawn ones of a cell stand for as many requests as it has.

        Args:
            units, families, asked, rate: of the drawn ones; those with rate 1 stand for themselves alone.
        """
        self.settle()
        drawn = rate < 1
        others = ~np.isin(self.units, units[~drawn])
        stands = np.where(self._stands > 0, self._stands, 1 / self._rate)[others] * self.asked[others]
        of_all = self.family[others] * CLASSES + classes(self.asked[others])
        own = families * CLASSES + classes(asked)
        apart = np.bincount(own[drawn], minlength=FAMILIES * CLASSES) >= FEWEST
        pooled = _pools(np.bincount(own[drawn & ~apart[own]] % CLASSES, minlength=CLASSES))
        first = FAMILIES * CLASSES
        cell = np.where(apart[own], own, first + pooled[own % CLASSES])
        cell_of_all = np.where(apart[of_all], of_all, first + pooled[of_all % CLASSES])
        whole = np.bincount(cell_of_all, stands, first + CLASSES)
        estimated = np.bincount(cell[drawn], (asked / rate)[drawn], first + CLASSES)
        factor = whole / np.maximum(estimated, 1e-9)
        return np.where(drawn, factor[cell] / rate, 1.0), np.where(drawn, cell, -1)


def classes(asked: Any) -> Any:
    return np.minimum(np.floor(np.log2(np.maximum(asked, 1)) * CLASSES_PER_DOUBLING), CLASSES - 1).astype(
        "i8"
    )


def _pools(many: Any) -> Any:
    """Of each class the pool it belongs to: neighbours together, from the most asked for on, until enough were drawn."""
    pool = last = CLASSES - 1
    so_far, found = 0, np.zeros(CLASSES, "i8")
    for kind in range(CLASSES - 1, -1, -1):
        found[kind] = pool
        so_far += int(many[kind])
        if so_far >= FEWEST:
            last, pool, so_far = pool, kind - 1, 0
    return np.where(found == pool, last, found)


def chance(units: Any) -> Any:
    """Of even 64 bits a number from 0 to 1."""
    return (units >> np.uint64(11)) * 2.0**-53
