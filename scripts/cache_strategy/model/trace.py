"""
What a running application did, in time order.

A trace is a folder of JSON Lines files, one per process (`<pid>-<n>.jsonl`), written by the probe. Every line is one
object with `kind` and `t` (seconds, CLOCK_MONOTONIC, comparable between processes of one machine since boot).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload


@dataclass(frozen=True, kw_only=True)
class Access:
    """
    One request or call that was answered.

    `group` is the endpoint's id ("GET /api/users/{user_id}"), `key` tells apart what is asked for within the group
    (path and query arguments). `user` is a salted hash, "" for anonymous. `digest` is a hash of the answer.
    Times in milliseconds; None where the source does not know. `outside_ms` is HTTP to others and Redis. `queries` are read
    or write, tables joined by commas, how many, and their time; `cookies` the names of those set; `process` tells apart
    processes, which may each have a database of their own.
    """

    time_s: float
    group: str
    key: str
    user: str = ""
    status: int | None = None
    duration_ms: float | None = None
    database_ms: float | None = None
    statements: int | None = None
    size_bytes: int | None = None
    digest: str = ""
    outside_ms: float | None = None
    queries: tuple[tuple[str, str, int, float], ...] = ()
    outside: tuple[tuple[str, int, float], ...] = ()
    cookies: tuple[str, ...] = ()
    process: int = 0


@dataclass(frozen=True, kw_only=True)
class Call:
    """
    One call of a candidate function, "path:qualname", during a request of `group` by `user` ("" for none).

    `key` is a hash of its arguments, `digest` one of its result, "" where that is no plain data.
    """

    time_s: float
    function: str
    key: str
    user: str = ""
    digest: str = ""
    duration_ms: float = 0.0
    group: str = ""
    process: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """
    What accesses stand for that were drawn out of more: `requests` in all.

    Per access `unit` is what it was drawn with, and `repeats` how many requests alike within the same second it is, itself
    included. Per unit `rate` is the chance with which it was drawn, 1 where there was none, `weight` how many like it it stands
    for, and `cell` what else is like it; the weights of a cell's units make up `asked`, its requests, all of which were
    counted. `spread` is how much these would be off by chance if they had not been, squared.
    """

    unit: Any
    repeats: Any
    rate: Any
    weight: Any
    cell: Any
    asked: Any
    spread: Any
    requests: int

    @property
    def stands_for(self) -> Any:
        """Per access how many requests."""
        return self.repeats * self.weight[self.unit]


@dataclass(frozen=True, kw_only=True, eq=False)
class Accesses(Sequence[Access]):
    """
    Accesses in columns, in time order: some 30 bytes each instead of 700. Reads like a tuple of Access.

    Columns are arrays of numbers. `group`, `key`, `user` and `digest` are places in the tuples of their names; a key belongs
    to one group alone, and the first user and digest are "". What is not known is -1 in `status` and `size_bytes`, not a
    number in `duration_ms`. Of more accesses than have room these are a `sample`.
    """

    time_s: Any
    group: Any
    key: Any
    user: Any
    status: Any
    duration_ms: Any
    size_bytes: Any
    digest: Any
    groups: Sequence[str]
    keys: Sequence[str]
    users: Sequence[str]
    digests: Sequence[str]
    sample: Sample | None = None

    def __len__(self) -> int:
        return len(self.time_s)

    @overload
    def __getitem__(self, at: int) -> Access: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Access, ...]: ...
    def __getitem__(self, at: int | slice) -> Access | tuple[Access, ...]:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        status, size, duration = int(self.status[at]), int(self.size_bytes[at]), float(self.duration_ms[at])
        return Access(
            time_s=float(self.time_s[at]),
            group=self.groups[self.group[at]],
            key=self.keys[self.key[at]],
            user=self.users[self.user[at]],
            status=None if status < 0 else status,
            duration_ms=None if duration != duration else round(duration, 4),
            size_bytes=None if size < 0 else size,
            digest=self.digests[self.digest[at]],
        )


@dataclass(frozen=True, kw_only=True)
class Write:
    """A statement that changed a table, and the innermost line of the user's code that led to it."""

    time_s: float
    tables: tuple[str, ...]
    path: str = ""
    line: int = 0
    qualname: str = ""
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class CacheEvent:
    """
    Something that a cache of the application did: hit, miss, store, mismatch, uncompared, invalidate, bypass, error.

    `stored_s` is when the value that was served had been computed; `served` and `origin` are short forms of the two
    values of a mismatch; `tags` are those of an invalidation. `group` is the request during which it happened, "" for
    none. `reason` says why a cache was bypassed, or a hit could not be compared.
    """

    time_s: float
    event: str
    entry: str
    key: str = ""
    stored_s: float | None = None
    served: str = ""
    origin: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """
    All accesses, writes, calls and cache events, each sorted by `time_s`. `bad_lines` could not be read.

    `undone` are writes that were rolled back: they count for nothing, but their own transaction saw them.
    """

    accesses: Sequence[Access] = ()
    writes: tuple[Write, ...] = ()
    undone: tuple[Write, ...] = ()
    calls: tuple[Call, ...] = ()
    cache_events: tuple[CacheEvent, ...] = ()
    seconds: float = 0.0
    bad_lines: int = 0
    source: str = ""
    notes: tuple[str, ...] = field(default=())
