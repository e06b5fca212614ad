"""
What the cache keeps: keys that only equal calls share, values that come back exactly as they were, the memory of a process.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import functools
import json
import marshal
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

RECORD_BYTES = 600  # assumed: what a record costs in memory besides its name and its payload


def _datetime_text(moment: datetime.datetime) -> str:
    zone: Any = moment.tzinfo
    if zone is None or type(zone) is datetime.timezone:
        return f"{moment.isoformat()} {moment.fold}"
    if type(zone).__module__ != "zoneinfo" or not getattr(zone, "key", None):
        raise TypeError("datetime with an unusual time zone")
    return f"{moment.replace(tzinfo=None).isoformat()} {moment.fold} {zone.key}"


def _datetime(text: str) -> datetime.datetime:
    stamp, fold, *zone = text.split(" ")
    moment = datetime.datetime.fromisoformat(stamp).replace(fold=int(fold))
    if zone:
        from zoneinfo import ZoneInfo  # Python 3.9, as the process that stored it

        moment = moment.replace(tzinfo=ZoneInfo(zone[0]))
    return moment


def _time_text(value: datetime.time) -> str:
    if value.tzinfo is not None:
        raise TypeError("time with a time zone")
    return f"{value.isoformat()} {value.fold}"


def _time(text: str) -> datetime.time:
    stamp, fold = text.split(" ")
    return datetime.time.fromisoformat(stamp).replace(fold=int(fold))


# Types whose values JSON does not know: to text and back, exactly. Subclasses are other types.
SCALARS: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    datetime.datetime: (_datetime_text, _datetime),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (_time_text, _time),
    datetime.timedelta: (
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda text: datetime.timedelta(*map(int, text.split(" "))),
    ),
    decimal.Decimal: (str, decimal.Decimal),
    uuid.UUID: (str, uuid.UUID),
    bytes: (
        lambda value: base64.b64encode(value).decode(),
        functools.partial(base64.b64decode, validate=True),
    ),
}
RESTORE: dict[str, Callable[[Any], Any]] = {f"~{kind.__name__}": back for kind, (_, back) in SCALARS.items()}
RESTORE.update({"~tuple": tuple, "~set": set, "~frozenset": frozenset, "~dict": dict})
MARKS: dict[type, str] = {tuple: "()", list: "[]", set: "<>", frozenset: "^$"}


def _scalar_text(value: object) -> str:
    kind = type(value)
    if kind not in SCALARS:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")
    return SCALARS[kind][0](value)


def encode_key(value: object) -> str:
    """
    A text that two values share only if they are equal and of one type; the order of dicts and sets left out.

    Raises:
        TypeError: names a type that has no such text.
    """
    kind = type(value)
    if value is None or kind is bool:
        return str(value)[0]
    if kind is int:
        return f"i{value};"
    if isinstance(value, str) and kind is str:
        return f"s{len(value)}:{value}"
    if isinstance(value, dict) and kind is dict:
        return (
            "{" + "".join(sorted(encode_key(name) + encode_key(item) for name, item in value.items())) + "}"
        )
    if kind in MARKS:
        parts = [encode_key(item) for item in cast("Iterable[object]", value)]
        return MARKS[kind][0] + "".join(parts if kind in (tuple, list) else sorted(parts)) + MARKS[kind][1]
    text = repr(value) if kind is float else _scalar_text(value)
    return f"x{kind.__name__}{len(text)}:{text}"


INTEGER = re.compile(r"[+-]?[0-9]{1,40}(\.0*)?")
UUID_TEXT = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?")


def row_text(value: object) -> str | None:
    """
    The name of a row, one for all forms of a primary key (7, "7", "007"); None for other types.

    Texts that a database might take for equal (case, spaces around) share a name: that only invalidates too much.
    """
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, decimal.Decimal):
        return str(int(value)) if value.is_finite() and value == int(value) else None
    if isinstance(value, int):
        return str(int(value))
    if not isinstance(value, str):
        return None
    text = value.strip().casefold()
    if INTEGER.fullmatch(text):
        return str(int(text.split(".")[0]))
    return text.strip("{}").replace("-", "") if UUID_TEXT.fullmatch(text) else text


def to_json(value: object, tags: list[str]) -> Any:
    """The value in JSON's own types, others as {"~type": ...}; the types are appended to `tags`."""
    kind = type(value)
    if value is None or kind in (str, int, bool, float):
        return value
    if isinstance(value, list) and kind is list:
        return [to_json(item, tags) for item in value]
    if isinstance(value, dict) and kind is dict:
        if all(type(name) is str and name[:1] != "~" for name in value):
            return {name: to_json(item, tags) for name, item in value.items()}
        content: Any = [[to_json(name, tags), to_json(item, tags)] for name, item in value.items()]
    elif kind in MARKS:
        content = [to_json(item, tags) for item in cast("Iterable[object]", value)]
        content = content if kind is tuple else sorted(content, key=json_text)
    else:
        content = _scalar_text(value)
    tags.append(kind.__name__)
    return {f"~{kind.__name__}": content}


