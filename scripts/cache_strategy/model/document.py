"""The one serializer: nouns to JSON and back. An unknown field is an error, a missing one that has no default too."""

import dataclasses
import json
import os
import tempfile
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from cache_strategy.model.errors import CacheStrategyError

T = TypeVar("T")


def to_data(value: Any) -> Any:
    """Plain dictionaries, lists and scalars of a noun."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_data(v) for v in value]
    if isinstance(value, dict):
        return {k: to_data(v) for k, v in value.items()}
    return value


def from_data(kind: type[T], data: Any, where: str) -> T:
    """
    A noun of type `kind` from plain data.

    Raises:
        CacheStrategyError: a field is unknown, missing or of another type; names `where` and the field.
    """
    return typing.cast(T, _convert(kind, data, where))


def _convert(kind: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return _literal(kind, data, where)
    if origin in (typing.Union, types.UnionType):
        return _union(kind, data, where)
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise CacheStrategyError(f"{where}: {data!r} is not a list; write a list of values.")
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, item, f"{where}[{i}]") for i, item in enumerate(data))
    if origin is dict:
        if not isinstance(data, dict):
            raise CacheStrategyError(f"{where}: {data!r} is not a mapping; write names with values.")
        inner = typing.get_args(kind)[1]
        return {str(k): _convert(inner, v, f"{where}.{k}") for k, v in data.items()}
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, where)
    return _scalar(kind, data, where)


def _literal(kind: Any, data: Any, where: str) -> Any:
    allowed = typing.get_args(kind)
    if data not in allowed:
        raise CacheStrategyError(f"{where}: {data!r} is not one of {', '.join(map(str, allowed))}.")
    return data


def _union(kind: Any, data: Any, where: str) -> Any:
    members = typing.get_args(kind)
    if data is None and type(None) in members:
        return None
    problem: CacheStrategyError | None = None
    for member in members:
        if member is type(None):
            continue
        try:
            return _convert(member, data, where)
        except CacheStrategyError as error:
            problem = error
    raise problem or CacheStrategyError(f"{where}: {data!r} does not fit.")


def _dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise CacheStrategyError(f"{where}: {data!r} is not a mapping; write names with values.")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in data:
        if name not in fields:
            raise CacheStrategyError(f"{where}.{name}: is not a field; the fields are {', '.join(fields)}.")
    values = {}
    for name, f in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}.{name}")
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise CacheStrategyError(f"{where}.{name}: is missing; every {kind.__name__.lower()} has one.")
    return kind(**values)


def _scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return data
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise CacheStrategyError(f"{where}: {data!r} is not {words.get(kind, kind.__name__)}.")
    return data


def write_json(path: Path, value: Any) -> None:
    """Writes a noun atomically: a reader sees the old file or the new one, never a half."""
    write_text(path, json.dumps(to_data(value), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """
    Writes a file of ours atomically, with its folder. Not for files of a user's repository: `emit/apply.py` does those.

    Raises:
        CacheStrategyError: the folder is read-only or full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="." + path.name, dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            part.chmod(0o644)
            part.replace(path)
        except BaseException:
            part.unlink()
            raise
    except OSError as error:
        raise CacheStrategyError(
            f"{path}: cannot be written ({error.strerror}); a writable folder with room is needed."
        ) from error


def read_json(path: Path, kind: type[T], remake: str) -> T:
    """
    A noun from a file.

    Raises:
        CacheStrategyError: no file, not JSON, another schema; ends with `remake`, the command that makes the file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CacheStrategyError(f"{path}: is not there. Make it: {remake}") from None
    except (OSError, ValueError) as error:
        raise CacheStrategyError(f"{path}: cannot be read ({error}). Make it again: {remake}") from error
    if isinstance(data, dict) and data.get("schema", 1) != 1:
        raise CacheStrategyError(
            f"{path}: has schema {data['schema']}, this version knows 1. Make it again: {remake}"
        )
    return from_data(kind, data, path.name)
