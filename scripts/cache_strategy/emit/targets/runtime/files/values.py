"""
Values as bytes, and back exactly as they were; what would not come back so is refused.

JSON, with the types that it lacks as {"~type": …}. Of a dataclass its fields are kept and of an Enum the member's name;
the class itself never comes from the bytes: only those are made again that this process has stored or was told of.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import sys
import typing
import uuid
import zlib
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Protocol, cast


class Codec(Protocol):
    """Another way to write values than JSON; `name` is letters, digits and underscores, and stands before each value."""

    name: str

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...


class Raised:
    """What was raised instead of returning a value, where that is kept: the class by name, and its arguments."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.arguments = arguments


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
MARKS: dict[type, str] = {tuple: "()", list: "[]", set: "<>", frozenset: "^$"}


def scalar_text(value: object) -> str:
    kind = type(value)
    if kind not in SCALARS:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")
    return SCALARS[kind][0](value)


# Classes of the application.

_known: dict[str, type] = {}  # dataclasses and Enums that this process has stored or was told of


def know(kind: type) -> str:
    """The name of a dataclass or Enum, whose values are then read too. TypeError if nobody finds it under that name."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _known.get(name) is not kind:
        found: Any = sys.modules.get(kind.__module__)
        for part in kind.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is not kind:
            raise TypeError(f"{name}, which is not to be found under this name")
        _known[name] = kind
    return name


def know_all(hint: Any) -> None:
    """The dataclasses and Enums that an annotation names, and those of their fields."""
    is_class = isinstance(hint, type) and hint not in _known.values()
    if is_class and (dataclasses.is_dataclass(hint) or issubclass(hint, enum.Enum)):
        know(hint)
        for inner in typing.get_type_hints(hint).values() if dataclasses.is_dataclass(hint) else ():
            know_all(inner)
    for inner in typing.get_args(hint):
        know_all(inner)


def parts_of(value: object) -> tuple[str, Any] | None:
    """What a dataclass or an Enum is made of: the name of the class, and its fields or the member; None for others."""
    kind: Any = type(value)
    if isinstance(value, enum.Enum):
        member: Any = value.value if isinstance(value, enum.Flag) else value.name
        if _member(kind, member) is not value:
            raise TypeError(f"{kind.__module__}.{kind.__qualname__}, of which {value!r} is no member")
        return know(kind), member
    if "__dataclass_fields__" not in vars(kind):
        return None
    names = [item.name for item in dataclasses.fields(kind)]
    slots = (vars(base).get("__slots__", ()) for base in kind.__mro__)
    there = {*getattr(value, "__dict__", ()), *chain(*((s,) if isinstance(s, str) else s for s in slots))}
    is_whole = all(hasattr(value, name) for name in names) and there - {"__weakref__", "__dict__"} <= {*names}
    if not is_whole or kind.__new__ is not object.__new__:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}, which is more or less than its fields")
    return know(kind), {name: getattr(value, name) for name in names}


def _member(kind: Any, member: object) -> object:
    return kind.__members__.get(member) if isinstance(member, str) else kind(member)


def _restore_parts(named: list[Any]) -> Any:
    kind, content = _known[named[0]], named[1]
    if issubclass(kind, enum.Enum):
        member = _member(kind, content)
        if member is None:
            raise ValueError(f"{kind.__qualname__} has no {content}")
        return member
    made = object.__new__(kind)
    if {item.name for item in dataclasses.fields(cast(Any, kind))} != content.keys():
        raise ValueError(f"{kind.__qualname__} has other fields")
    for name, item in content.items():
        object.__setattr__(made, name, item)
    return made


# To JSON and back.

RESTORE: dict[str, Callable[[Any], Any]] = {f"~{kind.__name__}": back for kind, (_, back) in SCALARS.items()}
RESTORE.update({"~tuple": tuple, "~set": set, "~frozenset": frozenset, "~dict": dict, "~": _restore_parts})
RESTORE["~raised"] = lambda content: Raised(content[0], tuple(content[1]))


def to_json(value: object, tags: list[str]) -> Any:
    """The value in JSON's own types, others as {"~type": ...}; the types are appended to `tags`."""
    kind = type(value)
    if value is None or kind in (str, int, bool, float):
        return value
    if isinstance(value, list) and kind is list:
        return [to_json(item, tags) for item in value]
    name = kind.__name__
    if isinstance(value, dict) and kind is dict:
        if all(type(name) is str and name[:1] != "~" for name in value):
            return {name: to_json(item, tags) for name, item in value.items()}
        content: Any = [[to_json(name, tags), to_json(item, tags)] for name, item in value.items()]
    elif kind in MARKS:
        content = [to_json(item, tags) for item in cast("Iterable[object]", value)]
        content = content if kind is tuple else sorted(content, key=json_text)
    elif isinstance(value, Raised):
        name, content = "raised", [value.name, to_json(list(value.arguments), tags)]
    else:
        parts = parts_of(value)
        name = kind.__name__ if parts is None else ""
        content = scalar_text(value) if parts is None else [parts[0], to_json(parts[1], tags)]
    tags.append(name)
    return {f"~{name}": content}


