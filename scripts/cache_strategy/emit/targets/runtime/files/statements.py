"""
What SELECTs gave while answers were made, and these answers: kept in this process' memory until a row changes that they read.

    statements = Statements(cache, watcher)
    cached_endpoint(article, key=article_key, statements=statements)

Answers for different keys (users, pages) run many of the same statements, and a write to one row of a table leaves most
of them as they were. In Redis an entry depends on whole tables; here it depends on what its statements named: the rows of
`tags` of article 7. One question to Redis tells how the tables stand when an answer is begun; where a table has changed
since, a second one tells of the rows.

A statement that `sql_reads` does not understand is executed as before, and an answer made with one depends on all tables of
its entry as a whole. Nothing is kept after a write or a lock of the same request, nor on a connection on which somebody has
said SET, nor of a database that may change or hide rows by itself (`sql_doubts`).
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import re
import threading
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .link import MICROSECONDS, Slot, Unavailable
from .lua import VERSIONS_SCRIPT
from .runtime import Cache, Entry
from .sql_doubts import LOCKING
from .sql_reads import MOMENTS, Reads, reads_of
from .watching import SETTLE_SECONDS

MOST_ROWS = 2000  # assumed: the result of a statement that gives more is not kept
MOST_SECONDS = 1.0  # assumed: a request that takes longer wants to see what changed meanwhile
DOUBT_SECONDS = 300.0  # assumed: so long a database stays as its catalogue says
MOST_DOUBTFUL = 6  # assumed: an answer is made anew rather than more of its statements asked again
MOST_NAMES = 5000  # assumed: who reads more rows of a table depends on all of it
MOST_KEYS = 500  # of one question to Redis
SIMPLE = frozenset((str, int, bool, bytes, type(None), uuid.UUID, datetime.date, datetime.timedelta))
PLAIN = SIMPLE | {float, decimal.Decimal, datetime.datetime, datetime.time}  # equal ones may differ
if TYPE_CHECKING:
    Tables = dict[str, frozenset[str] | None]  # of each table the tags of the rows that matter, None for all


class Kept:
    """
    A value, what it depends on, and until when it was seen to be good, in microseconds of Redis' clock.

    Of an answer also its statements with their rows, and what the request had read before: while the statements give the
    same rows, the answer is the same.
    """

    __slots__ = ("before", "good_us", "made_us", "reads", "size", "trace", "until_us", "value")

    def __init__(self, value: Any, size: int, reads: Tables, good_us: int, until_us: int) -> None:
        self.value = value
        self.size = size
        self.reads = reads
        self.good_us = self.made_us = good_us
        self.until_us = until_us
        self.trace: list[Any] | None = None
        self.before: Tables = {}


class Scope:
    """One answer that is being made: how the tables stood when it was begun, and what was read since."""

    def __init__(
        self, began: float, now_us: int, seen_us: int, since_us: int, changed: Mapping[str, int]
    ) -> None:
        self.began = began
        self.now_us = now_us
        self.seen_us = seen_us  # what an open transaction shows may be as old as that
        self.since_us = since_us  # and what the request had read before
        self.changed = changed
        self.reads: Tables = {}
        self.new: set[str] = set()
        self.trace: list[Any] | None = []
        self.before: Tables = {}
        self.asked: Any = ()  # the entry and the key of the answer
        self.is_off = False
        self.is_vague = False  # more may have been read than is known

    def read(self, reads: Tables) -> None:
        add(self.reads, reads)


class Before:
    """What one request has read before an answer is begun, and since when."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.reads: Tables = {}


