"""What a call carries along: the computation that others wait for, what was seen and is owed, a value in a `with`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .link import Slot
from .records import Record
from .wire import Signal, who_asks


class Flight:
    """A computation that other callers may wait for, and the versions it noted."""

    noted = b""
    record: Record | None = None
    done: Signal | None = None  # made by the first who waits

    def __init__(self) -> None:
        self.owner = who_asks()

    def is_as_new_as(self, versions: bytes) -> bool:
        """Whether nothing was invalidated between its beginning and these versions; it may not have begun yet."""
        if not (self.noted and versions):
            return not self.noted
        pairs = zip(self.noted.split(b","), versions.split(b","))  # noqa: B905 (Python 3.8)
        return all(int(mine) >= int(other) for mine, other in pairs if other.isdigit())


class Turn:
    """One call: the value that it is given, or the computation that it owes."""

    is_given = False
    value: Any = None
    # What was seen: the versions of now, a record, and a value (alone in a tuple) to serve while somebody computes the next.
    versions = b""
    record: Record | None = None
    known_us = 0
    may_serve: tuple[Any, ...] = ()
    # What is owed: a record to be stored, to be compared with, or nothing.
    keeps = False
    judged: Record | None = None
    flight: Flight | None = None
    token = ""
    now_us = seen_us = epoch = 0
    asked_at = started = 0.0
    began: float | None = None

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    def saw(self, versions: bytes, record: Record | None) -> None:
        self.versions, self.record = versions, record
        self.known_us = max(self.known_us, record.stored_us if record else 0)

    def give(self, value: Any) -> Turn:
        self.is_given, self.value = True, value
        return self


class Opened:
    """
    A value in a `with`: what is stored, or what the body sets.

    Attributes:
        is_missing: whether the body has to set `value`; what it sets is stored when the body ends without an error.
        value: the stored value, or what was set.
    """

    def __init__(self, entry: Any, key: Mapping[str, object]) -> None:
        self._entry = entry
        self._key = key
        self._unset = object()
        self.is_missing = True
        self.value: Any = self._unset

    def __enter__(self) -> Opened:
        self._slot = self._entry.slot_or_none(self._key)
        self._started = time.monotonic()
        if self._slot is not None:
            self._turn = self._entry._begin(self._slot)
            if self._turn.is_given:
                self.is_missing, self.value = False, self._entry._served(self._turn)
        return self

    def __exit__(self, kind: object, error: BaseException | None, place: object) -> None:
        if self.is_missing:
            seconds = time.monotonic() - self._started
            self._entry.count(computations=1, compute_ms=seconds * 1000)
            if self._slot is not None:
                no_value = RuntimeError("no value was set")
                is_set = error is None and self.value is not self._unset
                self._entry._finish(self._turn, self.value if is_set else error or no_value)
