"""What caches did, from sums that parts of a trace may bring: parts by key add up to the whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SLICES = 2048
MINUTE_S = 60
BATCHES = 20
FEWEST_PER_BATCH = 10
STUDENT_T = 2.093
"""97.5 % quantile of Student's t with 19 degrees of freedom."""
DOUBLINGS = 10


class Grid(NamedTuple):
    """The time of a trace in equal slices: minutes, or where that gives few of them the halves, quarters … of minutes."""

    start_s: float
    per_minute: int
    slices: int

    @classmethod
    def of(cls, time_s: Any) -> "Grid":
        """Of times in order."""
        return cls.over(float(time_s[0]), float(time_s[-1] - time_s[0]))

    @classmethod
    def over(cls, start_s: float, seconds: float) -> "Grid":
        minutes = max(seconds, 1e-3) / MINUTE_S
        per_minute = max(1, 2 ** math.ceil(math.log2(SLICES / minutes)))
        return cls(start_s, per_minute, int(minutes * per_minute) + 1)

    def edges(self, time_s: Any) -> Any:
        """Where each slice begins among times from `start_s` on, and the end."""
        begins = np.arange(self.slices) / self.per_minute
        return np.append(np.searchsorted(time_s / MINUTE_S, begins), len(time_s))

    def seconds(self, at: Any) -> Any:
        return at / self.per_minute * MINUTE_S


@dataclass(frozen=True, kw_only=True)
class Part:
    """
    What one cache did with some of the keys, as sums; `asked` and `misses` per slice of the grid.

    `busy_s` is how long the origin computed, `together` how many requests came while another computed the value of their
    key, `crowd` the most at once for one key; None where it is not known how long the origin took. Where it was
    asked for, `changes` has when how many bytes came or went, None of many, and `held` the most within each slice.
    """

    grid: Grid
    asked: Any
    misses: Any
    judged: float
    stale: float
    aged: float
    ages_s: float
    peak_bytes: int
    bytes: float
    missed_bytes: int
    busy_s: float | None
    together: int | None
    crowd: int | None
    held: Any = None
    changes: tuple[Any, Any] | None = None


class Replay(NamedTuple):
    """
    What one cache did: of `judged` hits it is known whether they were `stale`, of `aged` ones of these since when, on
    average `age_s`. `origin_peak` is the most misses within one minute, `error` half of the 95 % interval of the hit rate.
    `cold_start` has the hit rate from each of these seconds on to the next, after an empty beginning.
    """

    hits: float
    judged: float
    stale: float
    aged: float
    age_s: float
    peak_bytes: int
    hit_bytes: float
    requests: int
    bytes: float
    origin_peak: int
    error: float | None
    busy_s: float | None
    together: float | None
    crowd: int | None
    cold_start: tuple[tuple[float, float], ...]


def outcome_of(parts: Sequence[Part], weights: Sequence[float] | None = None) -> Replay:
    """
    The whole of parts by key, each of which stands for `weights` times as many requests.

    Where there are several parts, the memory of the whole is at most the sum of what each held at most.
    """
    weigh = list(weights or [1.0] * len(parts))
    pairs = list(zip(weigh, parts, strict=True))

    def total(name: str) -> Any:
        if any(getattr(part, name) is None for part in parts):
            return None
        whole = sum(weight * getattr(part, name) for weight, part in pairs)
        return whole if weights else type(getattr(parts[0], name))(whole)

    grid, asked, misses = parts[0].grid, total_of(pairs, "asked"), total_of(pairs, "misses")
    aged = total("aged")
    crowd = [part.crowd for part in parts if part.crowd is not None]
    requests = sum(int(part.asked.sum()) for part in parts) if not weights else float(asked.sum())
    return Replay(
        hits=(asked.sum() - misses.sum()).item(),
        judged=total("judged"),
        stale=total("stale"),
        aged=aged,
        age_s=total("ages_s") / max(1, aged),
        peak_bytes=_peak(pairs),
        hit_bytes=total("bytes") - total("missed_bytes"),
        requests=round(requests),
        bytes=total("bytes"),
        origin_peak=round(_busiest_minute(grid, misses)),
        error=half_width(asked, misses),
        busy_s=total("busy_s"),
        together=total("together"),
        crowd=max(crowd, default=None),
        cold_start=_cold_start(grid, asked, misses),
    )


def _peak(pairs: Sequence[tuple[float, Part]]) -> int:
    """The most that all held at once; where their changes are not known, no less than that."""
    if (len(pairs) == 1 and pairs[0][0] == 1) or any(part.held is None for _, part in pairs):
        return round(sum(weight * part.peak_bytes for weight, part in pairs))
    changes = [part.changes for _, part in pairs if part.changes is not None]
    if len(changes) < len(pairs):
        return int(total_of(pairs, "held").max())
    when, change = (np.concatenate(column) for column in zip(*changes, strict=True))
    return int(np.cumsum(change[np.lexsort((change, when))]).max())


def total_of(pairs: Sequence[tuple[float, Part]], name: str) -> Any:
    """A column of the parts, added up."""
    if all(weight == 1 for weight, _ in pairs):
        return sum(getattr(part, name) for _, part in pairs)
    return sum(weight * getattr(part, name) for weight, part in pairs)


def _busiest_minute(grid: Grid, misses: Any) -> float:
    whole = -(-grid.slices // grid.per_minute) * grid.per_minute
    padded = np.zeros(whole, misses.dtype)
    padded[: grid.slices] = misses
    return float(padded.reshape(-1, grid.per_minute).sum(axis=1).max())


def half_width(asked: Any, misses: Any) -> float | None:
    """
    Half of the 95 % interval of a rate; None for batches of fewer than 10 requests.

    Source:
        Batch means: Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """
    so_far = np.concatenate([[0], np.cumsum(asked)])
    cuts = np.minimum(np.searchsorted(so_far, np.arange(BATCHES + 1) * (so_far[-1] / BATCHES)), len(asked))
    in_batch = np.diff(so_far[cuts])
    if in_batch.min() < FEWEST_PER_BATCH:
        return None
    rates = np.diff(np.concatenate([[0], np.cumsum(misses)])[cuts]) / in_batch
    return STUDENT_T * float(rates.std(ddof=1)) / math.sqrt(BATCHES)


def _cold_start(grid: Grid, asked: Any, misses: Any) -> tuple[tuple[float, float], ...]:
    """Over times that double: what an empty cache does at once, and how soon it does what it will."""
    found = []
    begins = [0] + [grid.slices >> n for n in range(DOUBLINGS, 0, -1) if grid.slices >> n]
    for begin, end in zip(begins, [*begins[1:], grid.slices], strict=True):
        requests = asked[begin:end].sum()
        if requests:
            rate = 1 - misses[begin:end].sum() / requests
            found.append((round(float(grid.seconds(begin)), 3), round(float(rate), 6)))
    return tuple(found)
