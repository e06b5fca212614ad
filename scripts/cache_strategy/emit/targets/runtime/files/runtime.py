"""
A cache that is never wrong for longer than you allow: in the memory of the process, in Redis, or both.

    cache = Cache(os.environ.get("REDIS_URL"), namespace="shop", budget_ms=100)
    user_profile = cache.entry("user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))

    @user_profile
    def get_user_profile(user_id): ...

    user_profile.get_or_compute({"user_id": 7}, lambda: ...)    # the same without a decorator
    user_profile.invalidate(user_id=7)                          # one key; after your commit
    cache.invalidate(("users", 7))                              # all that depends on row 7 of users

Without a URL, and with CACHE_MODE=off, every call computes. CACHE_MODE=shadow computes on every hit too, tells
`cache.listeners` about each difference and returns the computed value. CACHE_NAMESPACE replaces the namespace.

Why an old value is never stored as a new one: every table, row and tag has a version in Redis, the microsecond of its
last invalidation. A reader notes the versions before it computes, and its value is good only while they stay the same.
A reader in a database transaction that began before one of those versions may still see older rows: its value is
returned, not stored. An invalidation that Redis did not take is repeated until it does, and until then this process
does not read what depends on it.

Redis may be slow or gone: nothing raises because of it, a request waits for it at most `budget_ms`, and after an error
nobody asks again until a background thread got an answer.

The order to read in: Entry.get_or_compute, Entry._compute_and_store, NOTE_SCRIPT, Link.bump; the rest is detail.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import datetime
import decimal
import functools
import hashlib
import inspect
import json
import os
import random
import re
import threading
import time
import uuid
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")
if TYPE_CHECKING:
    Tag = str | tuple[str, object]
    Versions = tuple[bytes | None, ...]

REQUEST_SECONDS = 1.0  # assumed: the budget of a thread is whole again this long after its first use
RETRY_SECONDS = 0.02, 0.25  # assumed: first and longest pause between two attempts to reach Redis again
EXIT_SECONDS = 2.0  # assumed: a process that ends waits that long for its last invalidations to be delivered
SETTLE_SECONDS = 0.05  # assumed: the longest from a commit to its invalidation; for judging in shadow mode
SERVER_SECONDS = 30 * 86400  # how long Redis remembers which server it was; then everything is computed anew
RECORD_BYTES = 600  # assumed: what a record costs in memory besides its name and its payload
MICROSECONDS = 1_000_000
COUNTS = (
    "hits misses stale_served computations waits errors bypasses invalidations stores mismatches bytes compute_ms hit_ms"
).split()

# Begins every script. The time is Redis' own, so the clocks of the machines need not agree; what is no version is
# overwritten.
PRELUDE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function get(key) return redis.call('MGET', key)[1] end  -- nil for other types, too
local function put(key, version, ms) redis.call('SET', key, string.format('%.0f', version), 'PX', ms) end
"""

# KEYS: value, lock, the latest version of all, versions... ARGV: ms a version lives, token of the lock or "", ms the lock
# lives, when the value was stored that the caller knows. Gives the time, a good value that was stored later, 1 if the
# lock was taken, the versions. A missing version becomes the latest of all: whatever Redis may have forgotten about the
# tag was no later than that. A lock taken under other versions is taken over: what its holder computes is outdated.
NOTE_SCRIPT = """
local latest = tonumber(get(KEYS[3])) or now
put(KEYS[3], latest, ARGV[1])
local versions = {}
for i = 4, #KEYS do
  put(KEYS[i], tonumber(get(KEYS[i])) or latest, ARGV[1])
  versions[i - 3] = get(KEYS[i])
end
local under, value, locked = table.concat(versions, ','), false, 0
if ARGV[2] ~= '' then
  value = get(KEYS[1])
  local stored, seen = string.match(value or '', '^c1 %d %d+ (%d+) %d+ %d+ (%S+)')
  if seen ~= under or tonumber(stored) <= tonumber(ARGV[4]) then
    value = false
    local holder = get(KEYS[2])
    if not holder or string.match(holder, ' (.*)') ~= under or string.match(holder, '(.*) ') == ARGV[2] then
      redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. under, 'PX', ARGV[3])
      locked = 1
    end
  end
end
return {now, value, locked, unpack(versions)}
"""

# KEYS: the latest version of all, versions... ARGV: ms a version lives, microseconds to add, a version to replace by an
# earlier one. Versions grow, except that one in the future, set before a commit, becomes the time after it.
BUMP_SCRIPT = """
local latest = tonumber(get(KEYS[1])) or 0
for i = 2, #KEYS do
  local old = tonumber(get(KEYS[i])) or 0
  if old == tonumber(ARGV[3]) or old > now + 86400000000 then old = 0 end
  local new = math.max(now + ARGV[2], old + 1)
  put(KEYS[i], new, ARGV[1])
  latest = math.max(latest, math.min(new, now + 1))
end
put(KEYS[1], latest, ARGV[1])
return now + ARGV[2]
"""

# KEYS: value, lock. ARGV: value or "", ms it lives, token of the lock.
STORE_SCRIPT = """
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
if string.match(get(KEYS[2]) or '', '(.*) ') == ARGV[3] then redis.call('DEL', KEYS[2]) end
return 1
"""

# KEYS: the remembered server, the version of everything, the latest version of all. ARGV: ms to remember it. A server
# that restarted or took over may hold versions from before invalidations it never saw: all that is stored is invalid.
GREET_SCRIPT = """
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if server and get(KEYS[1]) ~= server then
  redis.call('SET', KEYS[1], server, 'PX', ARGV[1])
  put(KEYS[2], math.max(now, (tonumber(get(KEYS[2])) or 0) + 1), ARGV[1])
  redis.call('DEL', KEYS[3])
end
return now
"""


