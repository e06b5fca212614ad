"""What is kept: a value as bytes with what it depends on, and the records in the memory of this process."""

from __future__ import annotations

import marshal
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from .values import PLAIN_JSON, Codec, Raised, decode_value, pressed, unpressed

RECORD_BYTES = 600  # assumed: what a record costs in memory besides its name and its payload


@dataclass
class Record:
    """
    A stored value: its bytes, the versions it was computed under, and when, in microseconds of Redis' clock.

    Between `soft_us` and `hard_us` it is still served while one caller computes the next. `checked_at` is the cache's
    clock before the versions were last compared with those in Redis, `epoch` how many changes were known then.
    """

    versions: bytes
    payload: bytes
    form: bytes
    stored_us: int
    soft_us: int
    hard_us: int
    checked_at: float
    epoch: int = 0
    kept: bool = field(default=False, compare=False)
    used: bool = field(default=False, compare=False)
    copies: bytes = field(default=b"", compare=False)
    shared_value: list[Any] = field(default_factory=list, compare=False)

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
            self.shared_value.append(value)
        elif self.kept and self.form == PLAIN_JSON:
            # what this process has read is read again three times as fast; nothing from elsewhere is ever unmarshalled
            self.copies = marshal.dumps(value)
            self.payload = b""
        return value


class Memory:
    """Records of this process within a number and a size; of those not used lately the oldest go first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lock = threading.Lock()
        self.records: OrderedDict[str, tuple[Record, int]] = OrderedDict()

    def get(self, name: str) -> Record | None:
        kept = self.records.get(name)
        if kept is None:
            return None
        kept[0].used = True
        return kept[0]

    def put(self, name: str, record: Record) -> None:
        size = len(name) + len(record.payload) + RECORD_BYTES
        record.kept = True
        with self.lock:
            if name in self.records:
                self.bytes -= self.records.pop(name)[1]
            if size > self.max_bytes:
                return
            while self.records and (
                len(self.records) >= self.max_entries or self.bytes + size > self.max_bytes
            ):
                oldest, (kept, its_size) = self.records.popitem(last=False)
                if kept.used:  # once more around
                    kept.used = False
                    self.records[oldest] = kept, its_size
                else:
                    self.bytes -= its_size
            self.records[name] = record, size
            self.bytes += size
