"""
Profiles: pyinstrument's JSON (a session or its renderer's), and cProfile's files, by function of the repository.

A file of cProfile is Python's marshal format, whose own reader may crash on hostile bytes: `Marshalled` reads just what such a
file may hold (dictionaries, tuples, text, numbers), with bounds, and runs nothing.

Source:
    https://docs.python.org/3/library/profile.html, CPython's Python/marshal.c (versions 0 to 4), https://pyinstrument.readthedocs.io
"""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import EndpointMeasurement, Evidence, Function
from cache_strategy.profile.measurements._base import Found, Source, measured, opened

SIZE_AT_MOST = 256 << 20
DEEPEST = 8
WHAT = "a profile: pyinstrument's JSON (-r json) or a file of cProfile (-o FILE)"
DATABASE = "sqlalchemy psycopg psycopg2 asyncpg sqlite3 aiosqlite django/db pymysql MySQLdb peewee".split()
OUTSIDE = "urllib3 requests httpx httpcore aiohttp http/client redis".split()


@dataclass(slots=True)
class _Spent:
    """Seconds of one function: in all, and in its own code, database libraries and outside calls."""

    calls: int = 0
    total: float = 0.0
    own: float = 0.0
    database: float = 0.0
    outside: float = 0.0
    breakdown: bool = False


def read(where: str, evidence: Evidence) -> Found:
    """
    Time per function of the repository.

    Raises:
        CacheStrategyError: the file is missing or unreadable, is of neither kind, or is too large.
    """
    with opened(where, WHAT) as stream:
        data = stream.read(SIZE_AT_MOST + 1)
    if len(data) > SIZE_AT_MOST:
        raise CacheStrategyError(f"{where}: is larger than {SIZE_AT_MOST >> 20} MB; name {WHAT}.")
    try:
        if data.lstrip()[:1] == b"{" and not _is_marshal(data):
            spent, kind = dict(_of_pyinstrument(json.loads(data), evidence)), "pyinstrument"
        else:
            spent, kind = dict(_of_cprofile(Marshalled(data).whole(), evidence)), "cProfile"
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        struct.error,
    ) as error:
        raise CacheStrategyError(
            f"{where}: is no profile that can be read ({_short(error)}); name {WHAT}."
        ) from None
    name = where.rpartition("/")[2]
    notes = () if spent else (f"{name}: no function of this repository is in it.",)
    measurements = (_measured(place, of, f"{kind}, {name}") for place, of in sorted(spent.items()))
    return Found(endpoints=tuple(measurements), notes=notes)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__


def _is_marshal(data: bytes) -> bool:
    """A dictionary of cProfile begins with `{` too, and goes on with a tuple."""
    return data[:1] in (b"{", b"\xfb") and data[1:2] in (b"(", b")", b"\xa8", b"\xa9", b"0")


def _measured(place: str, spent: _Spent, where: str) -> EndpointMeasurement:
    figures = {
        "total_seconds": measured(spent.total, "s", where, spent.calls or None),
        "own_seconds": measured(spent.own, "s", where, spent.calls or None),
    }
    if spent.calls:
        figures["calls"] = measured(spent.calls, "calls", where)
        figures["call_ms_mean"] = measured(spent.total / spent.calls * 1000, "ms", where, spent.calls)
    if spent.breakdown:
        figures["database_seconds"] = measured(spent.database, "s", where)
        figures["outside_seconds"] = measured(spent.outside, "s", where)
    return EndpointMeasurement(id=place, figures=figures)


class _Functions:
    """Functions of the repository by file, name and line."""

    def __init__(self, evidence: Evidence) -> None:
        self._by_name: dict[tuple[str, str], list[Function]] = defaultdict(list)
        for function in evidence.functions:
            self._by_name[PurePosixPath(function.path).name, function.qualname.rpartition(".")[2]].append(
                function
            )

    def of(self, file: str, name: str, line: int) -> str:
        """ "path:qualname" of the function that begins at or just before a line (decorators stand above); "" for none."""
        path = file.replace("\\", "/")
        found = [
            function
            for function in self._by_name.get((PurePosixPath(path).name, name.rpartition(".")[2]), ())
            if path == function.path or path.endswith("/" + function.path)
        ]
        best = min(found, key=lambda function: abs(function.line - line), default=None)
        return f"{best.path}:{best.qualname}" if best else ""


def _kind_of(file: str) -> str:
    path = file.replace("\\", "/")
    if any(f"/{word}/" in path or path.endswith(f"/{word}.py") for word in DATABASE):
        return "database"
    return "outside" if any(f"/{word}/" in path or path.endswith(f"/{word}.py") for word in OUTSIDE) else ""


# --- pyinstrument