class Unavailable(Exception):
    """Redis did not answer in time, refused, or is known to be gone. Never reaches the application."""


# --- keys and values ---


def _datetime_text(moment: datetime.datetime) -> str:
    zone = moment.tzinfo
    if zone is None or type(zone) is datetime.timezone:
        return f"{moment.isoformat()} {moment.fold}"
    if type(zone).__module__ != "zoneinfo" or not getattr(zone, "key", None):
        raise TypeError("datetime with an unusual time zone")
    return f"{moment.replace(tzinfo=None).isoformat()} {moment.fold} {zone.key}"  # type: ignore[attr-defined]


def _datetime(text: str) -> datetime.datetime:
    stamp, fold, *zone = text.split(" ")
    moment = datetime.datetime.fromisoformat(stamp).replace(fold=int(fold))
    if zone:
        from zoneinfo import ZoneInfo  # Python 3.9, as the process that stored it

        moment = moment.replace(tzinfo=ZoneInfo(zone[0]))
    return moment


def _time_text(value: datetime.time) -> str:
    if value.tzinfo is not None:
        raise TypeError("time with a time zone")
    return f"{value.isoformat()} {value.fold}"


def _time(text: str) -> datetime.time:
    stamp, fold = text.split(" ")
    return datetime.time.fromisoformat(stamp).replace(fold=int(fold))


# Types whose values JSON does not know: to text and back, exactly. Subclasses are other types.
SCALARS: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    datetime.datetime: (_datetime_text, _datetime),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (_time_text, _time),
    datetime.timedelta: (
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda text: datetime.timedelta(*map(int, text.split(" "))),
    ),
    decimal.Decimal: (str, decimal.Decimal),
    uuid.UUID: (str, uuid.UUID),
    bytes: (
        lambda value: base64.b64encode(value).decode(),
        functools.partial(base64.b64decode, validate=True),
    ),
}
RESTORE: dict[str, Callable[[Any], Any]] = {f"~{kind.__name__}": back for kind, (_, back) in SCALARS.items()}
RESTORE.update({"~tuple": tuple, "~set": set, "~frozenset": frozenset, "~dict": dict})
MARKS: dict[type, str] = {tuple: "()", list: "[]", set: "<>", frozenset: "^$"}


def _scalar_text(value: object) -> str:
    kind = type(value)
    if kind not in SCALARS:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")
    return SCALARS[kind][0](value)


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
        parts = [encode_key(item) for item in cast("Iterable[object]", value)]
        return MARKS[kind][0] + "".join(parts if kind in (tuple, list) else sorted(parts)) + MARKS[kind][1]
    text = repr(value) if kind is float else _scalar_text(value)
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
    if isinstance(value, int) or (
        isinstance(value, decimal.Decimal) and value.is_finite() and value == int(value)
    ):
        return str(int(value))
    if not isinstance(value, str):
        return None
    text = value.strip().casefold()
    if INTEGER.fullmatch(text):
        return str(int(text.split(".")[0]))
    return text.strip("{}").replace("-", "") if UUID_TEXT.fullmatch(text) else text


def tag_names(tag: Tag) -> set[str]:
    """The tags to bump for a table and all its rows ("users"), or for one row (("users", 7))."""
    table, row = (tag, None) if isinstance(tag, str) else (tag[0], row_text(tag[1]))
    return {table, f"{table}:*" if row is None else f"{table}:{row}"}


def to_json(value: object, tags: list[str]) -> Any:
    """The value in JSON's own types, others as {"~type": ...}; the types are appended to `tags`."""
    kind = type(value)
    if value is None or kind in (str, int, bool, float):
        return value
    if isinstance(value, list) and kind is list:
        return [to_json(item, tags) for item in value]
    if isinstance(value, dict) and kind is dict:
        if all(type(name) is str and name[:1] != "~" for name in value):
            return {name: to_json(item, tags) for name, item in value.items()}
        content: Any = [[to_json(name, tags), to_json(item, tags)] for name, item in value.items()]
    elif kind in MARKS:
        content = [to_json(item, tags) for item in cast("Iterable[object]", value)]
        content = content if kind is tuple else sorted(content, key=json_text)
    else:
        content = _scalar_text(value)
    tags.append(kind.__name__)
    return {f"~{kind.__name__}": content}


def json_text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def encode_value(value: object) -> tuple[bytes, bool]:
    """
    The value as JSON, and whether it has tags.

    Raises:
        TypeError: names the type that would not come back exactly as it is.
    """
    tags: list[str] = []
    try:
        text = json.dumps(to_json(value, tags), ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError) as error:  # endless, or an integer beyond the interpreter's limit
        raise TypeError(f"{type(value).__qualname__} ({error})") from None
    return text.encode("utf-8", "surrogatepass"), bool(tags)


def _restore(data: dict[str, Any]) -> Any:
    name = next(iter(data), "")
    return RESTORE[name](data[name]) if name[:1] == "~" else data


# What decoding garbage may raise.
GARBAGE = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, ImportError)


