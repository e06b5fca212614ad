"""Access logs to a trace."""

import hashlib
import json
import re
import secrets
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate import scan
from cache_strategy.simulate.engine import engine_for
from cache_strategy.simulate.readers import WHAT, Layout, layout_of, load_readers
from cache_strategy.simulate.routes import Crowds, Routes, key_of, template

BLOCK = 8 << 20
SAMPLE = 1 << 16
STEPS_PER_BYTE = 3
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
NAMED_TIME = re.compile(r"(?:rt|request_time|total_time)[=:]\"?$")
TAIL = re.compile(r'" \d{3} \S+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" (.*)')


def read_access_log(paths: Sequence[Path], routes: Sequence[tuple[str, str]], log_format: str = "") -> Trace:
    """
    The requests of one or more access logs, plain, gzip or zstd, in time order.

    The format is found from the first lines of each file. A path is assigned to the application's route; where none
    fits, its numbers, UUIDs and slugs are replaced. Users are hashed anew at each reading. Lines that cannot be read
    are counted.

    Args:
        routes: method and route with parameters in braces, from the profile.
        log_format: of nginx, Apache or gunicorn; "" to find the format.

    Raises:
        CacheStrategyError: a file is missing, unreadable, not text, or of no known format; all files are empty.
    """
    logs = _Logs(log_format, sum(path.stat().st_size for path in paths if path.is_file()))
    for path in paths:
        try:
            with path.open("rb") as raw:
                logs.read(path, _blocks(path, raw, logs.notes))
        except OSError as error:
            raise CacheStrategyError(
                f"{path}: cannot be read ({error.strerror or error}); name {WHAT}."
            ) from error
    if not logs.parts:
        names = ", ".join(str(path) for path in paths) or "access log"
        raise CacheStrategyError(f"{names}: has no requests (empty); name {WHAT}.")
    accesses = _accesses(logs, Routes(routes))
    if np.isnan(accesses.duration_ms).all():
        logs.notes.append(
            "The log has no request times, so latency is not known; nginx logs it with $request_time, Apache with %D."
        )
    if logs.bad:
        logs.notes.append(
            f"{logs.bad} of {logs.bad + len(accesses)} lines could not be read. The first of them: {logs.first_bad!r}"
        )
    return Trace(
        accesses=accesses,
        seconds=float(accesses.time_s[-1] - accesses.time_s[0]),
        bad_lines=logs.bad,
        source=", ".join(path.name for path in paths) + f" ({', '.join(sorted(logs.formats))})",
        notes=tuple(logs.notes),
    )


