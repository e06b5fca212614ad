"""Changes to a user's repository: described here, applied by one file only (`emit/apply.py`)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Change:
    """
    One file as it is and as it shall be.

    `path` is relative to the repository, with forward slashes. `before` is None for a new file. `entries` are the
    contract's entries that it serves, `why` one sentence for the reader of the patch.
    """

    path: str
    before: str | None
    after: str
    why: str
    entries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """An entry that stays out of the patch, with the reason."""

    entry: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ChangeSet:
    """Everything that emit would do. `limits` are the guarantees that a chosen target cannot give, per entry."""

    changes: tuple[Change, ...]
    withheld: tuple[Withheld, ...] = ()
    limits: dict[str, tuple[str, ...]] | None = None