class Statements:
    """
    Args:
        tables, columns: as the watcher of the writes has them: what else is read has no versions.
        sees_all: whether what an answer holds of a table was read by statements of its request, and by nothing older.
        most_entries, most_bytes: bounds of what is kept.
    """

    def __init__(
        self,
        cache: Cache,
        tables: Mapping[str, str | None],
        columns: Mapping[str, Sequence[str]],
        sees_all: bool = False,
        most_entries: int = 20_000,
        most_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.cache = cache
        self.tables = tuple(tables)
        self.sees_all = sees_all
        self.most_entries = most_entries
        self.most_bytes = most_bytes
        self.reads_of: Callable[[str], Reads | None] = functools.lru_cache(maxsize=2000)(
            lambda text: reads_of(text, tables, columns)
        )
        names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, tables)) or '(?!)'})(?!\w)", re.I)
        by_name = {table.lower(): table for table in tables}
        self.named: Callable[[str], Sequence[str]] = functools.lru_cache(maxsize=2000)(
            lambda text: tuple({by_name[found.lower()] for found in names.findall(text)})
        )
        self.scope: ContextVar[Scope | None] = ContextVar("statements", default=None)
        # Since when this request reads, and what it had read before an answer was begun; the watcher of the writes knows.
        self.before: Callable[[], tuple[float | None, Sequence[Tables]]] = lambda: (None, ())
        # Of the request that this thread answers; None where it answers none. The framework's part sets it.
        self.begun = Before
        self.request: Callable[[], Before | None] = Before
        # The rows of a statement in a database, by way of `rows`; the watcher sets it.
        self.execute: Callable[[Any, str, Any], Sequence[Any]] = lambda *_: ()
        self.entry = cache.entry("statements", ttl_seconds=3600, layers=("statements",))
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._open: set[Scope] = set()
        self._doubts: dict[object, tuple[str, float]] = {}
        self._keys = [
            cache.link.latest,
            *map(cache.link.version_key, ("@all", "@entry/statements", *self.tables)),
        ]

    # Answers.

    def get_or_compute(self, entry: Entry, key: Mapping[str, object], compute: Callable[[], Any]) -> Any:
        """As the entry's own."""
        slot = entry.slot_or_none(key)
        if slot is None:
            return entry.get_or_compute(key, compute)
        try:
            kept = self.answer(entry, slot)
        except Exception as error:  # the entry itself goes on
            warnings.warn(f"{error!r}; the answer is made anew.", RuntimeWarning, 2)
            kept = None
        if kept is not None and self.cache.mode == "on":
            entry.count(hits=1)
            entry.tell("hit", slot, stored_t=self._time(kept.made_us))
            return kept.value
        fresh: list[Any] = []

        def make() -> Any:
            fresh.append(self.made(entry, slot, compute))
            return fresh[0]

        value = entry._get(slot, make)
        if kept is not None and fresh:
            entry.tell("hit", slot, stored_t=self._time(kept.made_us))
            if kept.value != fresh[0]:
                self._judge(kept, entry, slot, "", kept.value, fresh[0])
        return value

    def answer(self, entry: Entry, slot: Slot) -> Kept | None:
        """A kept answer, None where there is none that is still good."""
        kept = self._find((entry.name, slot.name))
        if kept is None or self.cache.mode not in ("on", "shadow"):
            return None
        scope = self._begin(slot.tags[1:3])
        if scope is None:
            return None
        scope.asked = entry, slot
        return kept if self._is_good(kept, scope) or self._is_same(kept, scope) else None

    def made(self, entry: Entry, slot: Slot, make: Callable[[], Any]) -> Any:
        """What `make` gives, kept if all that it read is known. What it raises is not."""
        since, reads = self.before()
        so_far = self.request()
        if so_far is None:
            since = 0.0
        else:
            since, reads = min(filter(None, (since, so_far.since)), default=None), (*reads, so_far.reads)
        scope = self._begin(slot.tags[1:3], (since, reads))
        token = self.scope.set(scope)
        if scope is not None:
            scope.asked = entry, slot
            self._open.add(scope)
        try:
            value = make()
        finally:
            self.scope.reset(token)
            if scope is not None:
                self._open.discard(scope)
        if scope is not None and not scope.is_off and self.cache.mode in ("on", "shadow"):
            tables = [tag.partition(":")[0] for tag in slot.tags[3:]]
            if scope.is_vague:
                scope.trace = None
                scope.read(dict.fromkeys(tables))
            if not self.sees_all:
                # besides the rows that were seen there may be others, in what another cache held
                scope.read(dict.fromkeys(tables))
                scope.before.update(dict.fromkeys(tables))
            until = scope.now_us + int(entry.ttl_seconds * 0.9 * MICROSECONDS)
            size = sum(len(text) for text in value.values() if isinstance(text, (str, bytes))) + 1000
            size += 200 * len(scope.trace or ())
            kept = Kept(value, size, scope.reads, scope.since_us, until)
            kept.trace, kept.before = scope.trace, scope.before
            self._put((entry.name, slot.name), kept)
        if scope is not None:
            self._note(scope.new)
        return value

    def _note(self, tags: Collection[str]) -> None:
        """Rows that have no version yet get that of the latest change: from now on theirs tell them apart from others."""
        if not tags:
            return
        link, waiting = self.cache.link, [self.cache.link.version_key(tag) for tag in tags]
        with contextlib.suppress(Unavailable):
            for at in range(0, len(waiting), MOST_KEYS):
                keys = [link.latest, *waiting[at : at + MOST_KEYS]]
                link.script(VERSIONS_SCRIPT, keys, link.version_ms, 1)

    # Statements.

    def rows(
        self,
        database: object,
        text: str,
        params: Any,
        execute: Callable[[], tuple[Sequence[Any], Any] | None],
    ) -> tuple[Sequence[Any], Any] | None:
        """
        The rows of a statement and what describes them; None if it has to be executed as if nothing were kept.

        Args:
            execute: executes it and gives both; None where they cannot be told.
        """
        scope = self.scope.get()
        if scope is None or scope.is_off:
            return None
        tags, key = self.tags(text, params), _key(database, text, params)
        scope.read(tags)
        if key is None or self.reads_of(text) is None:
            self._pass(scope, text)
            return None
        kept = self._find(key) if self.cache.clock() - scope.began < MOST_SECONDS else None
        is_good = kept is not None and self._is_good(kept, scope)
        if kept is not None and is_good and self.cache.mode != "shadow":
            self.entry.counts["hits"] += 1  # without the lock: one may be lost
            if scope.trace is not None:
                scope.trace.append((database, text, params, kept.value[0], tags))
            return kept.value  # type: ignore[no-any-return]
        given = execute()
        self.entry.counts["misses"] += 1
        if given is not None and len(given[0]) <= MOST_ROWS and not scope.is_off:
            size = _size(given[0])
            if size < 0:
                given, size = ([tuple(map(_steady, row)) for row in given[0]], given[1]), -size
            if kept is not None and size and kept.value[0] == given[0]:
                given = kept.value
            if scope.trace is not None:
                scope.trace.append((database, text, params, given[0], tags))
            if not size:
                scope.trace = None
            if kept is not None and is_good and kept.value[0] != given[0]:
                entry, slot = scope.asked
                self._judge(kept, entry, slot, f": {text} {params!r}"[:1000], kept.value[0], given[0])
            if size:
                life = int(self.entry.ttl_seconds * MICROSECONDS)
                self._put(key, Kept(given, size + 400, tags, scope.seen_us, scope.now_us + life))
                scope.new.update(*filter(None, tags.values()))
        else:
            scope.trace = None
        return given

    def tags(self, text: str, params: Any) -> Tables:
        """What a statement depends on: rows where it is understood, else the tables that it names."""
        reads = self.reads_of(text)
        return dict.fromkeys(self.named(text)) if reads is None else reads.tags(params)

    def passed(self, text: str) -> None:
        """A statement whose rows are not to be kept."""
        scope = self.scope.get()
        if scope is not None:
            scope.read(self.tags(text, ()))
            self._pass(scope, text)
        else:
            self.outside(text, ())

    def _pass(self, scope: Scope, text: str) -> None:
        scope.is_vague, scope.trace = True, None
        scope.is_off = scope.is_off or not _is_select(text) or LOCKING.search(text) is not None

    def outside(self, text: str, params: Any) -> None:
        """A statement while this thread makes no answer: before it, or for one that another thread makes."""
        before = self.request()
        if before is not None:
            before.since = before.since or self.cache.clock()
            add(before.reads, self.tags(text, params))
        else:
            for scope in tuple(self._open):
                scope.is_vague = True

    def failed(self, error: Exception) -> None:
        """What went wrong here is not the application's concern."""
        scope = self.scope.get()
        if scope is not None:
            scope.is_off = True
        warnings.warn(f"{error!r}; nothing is kept.", RuntimeWarning, 3)

    def is_in_doubt(self, database: object, ask: Callable[[], str]) -> bool:
        """Whether a database may change or hide rows by itself; `ask` looks into its catalogue and says why."""
        reason, until = self._doubts.get(database, ("", 0.0))
        if self.cache.clock() > until and self.scope.get() is not None:
            reason = ask()
            if reason and reason != self._doubts.get(database, ("", 0.0))[0]:
                self.cache.notify("bypass", "statements", "", reason=reason)
            self._doubts[database] = reason, self.cache.clock() + DOUBT_SECONDS
        if reason:
            self.entry.counts["bypasses"] += 1
        return bool(reason)

    def _judge(self, kept: Kept, entry: Entry, slot: Slot, what: str, served: Any, origin: Any) -> None:
        """In shadow mode: tell of what is not as the database has it, unless a write is announced meanwhile."""
        time.sleep(SETTLE_SECONDS)
        scope = self._begin(slot.tags[1:3])
        if scope is None or not self._is_good(kept, scope):
            if not what:
                entry.tell("uncompared", slot, reason="a write was announced meanwhile")
            return
        entry.count(mismatches=1)
        self.cache.notify(
            "mismatch",
            entry.name,
            slot.readable() + what,
            served=repr(served)[:2000],
            origin=repr(origin)[:2000],
            stored_t=self._time(kept.made_us),
            tags=sorted(kept.reads),
            staleness_bound_seconds=entry.staleness_bound_seconds,
        )

    def _time(self, moment_us: int) -> float:
        return moment_us / MICROSECONDS - self.cache.link.clock_offset

    # Versions.

    def _begin(
        self, tags: Sequence[str], before: tuple[float | None, Sequence[Tables]] = (None, ())
    ) -> Scope | None:
        """How all tables stand; None where that cannot be known, or where a write is on its way."""
        cache, link = self.cache, self.cache.link
        if not cache.is_on or link.broken or cache.blocked_tags():
            return None
        asked, began = cache.clock(), cache.snapshot_began()
        keys = [*self._keys, *map(link.version_key, tags)]
        try:
            now_us, _, _, under = link.script(VERSIONS_SCRIPT, keys, link.version_ms, 0)
        except Unavailable:
            return None
        versions = [int(version) for version in under.split(b",")]
        changed = dict(zip(self.tables, versions[2:]))  # noqa: B905 (Python 3.8)
        changed[""] = max([*versions[:2], *versions[2 + len(self.tables) :]])

        def time_us(moment: float | None) -> int:
            is_past = moment is not None and moment <= asked
            return int(now_us) - (int((cache.clock() - (moment or 0)) * MICROSECONDS) if is_past else 0)

        seen_us = time_us(began)
        scope = Scope(asked, now_us, seen_us, min(seen_us, time_us(before[0])), changed)
        for reads in before[1]:
            scope.read(reads)
        scope.before = dict(scope.reads)
        return scope

    def _is_good(self, kept: Kept, scope: Scope) -> bool:
        """Whether nothing has changed that a value depends on; asks for its rows where their tables have."""
        if not self._may_be_good(kept, scope):
            return False
        suspects = _changed(kept.reads, kept.good_us, scope)
        if suspects:
            versions = None if None in suspects.values() else self._versions(_rows_of([suspects]))
            if versions is None or any(version >= kept.good_us for version in versions.values()):
                return False
        kept.good_us = max(kept.good_us, scope.seen_us)
        return True

    def _may_be_good(self, kept: Kept, scope: Scope) -> bool:
        return scope.now_us < kept.until_us and scope.changed[""] < kept.good_us

    def _is_same(self, kept: Kept, scope: Scope) -> bool:
        """Whether the statements of an answer give the rows that it was made of; those that may not are executed."""
        good = kept.good_us
        if kept.trace is None or not self._may_be_good(kept, scope):
            return False
        held = Kept(None, 0, kept.before, good, kept.until_us)
        if not self._is_good(held, scope):
            return False
        suspects = [(one, _changed(one[4], good, scope)) for one in kept.trace]
        asked = [tags for _, tags in suspects if tags and None not in tags.values()]
        versions = self._versions(_rows_of(asked))
        if versions is None:
            return False
        doubtful = [
            one
            for one, tags in suspects
            if None in tags.values()
            or any(versions[row] >= good for rows in tags.values() for row in rows or ())
        ]
        if len(doubtful) > MOST_DOUBTFUL:
            return False
        token = self.scope.set(scope)
        try:
            for database, text, params, rows, _ in doubtful:
                if self.execute(database, text, params) != rows:
                    return False
        except Exception:  # the view will find it, too
            return False
        finally:
            self.scope.reset(token)
            self._note(scope.new)
        if scope.is_off:
            return False
        kept.good_us = max(good, scope.seen_us)
        return True

    def _versions(self, tags: Collection[str]) -> dict[str, int] | None:
        """When rows last changed; None where that cannot be known."""
        link, waiting, found = self.cache.link, list(tags), {}
        for at in range(0, len(waiting), MOST_KEYS):
            some = waiting[at : at + MOST_KEYS]
            try:
                latest, *seen = link.call("MGET", link.latest, *map(link.version_key, some), key=link.latest)
            except Unavailable:
                return None
            if latest is None:
                return None
            found.update({tag: int(version or latest) for tag, version in zip(some, seen)})  # noqa: B905
        return found

    # Memory.

    def _find(self, key: Any) -> Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def _put(self, key: Any, kept: Kept) -> None:
        if kept.size > self.most_bytes // 16:
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept[key] = kept
            self._bytes += kept.size - (old.size if old else 0)
            while self._bytes > self.most_bytes or len(self._kept) > self.most_entries:
                self._bytes -= self._kept.popitem(last=False)[1].size