def json_text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _is_plain(value: object) -> bool:
    """Whether JSON itself gives the value back exactly; only for what JSON has taken, so it ends."""
    level: list[Any] = [value]
    while level:
        kinds = set(map(type, level))
        if not kinds <= ATOMS | CONTAINERS:
            return False
        dicts = [item for item in level if type(item) is dict] if dict in kinds else []
        lists = [item for item in level if type(item) is list] if list in kinds else []
        names = list(chain.from_iterable(dicts))
        if not STRING.issuperset(map(type, names)) or "~" in "".join(names):
            return False
        level = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
    return True


STRING = frozenset((str,))
ATOMS = frozenset((str, int, bool, float, type(None)))
CONTAINERS = frozenset((list, dict))
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_value(value: object) -> tuple[bytes, bool]:
    """
    The value as JSON, and whether it has tags.

    Raises:
        TypeError: names the type that would not come back exactly as it is.
    """
    tags: list[str] = []
    try:
        try:
            text = _dump(value)
        except TypeError:
            text = ""
        if not text or not _is_plain(value):
            text = _dump(to_json(value, tags))
    except (RecursionError, ValueError) as error:  # endless, or an integer beyond the interpreter's limit
        raise TypeError(f"{type(value).__qualname__} ({error})") from None
    return text.encode("utf-8", "surrogatepass"), bool(tags)


def _restore(data: dict[str, Any]) -> Any:
    name = next(iter(data), "")
    return RESTORE[name](data[name]) if name[:1] == "~" else data


# What decoding garbage may raise.
GARBAGE = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, ImportError)


@dataclass
class Record:
    """
    A stored value: its JSON, the versions it was computed under, and when, in microseconds of Redis' clock.

    Between `soft_us` and `hard_us` it is still served while one caller computes the next. `checked_at` is the cache's
    clock before the versions were last compared with those in Redis, `epoch` how many changes were known then.
    """

    versions: bytes
    payload: bytes
    tagged: bool
    stored_us: int
    soft_us: int
    hard_us: int
    checked_at: float
    epoch: int = 0
    kept: bool = field(default=False, compare=False)
    used: bool = field(default=False, compare=False)
    copies: bytes = field(default=b"", compare=False)
    shared_value: list[Any] = field(default_factory=list, compare=False)

    def to_bytes(self) -> bytes:
        numbers = (self.tagged, len(self.payload), self.stored_us, self.soft_us, self.hard_us)
        return b"c1 %d %d %d %d %d %s\n%s" % (*numbers, self.versions, self.payload)

    @staticmethod
    def from_bytes(data: bytes | None, checked_at: float, epoch: int = 0) -> Record | None:
        """None for bytes that `to_bytes` did not write, or not whole."""
        head, _, payload = (data or b"").partition(b"\n")
        try:
            magic, tagged, length, stored_us, soft_us, hard_us, versions = head.split(b" ")
            if magic != b"c1" or int(length) != len(payload):
                return None
            times = int(stored_us), int(soft_us), int(hard_us)
        except ValueError:
            return None
        return Record(versions, payload, tagged == b"1", *times, checked_at, epoch)

    def value(self, shared: bool = False) -> Any:
        """The value: the same object each time if `shared`, else a new one. Raises one of GARBAGE if it is none."""
        if shared and self.shared_value:
            return self.shared_value[0]
        payload = self.payload
        if self.copies:
            return marshal.loads(self.copies)
        text = payload.decode("utf-8", "surrogatepass")
        value = json.loads(text, object_hook=_restore) if self.tagged else json.loads(text)
        if shared:
            self.shared_value.append(value)
        elif self.kept and not self.tagged:
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
