"""Bytes that tell values apart, for a hash; bounded, and nothing of a value's own code is run."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

PARTS_AT_MOST = 2000
_PLAIN = (
    int,
    float,
    complex,
    bool,
    type(None),
    decimal.Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
)


class NotPlain(Exception):
    """A value that is no plain data, or too large to look at."""


def told(value: Any, *, by_identity: bool = False) -> bytes:
    """
    Equal values give equal bytes, others other ones.

    Args:
        by_identity: an object is known by its class and its `id` or `pk`, which its `__dict__` has; else it is not plain.

    Raises:
        NotPlain: it cannot be told.
    """
    parts: list[bytes] = []
    _tell(value, parts, by_identity, 0)
    return b"".join(parts)


def _tell(value: Any, parts: list[bytes], by_identity: bool, depth: int) -> None:
    if len(parts) > PARTS_AT_MOST or depth > 20:
        raise NotPlain
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
        parts.append(b"s%d:%b" % (len(data), data))
    elif kind is bytes:
        parts.append(b"b%d:%b" % (len(value), value))
    elif kind in _PLAIN or isinstance(value, datetime.datetime):
        parts.append(f"{kind.__name__}({value!r})".encode())
    elif kind in (list, tuple):
        parts.append(b"[" if kind is list else b"(")
        for item in value:
            _tell(item, parts, by_identity, depth + 1)
        parts.append(b"]")
    elif kind is dict:
        parts.append(b"{")
        for name in sorted(value, key=repr) if by_identity else value:
            _tell(name, parts, by_identity, depth + 1)
            _tell(value[name], parts, by_identity, depth + 1)
        parts.append(b"}")
    elif kind in (set, frozenset):
        parts.append(b"<" + b",".join(sorted(told(item, by_identity=by_identity) for item in value)) + b">")
    elif isinstance(value, enum.Enum):
        parts.append(f"{kind.__qualname__}.{value.name}".encode())
    elif by_identity:
        own = getattr(value, "__dict__", None) or {}
        key = next(
            (own[name] for name in ("id", "pk") if isinstance(own.get(name), (int, str, uuid.UUID))), None
        )
        if key is None:
            raise NotPlain
        parts.append(f"{kind.__qualname__}#{key}".encode())
    else:
        raise NotPlain