@dataclass
class Record:
    """
    A stored value: its JSON, the versions it was computed under, and when, in microseconds of Redis' clock.

    Between `soft_us` and `hard_us` it is still served while one caller computes the next. `checked_at` is the cache's
    clock before the versions were last compared with those in Redis.
    """

    versions: tuple[bytes, ...]
    payload: bytes
    tagged: bool
    stored_us: int
    soft_us: int
    hard_us: int
    checked_at: float
    shared_value: list[Any] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        numbers = (self.tagged, len(self.payload), self.stored_us, self.soft_us, self.hard_us)
        return b"c1 %d %d %d %d %d %s\n%s" % (*numbers, b",".join(self.versions), self.payload)

    @staticmethod
    def from_bytes(data: bytes | None, checked_at: float) -> Record | None:
        """None for bytes that `to_bytes` did not write, or not whole."""
        head, _, payload = (data or b"").partition(b"\n")
        try:
            magic, tagged, length, stored_us, soft_us, hard_us, versions = head.split(b" ")
            if magic != b"c1" or int(length) != len(payload):
                return None
            times = int(stored_us), int(soft_us), int(hard_us)
        except ValueError:
            return None
        return Record(tuple(versions.split(b",")), payload, tagged == b"1", *times, checked_at)

    def value(self, shared: bool = False) -> Any:
        """The value: the same object each time if `shared`, else a new one. Raises one of GARBAGE if it is none."""
        if shared and self.shared_value:
            return self.shared_value[0]
        text = self.payload.decode("utf-8", "surrogatepass")
        value = json.loads(text, object_hook=_restore) if self.tagged else json.loads(text)
        if shared:
            self.shared_value.append(value)
        return value


