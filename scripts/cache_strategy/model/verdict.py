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
    """One of the three runs of the user's command: off, on, oracle. `seconds` is its wall time."""

    mode: Literal["off", "on", "oracle"]
    exit_code: int
    seconds: float
    summary: str = ""
    statements: int | None = None
    requests: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The proof. `ok` is false when an entry is refuted, a run failed that passes with caches off, or none was tested."""

    ok: bool
    command: tuple[str, ...]
    entries: tuple[EntryVerdict, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    schema: int = 1
