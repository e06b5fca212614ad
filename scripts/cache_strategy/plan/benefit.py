"""What a cache saves at most, where production was measured, and from when on it would pay."""

from collections.abc import Mapping
from dataclasses import dataclass

from cache_strategy.model.evidence import Candidate, Evidence, Measurement

HIT_MS = 0.3
"""What an answer from the cache costs: a round trip to a Redis near by (assumed)."""
WRITE_MS = 0.5
"""What an invalidation adds to a write: a round trip after the commit (assumed)."""
WORTH_MS_PER_HOUR = 3_600.0
"""What a cache must save to be worth its code, its memory and its risk: a thousandth of one process (assumed)."""

Figures = Mapping[str, Measurement]


@dataclass(frozen=True, kw_only=True)
class Saving:
    """`requests_per_hour` of `ms` each, `writes_per_hour` that invalidate; every request a hit, so it saves no more."""

    requests_per_hour: float
    ms: float
    writes_per_hour: float

    @property
    def ms_per_hour(self) -> float:
        return self.requests_per_hour * (self.ms - HIT_MS) - self.writes_per_hour * WRITE_MS

    @property
    def because(self) -> str:
        return f"saves at most {_time(self.ms_per_hour)} an hour: {self._measured}"

    @property
    def reason_against(self) -> str | None:
        """Why it does not pay, and what would have to be measured for it to pay; None where it does."""
        if self.ms_per_hour >= WORTH_MS_PER_HOUR:
            return None
        if self.ms <= HIT_MS:
            return (
                f"takes {self.ms:.2g} ms and a cache answers in {HIT_MS} ms (assumed): it pays for what takes longer, "
                f"{self._measured}"
            )
        needed = (WORTH_MS_PER_HOUR + self.writes_per_hour * WRITE_MS) / (self.ms - HIT_MS)
        return (
            f"saves at most {_time(max(0.0, self.ms_per_hour))} an hour, less than the {_time(WORTH_MS_PER_HOUR)} that "
            f"make a cache worth its upkeep (assumed): {self._measured}; it pays from {needed:,.0f} requests an hour"
        )

    @property
    def _measured(self) -> str:
        writes = f" and {self.writes_per_hour:,.0f} writes" if self.writes_per_hour else ""
        return f"{self.requests_per_hour:,.0f} requests an hour of {self.ms:,.3g} ms{writes} (measured)"


def saving_of(candidate: Candidate, evidence: Evidence) -> Saving | None:
    """
    The most that a cache of the candidate can save; None where volume or time of one of its endpoints is not known.

    A function takes at most what its endpoints take from the database, and where that is not known, what they take.
    """
    known = {measured.id: measured.figures for measured in evidence.measurements}
    own = _value(known.get(f"{candidate.path}:{candidate.qualname}", {}), "latency_ms_p50")
    names = ("latency_ms_p50",) if candidate.kind == "endpoint" else ("database_ms_p50", "latency_ms_p50")
    requests = work = 0.0
    for endpoint in candidate.endpoints:
        figures = known.get(endpoint, {})
        volume = _value(figures, "requests_per_hour")
        took = own if own is not None else next(filter(None, (_value(figures, n) for n in names)), None)
        if volume is None or took is None:
            return None
        requests += volume
        work += volume * took
    if not requests:
        return None
    writes = max(
        (_value(known.get(e, {}), "writes_per_hour") or 0.0 for e in candidate.endpoints), default=0.0
    )
    return Saving(requests_per_hour=requests, ms=work / requests, writes_per_hour=writes)


def _value(figures: Figures, name: str) -> float | None:
    return figures[name].value if name in figures else None


def _time(ms: float) -> str:
    return f"{ms / 60_000:,.0f} min" if ms >= 120_000 else f"{ms / 1000:,.2g} s"
