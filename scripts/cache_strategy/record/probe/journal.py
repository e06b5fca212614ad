"""The journal: one file of JSON lines per process, whole up to the last line however the process ends."""

# ruff: noqa: PTH118

from __future__ import annotations

import contextvars
import functools
import hashlib
import json
import mmap
import os
import sys
import threading
import time
from typing import Any

LEFT_FREE = 64 << 20
"""Bytes of the disk that are left to others: a mapped page for which there is no room would end the process (assumed)."""
FIRST_PAGES, MOST_PAGES = 1, 64
"""A journal grows by pages, at first by one, at last by a quarter of a megabyte, and looks for room each time."""
CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_given_away: list[Any] = []
"""Maps whose own descriptor somebody closed: freed, they would close what has its number now."""

KINDS_AT_MOST = 50
"""Different statements and hosts of one request that are told apart (assumed)."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode


class Request:
    """
    What is counted while one request is answered. `queries` and `outside` are how many and how many seconds, by read or write
    and tables, and by host; `calls` are records of candidate functions that wait for the request's user. `is_answered` once a
    framework within a server's request has noted it.
    """

    __slots__ = ("calls", "group", "is_answered", "outside", "queries")

    def __init__(self, group: str) -> None:
        self.group = group
        self.queries: dict[tuple[str, str], list[float]] = {}
        self.outside: dict[str, list[float]] = {}
        self.calls: list[dict[str, object]] = []
        self.is_answered = False

    def add_statement(self, what: tuple[str, str], seconds: float) -> None:
        known = self.queries.get(what)
        if known is not None:
            known[0] += 1
            known[1] += seconds
        elif len(self.queries) < KINDS_AT_MOST:
            self.queries[what] = [1, seconds]
        else:
            _add(self.queries, what, REST, seconds)

    def add_outside(self, host: str, seconds: float) -> None:
        _add(self.outside, host, "", seconds)


REST = ("", "")
"""Statements beyond the kinds that are told apart."""


def _add(counts: dict[Any, list[float]], name: Any, rest: Any, seconds: float) -> None:
    if name not in counts and len(counts) >= KINDS_AT_MOST:
        name = rest
    known = counts.setdefault(name, [0, 0.0])
    known[0] += 1
    known[1] += seconds


_request: contextvars.ContextVar[Request | None] = contextvars.ContextVar(
    "cache_strategy_request", default=None
)
current_request = _request.get
begin_request = _request.set
end_request = _request.reset


class Journal:
    """
    Appends records, JSON objects with `kind` and `t`, to `<folder>/<pid>-<n>.jsonl`; a fork begins a file of its own.

    The file is mapped into memory, a piece at a time that was written full of line feeds before: a record costs no call of the system,
    belongs to the file at once, however the process ends, and behind the last one there are only empty lines. Where files cannot
    be mapped each record is written. No descriptor stays open: a daemon closes those that it does not know, and their numbers are
    given to others. When the file cannot grow, or all of them are as large as they may be, recording ends for this process,
    with one line on stderr, and where there is room one in the file.
    """

    def __init__(self, folder: str, salt: str, plain: bool = False, limit: int = 0) -> None:
        self.folder = folder
        self.plain = plain
        self._salt = salt.encode()[:16]
        self._keyed = hashlib.blake2b(digest_size=8, key=self._salt)
        self._limit = limit
        self._on = True
        # What is asked for again and again: users, hosts, arguments.
        self._known = functools.lru_cache(maxsize=1000)(self.hashed)
        os.register_at_fork(after_in_child=self._begin)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._path = ""
        self._size = self._grown = 0
        self._map: Any = None
        self._at = self._end = 0
        self.add({"kind": "process", "t": time.monotonic()})

    def add(self, record: dict[str, object]) -> None:
        if self._on:
            self.write(_encode(record))

    def write(self, line: str) -> None:
        """A record that is a line already."""
        if not self._on:
            return
        data = (line + "\n").encode("utf-8", "replace")
        with self._lock:
            end = self._at + len(data)
            if end > self._end:
                if not self._grow(data):
                    return
                end = self._at + len(data)
            self._map[self._at : end] = data
            self._at = end

    def _grow(self, data: bytes) -> bool:
        """Room for a record; False where it is written already, or cannot be."""
        try:
            file = os.open(self._path, os.O_RDWR | CLOEXEC) if self._path else self._open()
            try:
                self._look(file)
                self._grown += 1
                return self._on and self._has_mapped(file, data)
            finally:
                os.close(file)
        except OSError as error:
            self._stop(f"cannot be written ({error.strerror})")
            return False

    def _has_mapped(self, file: int, data: bytes) -> bool:
        page = mmap.ALLOCATIONGRANULARITY
        many = (min(FIRST_PAGES << self._grown, MOST_PAGES) + len(data) // page) * page
        before, os_can = self._map, hasattr(os, "pwrite")
        if before is not False and os_can:
            os.pwrite(file, b"\n" * many, self._size)
            try:
                if before is not None and before.size() != self._size:
                    _given_away.append(before)
                self._map = mmap.mmap(file, many, offset=self._size)
                self._at, self._end, self._size = 0, many, self._size + many
                return True
            except (OSError, ValueError):
                os.ftruncate(file, self._size)
        self._map, self._at, self._end = False, 0, -1
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, data)
        return False

    def _look(self, file: int) -> None:
        """Ends the recording where there is no room left."""
        files = [entry for entry in os.scandir(self.folder) if entry.name.endswith(".jsonl")]
        disk = os.statvfs(self.folder) if hasattr(os, "statvfs") else None
        if self._limit and sum(entry.stat().st_size for entry in files) >= self._limit:
            why = f"holds the {self._limit / 2**20:,.0f} MiB that it may (record --limit)"
        elif disk is not None and disk.f_bavail * disk.f_frsize < LEFT_FREE:
            why = f"is on a disk with less than {LEFT_FREE >> 20} MiB left"
        else:
            return
        said = {
            "kind": "problem",
            "t": time.monotonic(),
            "text": f"The trace {why}: what came later is missing.",
        }
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, (_encode(said) + "\n").encode())
        self._stop(why)

    def _stop(self, why: str) -> None:
        self._on = False
        sys.stderr.write(
            f"cache-strategy record: {self.folder}: {why}; this process is not recorded any further.\n"
        )

    def _open(self) -> int:
        number = 0
        while True:
            self._path = os.path.join(self.folder, f"{os.getpid()}-{number}.jsonl")
            try:
                return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOEXEC, 0o600)
            except FileExistsError:
                number += 1

    def veil(self, value: object) -> str:
        """In clear only when that was asked for."""
        return str(value) if self.plain else self.hashed_again(value)

    def hashed_again(self, value: object) -> str:
        """`hashed`, of what comes often and is short."""
        return self._known(value) if type(value) is str and len(value) < 200 else self.hashed(value)

    def hashed(self, value: object) -> str:
        """The same value gives the same 16 hexadecimal digits within one recording, and others in the next."""
        found = self._keyed.copy()
        found.update(value if isinstance(value, bytes) else str(value).encode("utf-8", "replace"))
        return found.hexdigest()

    def hash(self) -> Any:
        """The same for what comes in parts: update() and hexdigest()."""
        return self._keyed.copy()