class Rows:
    """A cursor whose rows are there already."""

    def __init__(self, rows: Sequence[Any], description: Any, cursor: Any, nothing: Any = None) -> None:
        self.rows = rows
        self._at = 0
        self._cursor = cursor
        self._nothing = [] if nothing is None else nothing
        self.description = description
        self.rowcount = len(rows)
        self.arraysize = 1

    def fetchone(self) -> Any:
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> Any:
        start, self._at = self._at, min(len(self.rows), self._at + (size or self.arraysize))
        return list(self.rows[start : self._at]) or self._nothing

    def fetchall(self) -> Any:
        return self.fetchmany(len(self.rows) + 1)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def close(self) -> None:
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _changed(reads: Tables, good: int, scope: Scope) -> Tables:
    """Of what is read that of which the tables have changed since a moment."""
    changed = scope.changed
    return {
        table: rows if table in changed else None
        for table, rows in reads.items()
        if changed.get(table, good) >= good
    }


def add(reads: Tables, more: Tables) -> None:
    """Join what is read to what was."""
    for table, rows in more.items():
        known = reads.get(table, frozenset())
        is_whole = rows is None or known is None or len(known) > MOST_NAMES
        reads[table] = None if is_whole else known | rows  # type: ignore[operator]


def _rows_of(reads: Iterable[Tables]) -> set[str]:
    return {row for each in reads for rows in each.values() for row in rows or ()}


