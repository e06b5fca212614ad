"""Keys that only equal calls share, and names of rows that all forms of one primary key share."""

from __future__ import annotations

import decimal
import re
import uuid
import weakref
from collections.abc import Iterable
from typing import Any, cast

from .values import MARKS, parts_of, scalar_text


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
        items = [encode_key(item) for item in cast("Iterable[object]", value)]
        return MARKS[kind][0] + "".join(items if kind in (tuple, list) else sorted(items)) + MARKS[kind][1]
    parts = parts_of(value)
    if parts is not None:
        return f"c{len(parts[0])}:{parts[0]}{encode_key(parts[1])}"
    text = repr(value) if kind is float else scalar_text(value)
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


_names: dict[int, tuple[weakref.ref[Any], str]] = {}


def identity(instance: Any) -> object:
    """What a method's object is called in a key: what its `__cache_key__()` says, else a name no other object ever has."""
    kind = f"{type(instance).__module__}.{type(instance).__qualname__}"
    if hasattr(instance, "__cache_key__"):
        return kind, instance.__cache_key__()
    place = id(instance)
    reference, name = _names.get(place, (None, ""))
    if reference is None or reference() is not instance:  # addresses come back
        name = uuid.uuid4().hex
        _names[place] = weakref.ref(instance, lambda _: _names.pop(place, None)), name
    return name


def forget_identities() -> None:
    """In a forked process: its objects are no longer those of the other one."""
    _names.clear()
