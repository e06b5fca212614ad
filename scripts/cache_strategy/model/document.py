"""The one serializer: nouns to JSON and back. An unknown field is an error, a missing one that has no default too."""

import dataclasses
import functools
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
    """Plain dictionaries, lists and scalars of a noun. What a noun holds at several places is made once: do not change it."""
    return _to_data(value, {})


def _to_data(value: Any, made: dict[int, Any]) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    data = made.get(id(value))
    if data is not None:
        return data
    if isinstance(value, tuple | list):
        data = [_to_data(v, made) for v in value]
    elif isinstance(value, dict):
        data = {k: _to_data(v, made) for k, v in value.items()}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        data = {name: _to_data(getattr(value, name), made) for name in _fields(type(value))}
    else:
        return value
    made[id(value)] = data
    return data


@functools.cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


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
    """Writes a noun atomically, an item of a list per line: a reader sees the old file or the new one, never a half."""
    write_text(path, _laid_out(to_data(value)) + "\n")


def _laid_out(data: Any) -> str:
    """
    JSON with a line for every item of the lists at the top.

    Indenting it all would take the encoder that is not written in C, ten times as long, and three times the space.
    """
    if not isinstance(data, dict):
        return json.dumps(data, ensure_ascii=False)
    fields = []
    for name, value in data.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            text = "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"
        fields.append(f"{json.dumps(name)}: {text}")
    return "{" + ",\n".join(fields) + "}"


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