def _blocks(path: Path, raw: Any, notes: list[str]) -> Iterator[bytes]:
    """Pieces of a file; a truncated archive ends with a note."""
    magic = raw.read(4)
    raw.seek(0)
    if magic == ZSTD:
        if not (program := shutil.which("zstd")):
            raise CacheStrategyError(
                f"{path}: is packed with zstd, whose program is not on PATH; install it, or unpack the file."
            )
        with subprocess.Popen([program, "-dcq"], stdin=raw, stdout=subprocess.PIPE) as unpacking:
            assert unpacking.stdout
            while block := unpacking.stdout.read(BLOCK):
                yield block
        if unpacking.returncode:
            notes.append(f"{path.name} ends early. What came before is used.")
        return
    if magic[:2] != GZIP:
        while block := raw.read(BLOCK):
            yield block
        return
    found, member = 0, zlib.decompressobj(wbits=31)
    try:
        while packed := raw.read(BLOCK // 16):
            while packed:
                block = member.decompress(packed)
                found += len(block)
                yield block
                packed = member.unused_data
                member = zlib.decompressobj(wbits=31) if member.eof else member
        problem = "" if member.eof or not found else "the archive is cut off"
    except zlib.error as error:
        problem = str(error)
    if problem and not found:
        raise CacheStrategyError(
            f"{path}: is no whole gzip archive ({problem}); unpack it, or copy it again."
        )
    if problem:
        notes.append(f"{path.name} ends early: {problem}. What came before is used.")


class _Logs:
    """What several files hold: columns in parts, requests and users by number."""

    def __init__(self, log_format: str = "", size: int = 0) -> None:
        self._given = layout_of(log_format) if log_format else None
        self._engine = engine_for(size * STEPS_PER_BYTE)
        self.requests, self.users = _Numbers(), _Numbers()
        self.parts: list[tuple[Any, ...]] = []
        self.bad = 0
        self.first_bad = ""
        self.notes: list[str] = []
        self.formats: set[str] = set()

    def read(self, path: Path, blocks: Iterator[bytes]) -> None:
        """One file; lines that do not fit into a block are bad."""
        layout, rest, is_too_long = None, b"", False
        for block in chain(blocks, (b"\n",)):
            head, newline, tail = block.rpartition(b"\n")
            if not newline:
                rest += tail
                if len(rest) > BLOCK:
                    rest, is_too_long = b"", True
                continue
            if is_too_long:
                rest, head, is_too_long = b"", head.partition(b"\n")[2], False
                self.bad += 1
            data, rest = rest + head + newline, tail
            if b"\0" in data:
                raise CacheStrategyError(f"{path}: is not text; name {WHAT}.")
            if data.strip():
                layout = layout or self._given or self._guess(path, data)
                self.take(data, layout)
        if layout is None:
            self.notes.append(f"{path.name} is empty.")

    def _guess(self, path: Path, data: bytes) -> Layout:
        """The layout that reads most of the first lines."""
        sample = data[: data.find(b"\n", SAMPLE) + 1] or data
        best, most, format_ = None, 0, ""
        readers = load_readers()
        for reader in readers.values():
            for layout, text in zip(reader.layouts, reader.formats or [""], strict=True):
                found = _Logs().take(sample, layout)
                if found > most:
                    best, most, name, format_ = layout, found, reader.name, text
        if best is None:
            first = data.strip().split(b"\n")[0][:60].decode("utf-8", "replace")
            raise CacheStrategyError(
                f"{path}: is in no known format (first line: {first!r}); the known ones are {', '.join(readers)}. "
                "Another one is named with --log-format, as the server's configuration has it."
            )
        self.formats.add(name)
        timed = _with_time(format_, sample) if format_ else ""
        if timed and _Logs().take(sample, layout_of(timed)) >= 0.98 * most:
            best = layout_of(timed)
        return best

    def take(self, data: bytes, layout: Layout) -> int:
        """The lines of a block; how many could be read."""
        engine, most = self._engine, data.count(b"\n")
        asked, whole = engine.blank(8 * most, -1, "i4"), engine.blank(4 * most, -1)
        real, bad = engine.blank(2 * most, 0, "f8"), engine.blank(3, 0)
        lines: int = engine.ready(scan.scan)(
            np.frombuffer(data, "u1") if engine.is_compiled else data,
            *(
                engine.column(np.array(column, "i8"))
                for column in (layout.roles, list(layout.stops), layout.lengths, layout.table)
            ),
            scan.hashed(b"request", 0, 7, scan.BASIS),
            asked,
            whole,
            real,
            bad,
            engine.blank(2 * scan.ROLES, -1),
            engine.blank(scan.ROLES, 99),
        )
        if bad[0] and not self.bad:
            self.first_bad = data[bad[1] : bad[2]][:60].decode("utf-8", "replace")
        self.bad += int(bad[0])
        if lines:
            spans = np.asarray(asked).reshape(-1, 8)[:lines]
            whole, real = np.asarray(whole).reshape(-1, 4)[:lines], np.asarray(real).reshape(-1, 2)[:lines]
            request = self._numbered(self.requests, data, whole[:, 0], spans[:, :6])
            user = self._numbered(self.users, data, whole[:, 1], spans[:, 6:])
            columns = (
                request,
                user,
                whole[:, 2].astype("i2"),
                whole[:, 3].astype("i4"),
                real[:, 1].astype("f4"),
            )
            self.parts.append((real[:, 0].copy(), *columns))
        return lines

    def _numbered(self, known: "_Numbers", data: bytes, hashes: Any, spans: Any) -> Any:
        """The number of each hash; the texts of new ones are kept."""
        before = len(known)
        numbers = np.fromiter(map(known.__getitem__, hashes.tolist()), "i4", len(hashes))
        new = np.flatnonzero(numbers >= before)
        first = np.unique(numbers[new], return_index=True)[1]
        for span in spans[new[first]].tolist():
            pairs = zip(span[::2], span[1::2], strict=True)
            known.texts.append(tuple(data[start:end] if start >= 0 else b"" for start, end in pairs))
        return numbers


class _Numbers(dict[int, int]):
    """Numbers hashes from 0 as they come; what they stand for is kept in `texts`."""

    def __init__(self) -> None:
        self.texts: list[tuple[bytes, ...]] = []

    def __missing__(self, key: int) -> int:
        number = self[key] = len(self)
        return number


def _with_time(log_format: str, sample: bytes) -> str:
    """
    A combined format and the request time that its first line has behind it; "" where there is none.

    A number that is called by a name that means it, else the last one with a point (seconds), else the last whole one
    (Apache's %D, microseconds).
    """
    match = TAIL.search(sample.decode("utf-8", "replace"))
    words = match[1].split() if match else []
    numbers = [
        (at, re.fullmatch(r'("?(?:[a-z_]+[=:]"?)?)(\d+(?:\.\d+)?)(.*)', word))
        for at, word in enumerate(words)
    ]
    found = [(at, n) for at, n in numbers if n and (NAMED_TIME.search(n[1]) or n[1] in ("", '"'))]
    found.sort(key=lambda item: (bool(NAMED_TIME.search(item[1][1])), "." in item[1][2], item[0]))
    if not found:
        return ""
    at, number = found[-1]
    unit = "request_time" if "." in number[2] or NAMED_TIME.search(number[1]) else "request_us"
    passed = "".join(" $passed" for _ in range(at))
    return f"{log_format}{passed} {number[1]}${{{unit}}}{number[3] or (' ' if at + 1 < len(words) else '')}"


def _accesses(logs: _Logs, routes: Routes) -> Accesses:
    times, request, user, status, size, took = (
        np.concatenate(parts) for parts in zip(*logs.parts, strict=True)
    )
    logs.parts.clear()
    if not np.all(times[1:] >= times[:-1]):
        order = np.argsort(times, kind="stable")
        times, request, user, status, size, took = (
            column[order] for column in (times, request, user, status, size, took)
        )
    groups: dict[str, int] = {}
    keys: dict[tuple[int, str], int] = {}
    places = np.array([_place(asked, groups, keys) for asked in _matched(logs.requests.texts, routes)], "i4")
    salt = secrets.token_bytes(16)
    hashes = [
        "",
        *(hashlib.blake2b(name, key=salt, digest_size=8).hexdigest() for (name,) in logs.users.texts if name),
    ]
    numbers = np.cumsum([bool(name) for (name,) in logs.users.texts]) * [
        bool(name) for (name,) in logs.users.texts
    ]
    return Accesses(
        time_s=times,
        group=places[request, 0],
        key=places[request, 1],
        user=numbers[user],
        status=status,
        duration_ms=np.where(took < 0, np.float32(np.nan), took),
        size_bytes=np.where(status == 304, np.int32(-1), size),
        digest=np.zeros(len(times), "i1"),
        groups=tuple(groups),
        keys=tuple(key for _, key in keys),
        users=hashes,
        digests=("",),
    )


def _place(
    asked: tuple[str, str], groups: dict[str, int], keys: dict[tuple[int, str], int]
) -> tuple[int, int]:
    group = groups.setdefault(asked[0], len(groups))
    return group, keys.setdefault((group, asked[1]), len(keys))


def _matched(requests: Sequence[tuple[bytes, ...]], routes: Routes) -> Iterator[tuple[str, str]]:
    """Group and key of each request."""
    asked = [_split(*(_text(part) for part in parts)) for parts in requests]
    matches = [routes.match(method, path) for method, path, _ in asked]
    crowds = Crowds(
        {
            (method, template(path))
            for (method, path, _), match in zip(asked, matches, strict=True)
            if not match
        }
    )
    for (method, path, query), match in zip(asked, matches, strict=True):
        route, values = match or (crowds.reduce(method, template(path)), [("path", path)])
        yield f"{method} {route}", key_of(values, query)


def _text(part: bytes) -> str:
    """Of JSON with its escapes undone, which are also those of nginx and Apache for a quote."""
    text = part.decode("utf-8", "replace")
    if "\\" in text:
        try:
            return str(json.loads(f'"{text}"'))
        except ValueError:
            pass
    return text


def _split(method: str, target: str, query: str) -> tuple[str, str, str]:
    """Method, path and query; a proxy's log has whole URLs."""
    path, _, asked = target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return method.upper(), path, asked or query.lstrip("?")