def _is_select(text: str) -> bool:
    return text.lstrip(" (\n\t").lower().startswith(("select", "with"))


def _key(database: object, text: str, params: Any) -> Any:
    """None where a parameter is nothing that two statements could share."""
    values = sorted(params.items()) if isinstance(params, dict) else list(params or ())
    plain = [value for _, value in values] if isinstance(params, dict) else values
    kinds = tuple(map(type, plain))
    if not PLAIN.issuperset(kinds):
        return None
    if any(type(value) is str and value.strip().lower() in MOMENTS for value in plain):
        return None
    if not SIMPLE.issuperset(kinds):  # 1.0 and 1.00 are equal, and moments of other zones
        return database, text, repr(values)
    return database, text, tuple(values), kinds  # 1 and True are equal


def _size(rows: Sequence[Any]) -> int:
    """About how many bytes rows take; 0 where they hold what somebody may change, less where they look into the driver's memory."""
    size, sign = 100, 1
    for row in rows:
        if type(row) is not tuple:
            return 0
        for value in row:
            kind = type(value)
            if kind is memoryview:
                sign = -1
            elif kind not in PLAIN:
                return 0
            size += len(value) + 50 if kind in (str, bytes, memoryview) else 40
        size += 60
    return size * sign


def _steady(value: Any) -> Any:
    return memoryview(bytes(value)) if type(value) is memoryview else value
