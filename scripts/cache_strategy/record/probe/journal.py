"""The journal: one file of JSON lines per process, whole up to the last line however the process ends."""

# ruff: noqa: PTH118

from __future__ import annotations

import contextvars
import hashlib
import json
import os
import sys
import threading
import time
from typing import Any

LINES_AT_MOST = 64
"""Lines that wait in memory at most (assumed); they wait only until the end of the request that made them."""

KINDS_AT_MOST = 50
"""Different statements and hosts of one request that are told apart (assumed)."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode


class Request:
    """
    What is counted while one request is answered. Times in seconds; `queries` and `outside` are how many and how long, by
    read or write and tables, and by host; `calls` are records of candidate functions that wait for the request's user.
    `is_answered` once a framework within a server's request has noted it.
    """

    __slots__ = (
        "calls",
        "database_s",
        "group",
        "is_answered",
        "outside",
        "outside_s",
        "queries",
        "statements",
    )

    def __init__(self, group: str) -> None:
        self.group = group
        self.statements = 0
        self.database_s = 0.0
        self.outside_s = 0.0
        self.queries: dict[tuple[str, str], list[float]] = {}
        self.outside: dict[str, list[float]] = {}
        self.calls: list[dict[str, object]] = []
        self.is_answered = False

    def add_statement(self, what: tuple[str, str], seconds: float) -> None:
        self.statements += 1
        self.database_s += seconds
        _add(self.queries, what, seconds)

    def add_outside(self, host: str, seconds: float) -> None:
        self.outside_s += seconds
        _add(self.outside, host, seconds)


def _add(counts: dict[Any, list[float]], name: Any, seconds: float) -> None:
    known = counts.get(name)
    if known is not None:
        known[0] += 1
        known[1] += seconds
    elif len(counts) < KINDS_AT_MOST:
        counts[name] = [1, seconds]


_request: contextvars.ContextVar[Request | None] = contextvars.ContextVar(
    "cache_strategy_request", default=None
)
current_request = _request.get
begin_request = _request.set
end_request = _request.reset


class Journal:
    """
    Appends records, JSON objects with `kind` and `t`, to `<folder>/<pid>-<n>.jsonl`; a fork begins a file of its own.

    Lines of a request are written together at its end, others at once, each time by one write(2): what was written
    survives a kill. When the file cannot be written, recording ends for this process, with one line on stderr.
    """

    def __init__(self, folder: str, salt: str, plain: bool = False) -> None:
        self.folder = folder
        self.plain = plain
        self._salt = salt.encode()[:16]
        self._lines: list[str] = []
        self._file = -1
        self._on = True
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._begin)
        self._begin()

    def _begin(self) -> None:
        self._lines = []
        self._lock = threading.Lock()
        self._file = -1
        self.add({"kind": "process", "t": time.monotonic()})

    def add(self, record: dict[str, object]) -> None:
        """One more record; it may wait in memory while a request is being answered."""
        if not self._on:
            return
        self._lines.append(_encode(record))
        if _request.get() is None or len(self._lines) >= LINES_AT_MOST:
            self.flush()

    def write(self, line: str) -> None:
        """A record that is a line already, and all that waits."""
        if not self._lines and self._file >= 0 and self._on:
            try:
                os.write(self._file, (line + "\n").encode("utf-8", "replace"))
                return
            except OSError:
                pass
        if self._on:
            self._lines.append(line)
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        with self._lock:
            lines, self._lines = self._lines, []
            if not lines:
                return
            try:
                if self._file < 0:
                    self._file = self._open()
                os.write(self._file, ("\n".join(lines) + "\n").encode("utf-8", "replace"))
            except OSError as error:
                self._on = False
                sys.stderr.write(
                    f"cache-strategy record: {self.folder}: cannot be written ({error.strerror}); "
                    "this process is not recorded any further.\n"
                )

    def _open(self) -> int:
        number = 0
        while True:
            path = os.path.join(self.folder, f"{os.getpid()}-{number}.jsonl")
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                number += 1

    def veil(self, value: object) -> str:
        """In clear only when that was asked for."""
        return str(value) if self.plain else self.hashed(value)

    def hashed(self, value: object) -> str:
        """The same value gives the same 16 hexadecimal digits within one recording, and others in the next."""
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        return hashlib.blake2b(data, digest_size=8, key=self._salt).hexdigest()

    def hash(self) -> Any:
        """The same for what comes in parts: update() and hexdigest()."""
        return hashlib.blake2b(digest_size=8, key=self._salt)
