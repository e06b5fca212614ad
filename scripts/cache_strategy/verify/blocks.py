"""Before and after of the whole command: runs with caches off and on that take turns, so that both meet the same neighbours."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from cache_strategy.model.verdict import Comparison, Run

WANTED = 0.95
Pair = tuple[Run, Run]

_FIGURES: dict[str, tuple[str, Callable[[Run], float | None]]] = {
    "seconds": ("s", lambda run: run.seconds),
    "cpu_seconds": ("s", lambda run: run.cpu_seconds),
    "cpu_ms_per_request": ("ms", lambda run: _per_request(run, run.cpu_seconds, 1000)),
    "seconds_per_request": ("s", lambda run: _per_request(run, run.seconds, 1)),
    "statements_per_request": ("statements/request", lambda run: _per_request(run, run.statements, 1)),
}


def order_of(pairs: int) -> list[tuple[Literal["off", "on"], ...]]:
    """off-on, on-off, off-on …: a machine that slowly changes favours neither."""
    return [("off", "on") if number % 2 == 0 else ("on", "off") for number in range(pairs)]


def compared(pairs: Sequence[Pair]) -> tuple[Comparison, ...]:
    """A comparison for every figure that both sides of all pairs have, above zero without caches."""
    found = []
    for name, (unit, figure) in _FIGURES.items():
        known = [(figure(off), figure(on)) for off, on in pairs]
        both = [(off, on) for off, on in known if off and on is not None]
        if both and len(both) == len(pairs):
            found.append(_comparison(name, unit, both))
    return tuple(found)


def _per_request(run: Run, value: float | None, factor: float) -> float | None:
    return None if value is None or not run.requests else factor * value / run.requests


def _comparison(name: str, unit: str, pairs: Sequence[tuple[float, float]]) -> Comparison:
    before, after = zip(*pairs, strict=True)
    ratios = sorted(on / off for off, on in pairs)
    place, confidence = interval_of(len(ratios))
    less = sum((off > on) - (off < on) for off in before for on in after)
    return Comparison(
        name=name,
        unit=unit,
        before=round(statistics.median(before), 4),
        after=round(statistics.median(after), 4),
        ratio=round(statistics.median(ratios), 4),
        low=round(ratios[place], 4),
        high=round(ratios[-1 - place], 4),
        confidence=round(confidence, 4),
        effect=round(less / len(pairs) ** 2, 4),
        pairs=len(pairs),
    )


def interval_of(count: int) -> tuple[int, float]:
    """
    How many of `count` sorted values to leave out at each end, and how surely the rest spans the true median.

    Source: the sign test; from the k-th smallest to the k-th largest value the chance is 1 - 2 P(B < k), B ~ Bin(count, 1/2).
    The narrowest span of at least 95 %, else all values with the chance that they have.
    """

    def chance(left_out: int) -> float:
        tail: int = sum(math.comb(count, k) for k in range(left_out + 1))
        return 1 - 2 * tail / float(2**count)

    best = max((k for k in range((count + 1) // 2) if chance(k) >= WANTED), default=0)
    return best, max(0.0, chance(best))