def _of_pyinstrument(document: Mapping[str, Any], evidence: Evidence) -> Iterator[tuple[str, _Spent]]:
    """Every function on the tree once per stack, so that recursion counts once; time below a library counts for its kind."""
    functions, found = _Functions(evidence), defaultdict[str, _Spent](_Spent)
    root = document.get("root_frame")
    root = _tree_of(document["frame_records"]) if root is None else root
    pending: list[tuple[Mapping[str, Any], frozenset[str], str]] = [(root, frozenset(), "")]
    while pending:
        frame, above, kind = pending.pop()
        file = str(frame.get("file_path") or frame.get("file_path_short") or "")
        place = functions.of(file, str(frame["function"]), int(frame.get("line_no") or 0))
        took, children = float(frame["time"]), list(frame.get("children") or ())
        own = took - sum(float(child["time"]) for child in children)
        kind = "" if place else kind or _kind_of(file)
        if place and place not in above:
            found[place].total += took
            found[place].breakdown = True
        above = above | {place} if place else above
        for name in above:
            if kind:
                setattr(found[name], kind, getattr(found[name], kind) + max(0.0, own))
        if place:
            found[place].own += max(0.0, own)
        pending += [(child, above, kind) for child in children if str(child.get("function")) != "[self]"]
    yield from found.items()


def _tree_of(records: Any) -> dict[str, Any]:
    """The tree of a saved session, whose records are a stack of "function\\0file\\0line…" and a time each."""
    root: dict[str, Any] = {"function": "", "time": 0.0, "children": [], "known": {}}
    for stack, took in records:
        frame = root
        root["time"] += float(took)
        for identifier in stack:
            parts = str(identifier).split("\x01")[0].split("\x00")
            child = frame["known"].get(identifier)
            if child is None:
                child = {
                    "function": parts[0],
                    "file_path": parts[1] if len(parts) > 1 else "",
                    "line_no": parts[2] if len(parts) > 2 else 0,
                    "time": 0.0,
                    "children": [],
                    "known": {},
                }
                frame["known"][identifier] = child
                frame["children"].append(child)
            child["time"] += float(took)
            frame = child
    return root


# --- cProfile


def _of_cprofile(stats: Any, evidence: Evidence) -> Iterator[tuple[str, _Spent]]:
    """Calls and seconds per function; a method is known by its name and line."""
    if not isinstance(stats, dict):
        raise ValueError("it holds no dictionary of functions")
    functions, found = _Functions(evidence), defaultdict[str, _Spent](_Spent)
    for key, row in stats.items():
        if key == (b"profile_stats",) or key == ("profile_stats",):
            continue
        (file, line, name), (_, calls, own, total, _) = key, row
        place = functions.of(str(file), str(name), int(line))
        if place:
            spent = found[place]
            spent.calls += int(calls)
            spent.own += float(own)
            spent.total += float(total)
    yield from found.items()


class Marshalled:
    """Reads what a file of cProfile may hold; anything else is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._known: list[Any] = []

    def whole(self) -> Any:
        """The one object of the file."""
        value = self._object(0)
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")
        return value

    def _bytes(self, many: int) -> bytes:
        part = self._data[self._at : self._at + many]
        if many < 0 or len(part) != many:
            raise ValueError("it ends early")
        self._at += many
        return part

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _object(self, depth: int) -> Any:
        code = self._number("<B")
        kind, is_kept = chr(code & 0x7F), bool(code & 0x80)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind in "(){":
            # A container's number comes before those of its parts.
            place = len(self._known)
            self._known += [None] if is_kept else []
            value = self._container(kind, depth)
            if is_kept:
                self._known[place] = value
            return value
        value = self._scalar(kind)
        if is_kept:
            self._known.append(value)
        return value

    def _container(self, kind: str, depth: int) -> Any:
        if kind == "{":
            found = {}
            while self._data[self._at : self._at + 1] != b"0":
                key = self._object(depth + 1)
                found[key] = self._object(depth + 1)
            self._at += 1
            return found
        many = self._number("<I") if kind == "(" else self._number("<B")
        if many > len(self._data) - self._at:
            raise ValueError("it ends early")
        return tuple(self._object(depth + 1) for _ in range(many))

    def _scalar(self, kind: str) -> Any:
        if kind == "i":
            return self._number("<i")
        if kind == "g":
            return self._number("<d")
        if kind == "l":
            return self._long()
        if kind in "uatAs":
            return self._text(self._bytes(self._number("<I")), kind)
        if kind in "zZ":
            return self._text(self._bytes(self._number("<B")), kind)
        if kind == "r":
            return self._known[self._number("<I")]
        if kind in "NTF":
            return {"N": None, "T": True, "F": False}[kind]
        if kind == "f":
            return float(self._bytes(self._number("<B")))
        raise ValueError(f"byte {self._at - 1} is {kind!r}, which no profile has")

    def _text(self, data: bytes, kind: str) -> Any:
        return data.decode("utf-8", "replace") if kind != "s" else data

    def _long(self) -> int:
        """Fifteen bits at a time, the sign in the count."""
        many = self._number("<i")
        if abs(many) > 10:
            raise ValueError("it has a number beyond any count")
        value = 0
        for place in range(abs(many)):
            value |= self._number("<H") << (15 * place)
        return -value if many < 0 else value


source = Source("stacks", read)