def json_text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _is_plain(value: object) -> bool:
    """Whether JSON itself gives the value back exactly; only for what JSON has taken, so it ends."""
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for kind in set(map(type, level)):
            if kind is dict:
                dicts = [item for item in level if type(item) is dict]
                if not STRING.issuperset(map(type, chain.from_iterable(dicts))):
                    return False
                if "~" in "".join(set().union(*dicts)):
                    return False
                below += chain.from_iterable(map(dict.values, dicts))
            elif kind is list:
                below += chain.from_iterable([item for item in level if type(item) is list])
            elif kind not in ATOMS:
                return False
        level = below
    return True


STRING = frozenset((str,))
ATOMS = frozenset((str, int, bool, float, type(None)))
# What holds itself is a RecursionError without being looked for.
_dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode

PLAIN_JSON, TAGGED_JSON = b"0", b"1"
# What decoding garbage may raise.
GARBAGE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RecursionError,
    ImportError,
)


def encode_value(value: object, codec: Codec | None = None) -> tuple[bytes, bytes]:
    """
    The value as bytes, and their form: PLAIN_JSON, TAGGED_JSON, or the name of the codec.

    Raises:
        TypeError: names the type that would not come back exactly as it is.
    """
    tags: list[str] = []
    try:
        if codec is not None and not isinstance(value, Raised):
            data = codec.dumps(value)
            if not _is_same(value, codec.loads(data)):
                raise TypeError(f"{type(value).__qualname__} that {codec.name} would change")
            return data, codec.name.encode()
        try:
            text = _dump(value)
        except TypeError:
            text = ""
        if not text or not _is_plain(value):
            text = _dump(to_json(value, tags))
    except (RecursionError, ValueError) as error:  # endless, or an integer beyond the interpreter's limit
        raise TypeError(f"{type(value).__qualname__} ({error})") from None
    return text.encode("utf-8", "surrogatepass"), TAGGED_JSON if tags else PLAIN_JSON


def decode_value(payload: bytes, form: bytes, codec: Codec | None = None) -> Any:
    """The value. Raises one of GARBAGE if it is none, or is written in another way than this entry reads."""
    if form in (PLAIN_JSON, TAGGED_JSON):
        text = payload.decode("utf-8", "surrogatepass")
        return json.loads(text, object_hook=_restore) if form == TAGGED_JSON else json.loads(text)
    if codec is None or form != codec.name.encode():
        raise ValueError("written by another codec")
    return codec.loads(payload)


def _restore(data: dict[str, Any]) -> Any:
    name = next(iter(data), "")
    return RESTORE[name](data[name]) if name[:1] == "~" else data


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values and all within them are of one type and equal."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        one, other = list(chain(*one.items())), list(chain(*other.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if kind in (set, frozenset):
        return sorted(map(_typed_text, one)) == sorted(map(_typed_text, other))
    return bool(repr(one) == repr(other) if kind is float or kind in SCALARS else one == other)


def _typed_text(value: object) -> str:
    return f"{type(value)} {value!r}"


def pressed(payload: bytes, above: int) -> tuple[bytes, bytes]:
    """The bytes, compressed if they are more than `above` and that helps; and what to write behind their form."""
    if not above or len(payload) <= above:
        return payload, b""
    smaller = zlib.compress(payload, 1)
    return (smaller, b"+%d" % len(payload)) if len(smaller) < len(payload) else (payload, b"")


def unpressed(data: bytes, length: int) -> bytes:
    """The bytes again, which are so many; ValueError if they are not: it never makes more."""
    inflate = zlib.decompressobj()
    try:
        payload = inflate.decompress(data, length + 1)
    except zlib.error:
        payload = b""
    if len(payload) != length or not inflate.eof:
        raise ValueError("not what was compressed")
    return payload
