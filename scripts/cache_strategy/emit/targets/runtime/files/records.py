"""What is kept: a value as bytes with what it depends on, and the records in the memory of this process."""

from __future__ import annotations

import marshal
import sys
import threading
from collections import OrderedDict
from typing import Any

from .values import PLAIN_JSON, Codec, Raised, decode_value, pressed, unpressed

RECORD_BYTES = 595  # what a record takes in memory besides its texts; measured on CPython 3.9 to 3.13


class Record:
    """
    A stored value: its bytes, the versions it was computed under, and when, in microseconds of Redis' clock.

    Between `soft_us` and `hard_us` it is still served while one caller computes the next. `checked_at` is the cache's
    clock before the versions were last compared with those in Redis, `epoch` how many changes were known then.
    """

    __slots__ = (
        *("versions", "payload", "form", "stored_us", "soft_us", "hard_us", "checked_at", "epoch"),
        *("keeper", "name", "size", "used", "copies", "shared_value"),
    )

    def __init__(
        self,
        versions: bytes,
        payload: bytes,
        form: bytes,
        stored_us: int,
        soft_us: int,
        hard_us: int,
        checked_at: float,
        epoch: int = 0,
    ) -> None:
        self.versions = versions
        self.payload = payload
        self.form = form
        self.stored_us = stored_us
        self.soft_us = soft_us
        self.hard_us = hard_us
        self.checked_at = checked_at
        self.epoch = epoch
        self.keeper: Memory | None = None
        self.name = ""
        self.size = 0
        self.used = False
        self.copies = b""
        self.shared_value: tuple[Any, ...] = ()

    def to_bytes(self, compress_above: int = 0) -> bytes:
        payload, note = pressed(self.payload, compress_above)
        numbers = (len(payload), self.stored_us, self.soft_us, self.hard_us)
        return b"c1 %s%s %d %d %d %d %s\n%s" % (self.form, note, *numbers, self.versions, payload)

    @staticmethod
    def from_bytes(data: bytes | None, checked_at: float, epoch: int = 0) -> Record | None:
        """None for bytes that `to_bytes` did not write, or not whole."""
        head, _, payload = (data or b"").partition(b"\n")
        try:
            magic, form, length, stored_us, soft_us, hard_us, versions = head.split(b" ")
            if magic != b"c1" or int(length) != len(payload):
                return None
            times = int(stored_us), int(soft_us), int(hard_us)
            form, is_pressed, whole = form.partition(b"+")
            if is_pressed:
                payload = unpressed(payload, int(whole))
        except ValueError:
            return None
        return Record(versions, payload, form, *times, checked_at, epoch)

    def value(self, shared: bool = False, codec: Codec | None = None) -> Any:
        """The value: the same object each time if `shared`, else a new one. Raises one of GARBAGE if it is none."""
        if shared and self.shared_value:
            return self.shared_value[0]
        if self.copies:
            return marshal.loads(self.copies)
        value = decode_value(self.payload, self.form, codec)
        if shared and type(value) is not Raised:
            self.shared_value = (value,)
        elif self.keeper is not None and self.form == PLAIN_JSON:
            # what this process has read is read again three times as fast; nothing from elsewhere is ever unmarshalled
            self.copies = marshal.dumps(value)
            self.payload = b""
        if self.keeper is not None and (self.copies or self.shared_value):
            self.keeper.weigh(self)
        return value


def weight(value: object) -> int:
    """The bytes that a value takes as objects."""
    total, level, seen = 0, [value], set()
    while level:
        item = level.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            level += [*item, *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            level += item
        elif hasattr(item, "__dict__"):
            level.append(vars(item))
    return total


class Memory:
    """Records of this process within a number and a size; of those not used lately the oldest go first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lock = threading.Lock()
        self.records: OrderedDict[str, Record] = OrderedDict()

    def get(self, name: str) -> Record | None:
        record = self.records.get(name)
        if record is not None:
            record.used = True
        return record

    def weigh(self, record: Record) -> None:
        """A record has taken another form; what is too much goes when the next one comes."""
        with self.lock:
            if record.keeper is self:
                size = _size(record)
                self.bytes += size - record.size
                record.size = size

    def put(self, name: str, record: Record) -> None:
        record.name = name
        with self.lock:
            self._drop(name)
            size = _size(record)
            if size > self.max_bytes:
                return
            while self.records and (
                len(self.records) >= self.max_entries or self.bytes + size > self.max_bytes
            ):
                oldest, kept = next(iter(self.records.items()))
                if kept.used:  # once more around
                    kept.used = False
                    self.records.move_to_end(oldest)
                else:
                    self._drop(oldest)
            self.records[name] = record
            record.keeper, record.size = self, size
            self.bytes += size

    def _drop(self, name: str) -> None:
        record = self.records.pop(name, None)
        if record is not None:
            record.keeper = None
            self.bytes -= record.size


def _size(record: Record) -> int:
    texts = len(record.name) + len(record.versions) + len(record.payload) + len(record.copies)
    return RECORD_BYTES + texts + (weight(record.shared_value) if record.shared_value else 0)
