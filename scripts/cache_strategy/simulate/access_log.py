"""Access logs to a trace."""

import gzip
import hashlib
import secrets
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Access, Trace
from cache_strategy.simulate.readers import Line, Reader, load_readers
from cache_strategy.simulate.routes import Crowds, Routes, key_of, template

GUESSED_FROM_LINES = 200
LONGEST_LINE = 65_536
GZIP = b"\x1f\x8b"


@dataclass
class _Logs:
    lines: list[Line] = field(default_factory=list)
    bad: int = 0
    notes: list[str] = field(default_factory=list)
    formats: set[str] = field(default_factory=set)


def read_access_log(paths: Sequence[Path], routes: Sequence[tuple[str, str]]) -> Trace:
    """
    The requests of one or more access logs, plain or gzip, in time order.

    The format is found from the first lines of each file. A path is assigned to the application's route; where none
    fits, its numbers, UUIDs and slugs are replaced. Users are hashed anew at each reading. Lines that cannot be read
    are counted.

    Args:
        routes: method and route with parameters in braces, from the profile.

    Raises:
        CacheStrategyError: a file is missing, unreadable, not text, or of no known format; all files are empty.
    """
    logs = _Logs()
    for path in paths:
        _read_file(path, logs)
    if not logs.lines:
        names = ", ".join(str(path) for path in paths) or "access log"
        raise CacheStrategyError(
            f"{names}: has no requests (empty); name a log of nginx, Apache or JSON lines."
        )
    if any(after.time_s < before.time_s for before, after in zip(logs.lines, logs.lines[1:], strict=False)):
        logs.lines.sort(key=lambda line: line.time_s)
    if all(line.duration_ms is None for line in logs.lines):
        logs.notes.append(
            "The log has no request times, so latency is not known; nginx logs it with $request_time, Apache with %D."
        )
    if logs.bad:
        logs.notes.append(f"{logs.bad} of {logs.bad + len(logs.lines)} lines could not be read.")
    return Trace(
        accesses=_accesses(logs, Routes(routes)),
        seconds=logs.lines[-1].time_s - logs.lines[0].time_s,
        bad_lines=logs.bad,
        source=", ".join(path.name for path in paths) + f" ({', '.join(sorted(logs.formats))})",
        notes=tuple(logs.notes),
    )


def _read_file(path: Path, logs: _Logs) -> None:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            lines = _text_lines(stream, path, logs)
            first = list(islice(lines, GUESSED_FROM_LINES))
            if not first:
                logs.notes.append(f"{path.name} is empty.")
                return
            reader = _guess(first, path)
            logs.formats.add(reader.name)
            for text in chain(first, lines):
                line = reader.parse(text)
                if line is None:
                    logs.bad += 1
                else:
                    logs.lines.append(line)
    except OSError as error:
        raise CacheStrategyError(
            f"{path}: cannot be read ({error.strerror or error}); name a log file of nginx, Apache or JSON lines."
        ) from error


def _text_lines(stream: IO[bytes], path: Path, logs: _Logs) -> Iterator[str]:
    """Lines without their ends; a truncated archive ends with a note, a line that is too long is bad."""
    number = 0
    try:
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if b"\0" in line:
                raise CacheStrategyError(
                    f"{path}:{number}: is not text; name a log of nginx, Apache or JSON lines, plain or gzip."
                )
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST_LINE)
                logs.bad += 1
                continue
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if not number:
            raise CacheStrategyError(
                f"{path}: is no whole gzip archive ({error}); unpack it, or copy it again."
            ) from error
        logs.bad += 1
        logs.notes.append(f"{path.name} ends early: {error}. What came before is used.")


def _guess(first: Sequence[str], path: Path) -> Reader:
    readers = load_readers()
    parsed = {name: sum(reader.parse(text) is not None for text in first) for name, reader in readers.items()}
    best = max(parsed, key=lambda name: parsed[name])
    if not parsed[best]:
        raise CacheStrategyError(
            f"{path}: is in no known format (first line: {first[0][:60]!r}); the known ones are {', '.join(readers)}."
        )
    return readers[best]


def _accesses(logs: _Logs, routes: Routes) -> tuple[Access, ...]:
    salt = secrets.token_bytes(16)
    users: dict[str, str] = {"": ""}
    found: dict[tuple[str, str], tuple[str, str] | None] = {}
    unmatched: Counter[tuple[str, str]] = Counter()
    for line in logs.lines:
        asked = (line.method, line.target)
        if asked not in found:
            found[asked] = _matched(asked, routes)
        if found[asked] is None:
            unmatched[line.method, template(_split(line.target)[0])] += 1
        if line.user not in users:
            users[line.user] = hashlib.blake2b(line.user.encode(), key=salt, digest_size=8).hexdigest()
    crowds = Crowds(unmatched)
    accesses = []
    for line in logs.lines:
        place = found[line.method, line.target]
        if place is None:
            path, query = _split(line.target)
            group = f"{line.method} {crowds.reduce(line.method, template(path))}"
            place = found[line.method, line.target] = (group, key_of([("path", path)], query))
        accesses.append(
            Access(
                time_s=line.time_s,
                group=place[0],
                key=place[1],
                user=users[line.user],
                status=line.status,
                duration_ms=line.duration_ms,
                size_bytes=None if line.status == 304 else line.size_bytes,
            )
        )
    return tuple(accesses)


def _matched(asked: tuple[str, str], routes: Routes) -> tuple[str, str] | None:
    method, target = asked
    path, query = _split(target)
    match = routes.match(method, path)
    if match is None:
        return None
    route, values = match
    return f"{method} {route}", key_of(values, query)


def _split(target: str) -> tuple[str, str]:
    """Path and query; a proxy's log has whole URLs."""
    if "://" in target.partition("?")[0]:
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query