class Memory:
    """Records of this process within a number and a size; the least recently used go first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lock = threading.Lock()
        self.records: OrderedDict[str, Record] = OrderedDict()

    def get(self, name: str) -> Record | None:
        with self.lock:
            if name in self.records:
                self.records.move_to_end(name)
            return self.records.get(name)

    def put(self, name: str, record: Record) -> None:
        with self.lock:
            if name in self.records:
                self.bytes -= self._size(name, self.records.pop(name))
            if self._size(name, record) <= self.max_bytes:
                self.records[name] = record
                self.bytes += self._size(name, record)
            while len(self.records) > self.max_entries or self.bytes > self.max_bytes:
                self.bytes -= self._size(*self.records.popitem(last=False))

    @staticmethod
    def _size(name: str, record: Record) -> int:
        return len(name) + len(record.payload) + RECORD_BYTES


# --- Redis ---


class Link:
    """
    Redis within a time budget.

    A command is sent once, or again if the connection turns out to have been closed. After an error the link is
    `broken`: every call fails at once, and one background thread tries to reach Redis, delivers the invalidations that
    are due, and mends it.
    """

    def __init__(self, url: str, prefix: str, budget_seconds: float, clock: Callable[[], float]) -> None:
        options: dict[str, Any] = {"protocol": 2, "decode_responses": False, "health_check_interval": 0}
        options.update(
            socket_timeout=budget_seconds, socket_connect_timeout=budget_seconds, retry=Retry(NoBackoff(), 0)
        )
        pool = redis.ConnectionPool.from_url(url, **options)
        pool.connection_kwargs.update(options)  # against options in the URL
        self._new_connection: Callable[[], Any] = lambda: pool.connection_class(**pool.connection_kwargs)
        self._prefix = prefix
        self._budget_seconds = budget_seconds
        self._clock = clock
        self.clock_offset = 0.0  # Redis' clock minus ours in seconds; too large by one round trip at most
        self.version_ms = 3_600_000
        self.latest = self.version_key("@latest")
        self.reset()

    def reset(self) -> None:
        """Start anew in a forked process: connections, threads and locks belong to the other one."""
        self._idle: deque[Any] = deque()
        self._account = threading.local()
        self._lock = threading.Lock()
        self._recovery: threading.Thread | None = None
        self.broken = False
        self.last_error = ""
        self.undelivered: frozenset[str] = frozenset()
        # our clock at the last invalidation: what was checked before is checked again
        self.distrusted_at = -1.0

    def version_key(self, tag: str) -> bytes:
        return f"{self._prefix}v:{tag}".encode("utf-8", "surrogatepass")

    def now_us(self) -> int:
        """Redis' clock in microseconds; never too early."""
        return int((self._clock() + self.clock_offset) * MICROSECONDS)

    def call(self, *command: Any) -> Any:
        """The answer to one command; Unavailable when there is none within what is left of the thread's budget."""
        if self.broken:
            raise Unavailable(self.last_error)
        started, account = time.monotonic(), self._account
        if started - getattr(account, "since", -REQUEST_SECONDS) >= REQUEST_SECONDS:
            account.since, account.spent = started, 0.0
        left = self._budget_seconds - account.spent
        if left < self._budget_seconds / 100:
            raise Unavailable("Redis is slow")
        try:
            return self._exchange(command, started + left)
        except redis.exceptions.NoScriptError:
            raise
        except redis.ResponseError as error:
            raise Unavailable(str(error)) from None
        except (redis.RedisError, OSError) as error:
            self.give_up(error)
            raise Unavailable(str(error)) from None
        finally:
            # a healthy answer is free: the budget is for waiting
            account.spent += max(0.0, time.monotonic() - started - self._budget_seconds / 20)

    def script(self, text: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        """The answer of a Lua script, which is sent whole only to a server that does not know it yet."""
        try:
            return self.call("EVALSHA", _sha1(text), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self.call("EVAL", PRELUDE + text, len(keys), *keys, *arguments)

    def _exchange(self, command: Sequence[Any], deadline: float) -> Any:
        while True:
            is_reused = bool(self._idle)
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            try:
                connection.send_command(*command)
                if not connection.can_read(timeout=max(0.001, deadline - time.monotonic())):
                    raise redis.TimeoutError("Redis did not answer in time")
                answer = connection.read_response()
            except redis.ResponseError:
                self._idle.append(connection)
                raise
            except redis.ConnectionError as error:
                connection.disconnect()
                if not is_reused or isinstance(error, redis.TimeoutError):
                    raise
            except BaseException:
                connection.disconnect()
                raise
            else:
                self._idle.append(connection)
                return answer

    def _connect(self) -> Any:
        connection = self._new_connection()
        try:
            connection.connect()
            asked_at = self._clock()
            keys = (self._prefix + "server", self.version_key("@all"), self.latest)
            with contextlib.suppress(redis.ResponseError):  # a read-only replica, or INFO is forbidden
                now_us = _run_script(connection, GREET_SCRIPT, keys, (SERVER_SECONDS * 1000,))
                self.clock_offset = int(now_us) / MICROSECONDS - asked_at
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def bump(self, tags: Collection[str], hold_us: int, release: int) -> int:
        """Give tags new versions (see `Cache.bump`). Until Redis took them they are `undelivered`, and sent again."""
        with self._lock:
            self.undelivered |= frozenset(tags)
        try:
            return self._deliver(self.script, frozenset(tags), hold_us, release)
        except Unavailable as error:
            with self._lock:
                self.undelivered |= frozenset(tags)  # another thread's success may have removed them
            self.give_up(error)
            return 0

    def _deliver(
        self, script: Callable[..., Any], tags: Collection[str], hold_us: int = 0, release: int = 0
    ) -> int:
        due = self.undelivered.union(tags)
        keys = [self.latest, *map(self.version_key, sorted(due))]
        held_until = int(script(BUMP_SCRIPT, keys, (self.version_ms, hold_us, release))) if due else 0
        with self._lock:
            self.distrusted_at = self._clock()
            self.undelivered -= due
        return held_until

    def give_up(self, error: BaseException) -> None:
        """Leave Redis alone until the background thread got an answer."""
        with self._lock:
            self.last_error = str(error)
            if self._recovery is None:
                self._recovery = threading.Thread(target=self._recover, name="cache-recovery", daemon=True)
                with contextlib.suppress(
                    RuntimeError
                ):  # no more threads, or the interpreter is shutting down
                    self._recovery.start()
            self.broken = self._recovery.is_alive()
            if not self.broken:
                self._recovery = None

    def _recover(self) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            self._idle.clear()
            try:
                connection = self._connect()
                self._deliver(functools.partial(_run_script, connection), ())
                with self._lock:
                    if not self.undelivered:
                        self._idle.append(connection)
                        self._recovery, self.broken = None, False
                        return
            except (redis.RedisError, OSError) as error:
                self.last_error = str(error)
                time.sleep(pause)
                pause = min(longest, pause * 2)

    def at_exit(self) -> None:
        recovery = self._recovery
        if self.undelivered and recovery is not None:
            recovery.join(EXIT_SECONDS)


def _run_script(connection: Any, text: str, keys: Sequence[Any], arguments: Sequence[Any]) -> Any:
    connection.send_command("EVAL", PRELUDE + text, len(keys), *keys, *arguments)
    return connection.read_response()


@functools.lru_cache(maxsize=16)
def _sha1(text: str) -> str:
    return hashlib.sha1((PRELUDE + text).encode()).hexdigest()  # Redis' name for a script


# --- entries ---


class Slot(NamedTuple):
    """The place of one key: its name, what it stands for, the tags it depends on, and where their versions are."""

    name: str
    redis_name: bytes
    parts: Mapping[str, object]
    tags: tuple[str, ...]
    version_keys: list[bytes]

    def readable(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.parts.items())


class Found:
    """What a reader saw of a key: the versions of now, a record, and a value to serve while one caller computes."""

    def __init__(self, versions: Versions, record: Record | None, known_us: int = 0) -> None:
        self.versions = versions
        self.record = record
        self.known_us = max(known_us, record.stored_us if record else 0)
        self.may_serve: list[Any] = []


class Flight:
    """A computation that other threads wait for, and the versions it noted."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.owner = threading.get_ident()
        self.noted: tuple[bytes, ...] | None = None
        self.record: Record | None = None

    def is_as_new_as(self, versions: Versions) -> bool:
        """Whether nothing was invalidated between its beginning and these versions; it may not have begun yet."""
        if self.noted is None:
            return True
        pairs = zip(self.noted, versions)  # noqa: B905 (Python 3.8)
        return all(int(mine) >= int(other) for mine, other in pairs if other and other.isdigit())


@dataclass(eq=False)
class Entry:
    """
    One cache. Made by `Cache.entry`.

    Attributes:
        ttl_seconds: the longest that a value is served, whatever happens; up to a tenth is taken off at random.
        layers: "memory", "redis"; other words are somebody else's.
        depends_on: "products" for all rows of a table, "users:{user_id}" for the row whose primary key is that part
            of the key.
        window_seconds: how long memory is served without asking Redis whether it still holds.
        staleness_bound_seconds: how old an invalidated value may be that others get while one caller computes the next.
        version: raise it when the meaning of the value changes.
        tags: more names to invalidate by, written as in `depends_on`.
        shared: every caller gets the same object, and none may change it.
        wait_seconds: how long a caller waits for another's computation before it computes itself.
    """

    cache: Cache
    name: str
    ttl_seconds: float
    layers: Sequence[str] = ("memory", "redis")
    depends_on: Sequence[str] = ()
    window_seconds: float = 0
    staleness_bound_seconds: float = 0
    version: int = 1
    tags: Sequence[str] = ()
    shared: bool = False
    wait_seconds: float = 2  # assumed

    def __post_init__(self) -> None:
        self.counts: dict[str, float] = dict.fromkeys(COUNTS, 0)
        self._in_memory = "memory" in self.layers
        self._in_redis = "redis" in self.layers
        self._is_on = self.cache.is_on and (self._in_memory or self._in_redis)
        self._defaults: dict[str, object] = {}
        self._function = ""
        self._has_refused = False
        self._dependencies: list[tuple[str, str]] = []
        for tag in (*self.depends_on, *self.tags):
            match = re.fullmatch(r"([^{}]+?)(?::\{(\w+)\})?", tag)
            if not match:
                raise ValueError(
                    f'{self.name}: cannot depend on "{tag}"; write "table" or "table:{{key part}}".'
                )
            self._dependencies.append((match[1], match[2] or ""))

    def __call__(self, function: F) -> F:
        """
        Decorator for a function: the key is its arguments, however they are passed, defaults spelled out.

        Raises:
            TypeError: the function is async or a generator.
            ValueError: the entry belongs to another function.
        """
        place = f"{function.__module__}.{function.__qualname__}"
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name}: {place} is async; this cache is for plain functions.")
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{self.name}: {place} is a generator; return a list instead.")
        if self._function not in ("", place):
            raise ValueError(
                f"{self.name}: caches {self._function} already; give {place} an entry of its own."
            )
        self._function = place
        signature = inspect.signature(function)
        for name, parameter in signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self._defaults[name] = () if parameter.kind is parameter.VAR_POSITIONAL else {}
            elif parameter.default is not parameter.empty:
                self._defaults[name] = parameter.default

        @functools.wraps(function)
        def cached(*args: Any, **kwargs: Any) -> Any:
            if not self._is_on:
                return function(*args, **kwargs)
            return self.get_or_compute(
                signature.bind(*args, **kwargs).arguments, lambda: function(*args, **kwargs)
            )

        return cast("F", cached)

    def get_or_compute(self, key: Mapping[str, object], compute: Callable[[], T]) -> T:
        """
        The stored value of a key, else `compute()`, which is stored.

        Raises:
            TypeError: a part of the key, or the value, is of a type that cannot be stored exactly, and the cache is strict.
            Exception: what `compute` raises; it is never stored.
        """
        if not self._is_on:
            return self._compute(compute)
        started = time.monotonic()
        try:
            slot = self.slot(key)
        except TypeError as error:
            self._refuse(error)
            return self._compute(compute)
        if self.is_blocked(slot):
            return self._bypass(slot, compute, BLOCKED)
        try:
            found = self._look(slot)
        except Unavailable as error:
            return self._bypass(slot, compute, str(error), errors=1)
        record = found.record
        if record is not None:
            with contextlib.suppress(*GARBAGE):
                value: T = record.value(self.shared)
                is_valid = record.versions == found.versions
                if is_valid and (self.cache.mode == "shadow" or self.cache.link.now_us() < record.soft_us):
                    return self._hit(slot, record, value, compute, started)
                if is_valid or self.may_be_served_stale(record):
                    found.may_serve.append(value)
        return self._miss(slot, found, compute)

    def _refuse(self, error: TypeError) -> None:
        """Raise what cannot be stored; a cache that is not strict says it once and lets the call compute."""
        if self.cache.strict:
            raise error from None
        self.count(errors=1)
        if not self._has_refused:
            self._has_refused = True
            warnings.warn(f"{error} It is computed at each call.", RuntimeWarning, stacklevel=4)

    def invalidate(self, **key: object) -> None:
        """Forget one key, now. Call it after the commit."""
        self._forget(self.slot(key))

    def invalidate_after_commit(self, session: Any, **key: object) -> None:
        """Forget one key once a SQLAlchemy session has committed; not at all if it rolls back."""
        self.cache.after_commit(session, functools.partial(self._forget, self.slot(key)))

    def invalidate_all(self) -> None:
        """Forget every key of this entry, now. Call it after the commit."""
        self.count(invalidations=1)
        self.cache.bump((f"@entry/{self.name}",), entry=self.name)

    def _forget(self, slot: Slot) -> None:
        self.count(invalidations=1)
        self.cache.bump((slot.tags[2],), entry=self.name, key=slot.readable())

    def slot(self, key: Mapping[str, object]) -> Slot:
        """The place of a key. TypeError when a part of it cannot be told apart, or one is missing."""
        parts = {**self._defaults, **key}
        try:
            text = "".join([encode_key(name) + encode_key(parts[name]) for name in sorted(parts)])
        except (TypeError, RecursionError) as error:
            what = f"{self.name}: {error} cannot be part of a key"
            raise TypeError(f"{what}; pass what identifies it, for example its id.") from None
        if len(text) > 160:
            text = "#" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        place = f"{self.name}/{self.version}/{text}"
        tags = ["@all", f"@entry/{self.name}", f"@key/{place}"]
        for table, part in self._dependencies:
            if part and part not in parts:
                raise TypeError(
                    f'{self.name}: depends on "{table}:{{{part}}}"; its key has no part "{part}".'
                )
            row = row_text(parts[part]) if part else None
            tags += [table] if row is None else [f"{table}:*", f"{table}:{row}"]
        name = f"{self.cache.prefix}e:{place}"
        version_keys = [self.cache.link.version_key(tag) for tag in tags]
        return Slot(name, name.encode("utf-8", "surrogatepass"), parts, tuple(tags), version_keys)

    # Reading.

    def is_blocked(self, slot: Slot) -> bool:
        return not self.cache.blocked_tags().isdisjoint(slot.tags)

    def _look(self, slot: Slot) -> Found:
        """What is stored, and the versions of now, in one round trip; in none while memory may be trusted."""
        link, asked_at = self.cache.link, self.cache.clock()
        record = self.cache.memory.get(slot.name) if self._in_memory else None
        known_us = record.stored_us if record else 0
        if record is not None and link.now_us() < (record.soft_us if self._in_redis else record.hard_us):
            if asked_at - record.checked_at < self.window_seconds and record.checked_at > link.distrusted_at:
                return Found(record.versions, record)
            versions = tuple(link.call("MGET", *slot.version_keys))
            if record.versions == versions:
                record.checked_at = asked_at
                return Found(versions, record)
        if not self._in_redis:
            return Found(tuple(link.call("MGET", *slot.version_keys)), None, known_us)
        *seen, data = link.call("MGET", *slot.version_keys, slot.redis_name)
        record, versions = Record.from_bytes(data, asked_at), tuple(seen)
        if record is not None and self._in_memory and record.versions == versions:
            self.cache.memory.put(slot.name, record)
        return Found(versions, record, known_us)

    def _hit(self, slot: Slot, record: Record, value: T, compute: Callable[[], T], started: float) -> T:
        self.count(hits=1, hit_ms=(time.monotonic() - started) * 1000)
        self.tell("hit", slot, record)
        return self._judge(slot, record, compute) if self.cache.mode == "shadow" else value

    def may_be_served_stale(self, record: Record) -> bool:
        """
        Whether an invalidated value is within the staleness bound.

        Only the last change of each dependency is known, not the first one since: the value's own age is the longest
        time that it can have been wrong.
        """
        age_us = self.cache.link.now_us() - record.stored_us
        return self.cache.mode == "on" and age_us < self.staleness_bound_seconds * MICROSECONDS

    # Computing.

    def _miss(self, slot: Slot, found: Found, compute: Callable[[], T]) -> T:
        """One thread computes; the others take what may be served, else wait for it."""
        cache, mine = self.cache, Flight()
        with cache.lock:
            flight = cache.flights.get(slot.name)
            if flight is None or not flight.is_as_new_as(found.versions):
                flight = cache.flights[slot.name] = mine
        if flight is mine:
            try:
                value, flight.record = self._compute_and_store(
                    slot, found, compute, flight, self.wait_seconds
                )
                return value
            finally:
                with cache.lock:
                    if cache.flights.get(slot.name) is mine:
                        del cache.flights[slot.name]
                flight.done.set()
        if found.may_serve:
            self.count(stale_served=1)
            return cast("T", found.may_serve[0])
        if flight.owner != threading.get_ident():
            self.count(waits=1)
            flight.done.wait(self.wait_seconds)
            if flight.record is not None and flight.is_as_new_as(found.versions):
                return cast("T", flight.record.value(self.shared))
        return self._compute_and_store(slot, found, compute, mine)[0]

    def _compute_and_store(
        self, slot: Slot, found: Found, compute: Callable[[], T], flight: Flight, patience_seconds: float = 0
    ) -> tuple[T, Record | None]:
        """Note the versions, compute, store; or take what another process stores. The record, if others may use it."""
        cache, link = self.cache, self.cache.link
        token = uuid.uuid4().hex if self._in_redis else ""
        keys = (slot.redis_name, slot.redis_name + b":lock", link.latest, *slot.version_keys)
        patience = time.monotonic() + patience_seconds
        while True:
            asked_at, began = cache.clock(), cache.snapshot_began()
            try:
                arguments = (link.version_ms, token, max(1, int(self.wait_seconds * 1000)), found.known_us)
                now_us, data, is_locked, *noted = link.script(NOTE_SCRIPT, keys, arguments)
            except Unavailable as error:
                return self._bypass(slot, compute, str(error), errors=1), None
            seen_us = now_us if began is None else now_us - int((cache.clock() - began) * MICROSECONDS)
            link.clock_offset = now_us / MICROSECONDS - asked_at
            versions = flight.noted = tuple(noted)
            late = Record.from_bytes(data, asked_at) or (
                cache.memory.get(slot.name) if self._in_memory else None
            )
            if late is not None and late.versions == versions and late.stored_us > found.known_us:
                with contextlib.suppress(*GARBAGE):
                    value: T = late.value(self.shared)
                    self.count(hits=1)
                    return value, late
            if is_locked or not token or time.monotonic() >= patience:
                break
            if found.may_serve:
                self.count(stale_served=1)
                return found.may_serve[0], None
            stored = self._await_other_process(slot, versions, patience)
            if stored is not None:
                return stored.value(self.shared), stored
            patience = 0  # it failed, or may not store: waiting for the next one would be a queue
        record = None
        try:
            self.count(misses=1)
            self.tell("miss", slot)
            value = self._compute(compute)
            # What an open transaction sees may be as old as its beginning: good only if nothing has changed since.
            if any(int(version) > seen_us for version in versions):
                self.skipped(slot, "the open transaction is older than the last change")
            elif self.is_blocked(slot):
                self.skipped(slot, BLOCKED)
            else:
                record = self._record(slot, value, versions, now_us, asked_at)
            return value, record
        finally:
            self._store(slot, record, token)

    def _record(
        self, slot: Slot, value: object, versions: tuple[bytes, ...], now_us: int, asked_at: float
    ) -> Record | None:
        try:
            payload, tagged = encode_value(value)
        except TypeError as error:
            what = f"{self.name}: the value for {slot.readable() or 'no arguments'} holds a {error}"
            self._refuse(
                TypeError(f"{what}, which cannot be restored exactly. Return plain data, for example a dict.")
            )
            return None
        life_us = (
            self.ttl_seconds * MICROSECONDS * random.uniform(0.9, 1)
        )  # what is stored together expires apart
        return Record(
            versions, payload, tagged, now_us, now_us + int(life_us * 0.9), now_us + int(life_us), asked_at
        )

    def _store(self, slot: Slot, record: Record | None, token: str) -> None:
        """Put a record into its layers, and open the lock."""
        life_ms = (record.hard_us - self.cache.link.now_us()) // 1000 if record else 0
        data = b""
        if record is not None and life_ms > 0:
            data = record.to_bytes()
            self.count(stores=1, bytes=len(data))
            if self._in_memory:
                self.cache.memory.put(slot.name, record)
            self.tell("store", slot, record)
        if token:
            try:
                keys = (slot.redis_name, slot.redis_name + b":lock")
                self.cache.link.script(STORE_SCRIPT, keys, (data, max(1, life_ms), token))
            except Unavailable as error:
                self.count(errors=1)
                self.tell("error", slot, reason=str(error))

    def _await_other_process(self, slot: Slot, versions: tuple[bytes, ...], patience: float) -> Record | None:
        """What the holder of the lock stores; None when it gave up or took too long, or the versions have changed."""
        self.count(waits=1)
        pause = 0.002
        keys = (*slot.version_keys, slot.redis_name, slot.redis_name + b":lock")
        while time.monotonic() < patience:
            time.sleep(pause)
            pause = min(0.02, pause * 1.5)
            try:
                *seen, data, lock = self.cache.link.call("MGET", *keys)
            except Unavailable:
                return None
            record = Record.from_bytes(data, self.cache.clock())
            if record is not None and record.versions == versions == tuple(seen):
                with contextlib.suppress(*GARBAGE):
                    record.value()
                    return record
            if lock is None or tuple(seen) != versions:
                return None
        return None

    def _compute(self, compute: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return compute()
        finally:
            self.count(computations=1, compute_ms=(time.monotonic() - started) * 1000)

    def _bypass(self, slot: Slot, compute: Callable[[], T], reason: str, errors: int = 0) -> T:
        self.count(errors=errors)
        self.skipped(slot, reason)
        return self._compute(compute)

    def skipped(self, slot: Slot, reason: str) -> None:
        """Count and tell that a value was not read, or not stored."""
        self.count(bypasses=1)
        self.tell("bypass", slot, reason=reason)

    # Shadow mode.

    def _judge(self, slot: Slot, record: Record, compute: Callable[[], T]) -> T:
        """The origin's value, after telling the listeners if the stored one differs, or why it could not be compared."""
        began = self.cache.snapshot_began()
        try:
            origin = self._compute(compute)
        except Exception as error:
            self.compare(
                slot,
                record,
                json_text(to_json(record.value(), [])),
                f"{type(error).__qualname__}: {error}",
                began,
            )
            raise
        try:
            origin_text = json_text(to_json(origin, []))
        except (TypeError, ValueError, RecursionError) as error:
            self.tell("uncompared", slot, reason=str(error))
        else:
            self.compare(slot, record, json_text(to_json(record.value(), [])), origin_text, began)
        return origin

    def compare(
        self, slot: Slot, record: Record, served: str, origin: str, began: float | None = None
    ) -> None:
        """Tell "mismatch" if two texts differ, or "uncompared" if they may: a change announced since, a transaction open before."""
        link = self.cache.link
        if served == origin:
            return
        open_us = 0 if began is None else int((self.cache.clock() - began + SETTLE_SECONDS) * MICROSECONDS)
        if began is not None and record.stored_us > link.now_us() - open_us:
            self.tell("uncompared", slot, reason="the open transaction is older than the value")
            return
        time.sleep(SETTLE_SECONDS)
        try:
            if tuple(link.call("MGET", *slot.version_keys)) != record.versions:
                self.tell("uncompared", slot, reason="a write was announced meanwhile")
                return
        except Unavailable as error:
            self.tell("uncompared", slot, reason=str(error))
            return
        self.count(mismatches=1)
        bound = self.staleness_bound_seconds
        texts = {"served": served[:2000], "origin": origin[:2000]}
        self.tell("mismatch", slot, record, **texts, tags=slot.tags[3:], staleness_bound_seconds=bound)

    # Being watched.

    def tell(self, event: str, slot: Slot, record: Record | None = None, **more: Any) -> None:
        """Notify the listeners; of a record, when its computation began (our clock; Redis' in us) and its versions."""
        if not self.cache.listeners:
            return
        if record is not None:
            more["stored_t"] = record.stored_us / MICROSECONDS - self.cache.link.clock_offset
            more["stored_us"], more["versions"] = (
                record.stored_us,
                [int(version) for version in record.versions],
            )
        self.cache.notify(event, self.name, slot.readable(), **more)

    def count(self, **amounts: float) -> None:
        with self.cache.lock:
            for name, amount in amounts.items():
                self.counts[name] += amount


BLOCKED = "a write is not yet committed or not yet announced"


class Cache:
    """
    The caches of an application: one Redis, one memory, one mode.

    Args:
        url: of Redis, as redis-py takes it; None or "" switches every cache off.
        namespace: begins every name in Redis, unless the environment has CACHE_NAMESPACE.
        budget_ms: the most that one request waits for Redis.
        memory_entries, memory_bytes: bounds of what this process keeps.
        strict: raise for what cannot be stored exactly; otherwise warn once and compute it at each call.
        clock: seconds that never go back.

    Attributes:
        mode: "on", "off" or "shadow".
        listeners: called with each event, a dict: event, entry, key (readable), t (seconds of `clock`), and more.
        snapshot_began: when this thread's oldest open database transaction began, by `clock`; None when none is open.
        pending_tags: the tags of this thread's writes that are not committed.
        after_commit: calls a function once a session has committed. `sqlalchemy_events.watch` sets these three.

    Raises:
        ValueError: CACHE_MODE is none of the three, or the URL is none.
    """

    def __init__(
        self,
        url: str | None,
        namespace: str,
        *,
        budget_ms: float = 100,
        memory_entries: int = 10_000,
        memory_bytes: int = 64 * 1024 * 1024,
        strict: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        mode = os.environ.get("CACHE_MODE") or "on"
        if mode not in ("on", "off", "shadow"):
            raise ValueError(f'CACHE_MODE is "{mode}"; it can be on, off or shadow.')
        if url and int(redis.__version__.partition(".")[0]) < 5:
            warnings.warn(
                f"redis-py {redis.__version__} is too old, 5.0 is needed: every cache is off.", stacklevel=2
            )
            url = None
        self.mode = mode if url else "off"
        self.is_on = self.mode != "off"
        self.prefix = (os.environ.get("CACHE_NAMESPACE") or namespace) + ":"
        self.strict = strict
        self.clock = clock
        self.entries: dict[str, Entry] = {}
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.snapshot_began: Callable[[], float | None] = lambda: None
        self.pending_tags: Callable[[], Collection[str]] = lambda: ()
        self.after_commit: Callable[[Any, Callable[[], None]], None] = _no_session
        self.link = Link(url or "redis://", self.prefix, budget_ms / 1000, clock)
        self.memory = Memory(memory_entries, memory_bytes)
        self.lock = threading.Lock()
        self.flights: dict[str, Flight] = {}
        ours = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _with(ours(), Cache._after_fork))
        atexit.register(lambda: _with(ours(), lambda cache: cache.link.at_exit()))

    def _after_fork(self) -> None:
        self.link.reset()
        self.memory.lock, self.lock, self.flights = threading.Lock(), threading.Lock(), {}

    def entry(self, name: str, *, ttl_seconds: float, **options: Any) -> Entry:
        """
        One cache; the options are the attributes of `Entry`.

        Raises:
            ValueError: the name is taken, or a dependency is written otherwise.
        """
        if name in self.entries:
            raise ValueError(f"{name}: there is an entry of this name already.")
        entry = self.entries[name] = Entry(self, name, ttl_seconds, **options)
        self.link.version_ms = max(self.link.version_ms, int(ttl_seconds * 2000))
        return entry

    def invalidate(self, *tags: Tag) -> None:
        """Forget all that depends on tables or tags ("products") or on rows (("users", 7)), now: after the commit."""
        self.bump({name for tag in tags for name in tag_names(tag)})

    def invalidate_all(self) -> None:
        """Forget everything, now."""
        self.bump(("@all",))

    def bump(
        self,
        tags: Collection[str],
        *,
        entry: str = "",
        key: str = "",
        hold_seconds: float = 0,
        release: int = 0,
    ) -> int:
        """
        Give tags (see `tag_names`) new versions, now.

        Args:
            hold_seconds: for a commit about to happen: so long, nothing that depends on them is stored.
            release: what the call with `hold_seconds` returned, once the commit is over.
        """
        if not self.is_on or not tags:
            return 0
        held_until = self.link.bump(tags, int(hold_seconds * MICROSECONDS), release)
        if self.listeners:
            self.notify("invalidate", entry, key, tags=sorted(tags))
        return held_until

    def blocked_tags(self) -> frozenset[str]:
        """Tags of writes that are not committed (in this thread) or not delivered to Redis (in this process)."""
        return self.link.undelivered.union(self.pending_tags())

    def notify(self, event: str, entry: str, key: str, **more: Any) -> None:
        message = {"event": event, "entry": entry, "key": key, "t": self.clock(), **more}
        for listener in list(self.listeners):
            with contextlib.suppress(Exception):  # who only watches must not break what is watched
                listener(message)

    def metrics(self) -> dict[str, dict[str, float]]:
        """What this process has counted, by entry. compute_ms and hit_ms are sums; bytes are those stored."""
        with self.lock:
            return {name: dict(entry.counts) for name, entry in self.entries.items()}

    def state(self) -> dict[str, int]:
        """Whether Redis answers, what memory holds, how many invalidations are due."""
        kept = {"memory_entries": len(self.memory.records), "memory_bytes": self.memory.bytes}
        is_up = int(self.is_on and not self.link.broken)
        return {"redis_up": is_up, **kept, "undelivered": len(self.link.undelivered)}

    def metrics_prometheus(self) -> str:
        """Metrics and state in Prometheus' text format."""
        lines, metrics = [], self.metrics()
        for count in COUNTS:
            lines.append(f"# TYPE cache_{count}_total counter")
            for name, counts in metrics.items():
                label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                lines.append(f'cache_{count}_total{{entry="{label}"}} {counts[count]:.17g}')
        for gauge, value in self.state().items():
            lines += [f"# TYPE cache_{gauge} gauge", f"cache_{gauge} {value}"]
        return "\n".join(lines) + "\n"


def _with(cache: Cache | None, function: Callable[[Cache], None]) -> None:
    if cache is not None:
        function(cache)


def _no_session(session: Any, function: Callable[[], None]) -> None:
    raise RuntimeError("No session is watched. Call sqlalchemy_events.watch(cache, tables) first.")
