"""What `verify` saw."""

from dataclasses import dataclass
from typing import Literal

from cache_strategy.model.evidence import Measurement

VerdictWord = Literal["proven", "refuted", "untested"]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """
    A served value that differs from what the origin answers now.

    `write` is the write that made it stale ("UPDATE products at 12.3 s"), `writer` the code that did it and did not
    invalidate ("shop/catalog.py:41 update_product"); both "" where no write of a dependency was seen, with `reason`
    saying what that means.
    """

    entry: str
    key: str
    served: str
    origin: str
    write: str = ""
    writer: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class EntryVerdict:
    """One entry of the contract. An entry without a hit is untested, never proven."""

    id: str
    verdict: VerdictWord
    hits: int
    mismatches: tuple[Mismatch, ...] = ()
    before: dict[str, Measurement] | None = None
    after: dict[str, Measurement] | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """
    One run of the user's command: off, on, oracle. `seconds` is its wall time, `cpu_seconds` the processor time of all its
    processes, None where this system does not tell.
    """

    mode: Literal["off", "on", "oracle"]
    exit_code: int
    seconds: float
    summary: str = ""
    statements: int | None = None
    requests: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """
    One figure of the whole command with caches off and on, from `pairs` of runs that took turns.

    `before` and `after` are medians; `ratio` is the median of after : before over the pairs, `low` and `high` an interval
    that holds the true median with `confidence`. `effect` is Cliff's delta: 1 where every run with caches had less than
    every run without, -1 the other way round.
    """

    name: str
    unit: str
    before: float
    after: float
    ratio: float
    low: float
    high: float
    confidence: float
    effect: float
    pairs: int


@dataclass(frozen=True, kw_only=True)
class Visits:
    """
    What several visitors got side by side: `compared` answers, `wavering` ones that differ without caches too, and the
    differences, one line each.
    """

    visitors: tuple[str, ...]
    pages: int
    compared: int
    wavering: int
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The proof. `ok` is false when an entry is refuted, a run failed that passes with caches off, or none was tested."""

    ok: bool
    command: tuple[str, ...]
    entries: tuple[EntryVerdict, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    visits: Visits | None = None
    schema: int = 1
