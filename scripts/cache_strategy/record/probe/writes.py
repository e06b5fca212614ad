"""Writes from their commit on: uncommitted ones wait in a list of their connection, with the names of savepoints between."""

from __future__ import annotations

import time
from typing import Any

from .frames import UserCode
from .journal import Journal
from .statements import shortened

PENDING_AT_MOST = 10_000
"""Of one transaction; more are counted by the last one alone."""


class Writes:
    """What drivers and ORMs tell of transactions, to the journal."""

    def __init__(self, journal: Journal, code: UserCode) -> None:
        self._journal = journal
        self._code = code

    def note(
        self, pending: list[Any], statement: str, tables: tuple[str, ...], at_once: bool, through: str = ""
    ) -> None:
        """
        A write, which counts at once or waits for its commit.

        Args:
            through: a function that writes what was pending before; who called it is not who wrote.
        """
        place, is_through = self._code.innermost(through=through)
        record: dict[str, Any] = {
            "kind": "write",
            "t": time.monotonic(),
            "tables": tables,
            "statement": shortened(statement),
        }
        record.update(place, autoflush=is_through)
        if at_once:
            self._journal.add(record)
        elif pending and (_is_same(pending[-1], record) or len(pending) >= PENDING_AT_MOST):
            pending[-1] = record
        else:
            pending.append(record)

    def commit(self, pending: list[Any]) -> None:
        """The writes that wait count from now on."""
        if not pending:
            return
        records, pending[:] = pending[:], []
        now = time.monotonic()
        place, _ = self._code.innermost()
        for record in records:
            if isinstance(record, dict):
                record["t"] = now
                if record["autoflush"] and place["path"]:
                    record.update(place)
                self._journal.add(record)

    def roll_back(self, pending: list[Any], to: str | None = None) -> None:
        """The writes that wait, or those behind a savepoint, never count."""
        if not pending:
            return
        start = 0
        if to is not None:
            places = [place for place, item in enumerate(pending) if item == to]
            places = places or [place for place, item in enumerate(pending) if isinstance(item, str)] or [0]
            start = places[-1]
        undone, pending[start:] = pending[start:], []
        for record in undone:
            if isinstance(record, dict):
                record["rolled_back"] = True
                self._journal.add(record)


def _is_same(before: Any, record: dict[str, Any]) -> bool:
    """A batch gives one statement per page of rows: one line is enough, and memory stays bounded."""
    return isinstance(before, dict) and all(
        before[name] == record[name] for name in ("tables", "path", "line", "statement")
    )
