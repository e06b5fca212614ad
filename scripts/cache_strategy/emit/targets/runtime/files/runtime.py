"""
A cache that is never wrong for longer than you allow: in process memory, in Redis, or both.

    cache = Cache(os.environ.get("REDIS_URL"), namespace="shop", budget_ms=100)
    user_profile = cache.entry("user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))

    @user_profile
    def get_user_profile(user_id): ...

    user_profile.get_or_compute({"user_id": 7}, lambda: ...)    # the same without a decorator
    user_profile.invalidate(user_id=7)                          # one key, after your commit
    cache.invalidate(("users", 7))                              # everything that depends on row 7 of users

Without a URL, and with CACHE_MODE=off, every call computes. CACHE_MODE=shadow computes on every hit too, compares,
tells `cache.listeners` about each difference and returns the computed value. CACHE_NAMESPACE replaces the namespace.

Why an old value is never stored as a new one: every table, row and tag has a version in Redis, the microsecond of
its last invalidation. A reader notes the versions before it computes; its value is good only while the versions are
the same. A reader inside a database transaction that began before one of those versions may still see older rows: its
value is returned but not stored. An invalidation that Redis did not take is kept and repeated, and until it is taken
this process does not read what depends on it.

Redis may be slow or gone: nothing here raises because of it, a request waits for it at most `budget_ms`, and after an
error nobody asks until a background thread got an answer again.
"""

from __future__ import annotations

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
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")
if TYPE_CHECKING:
    Tag = str | tuple[str, object]
    Event = dict[str, Any]

WAIT_SECONDS = 2.0  # assumed: how long one caller waits for another's computation before it computes itself
REQUEST_SECONDS = 1.0  # assumed: a thread's budget is whole again this long after its first wait
RETRY_SECONDS = (0.02, 0.25)  # assumed: first and longest pause between two attempts to reach Redis again
RUN_SECONDS = 30 * 86400  # how long Redis remembers which server process it was; longer only costs one refill
MEMORY_OVERHEAD_BYTES = 600  # assumed: what one value costs in memory beyond its own bytes
MICROSECONDS = 1_000_000

# Every script takes the time from Redis itself, so that the clocks of the application's machines do not matter.
NOW = "local t = redis.call('TIME'); local now = t[1] * 1000000 + t[2]\n"

# KEYS: a lock or "", then versions. ARGV: ms a version lives, lock content or "", ms the lock lives.
# Gives the time, whether the lock was taken, and the versions; one that is missing becomes the current time.
NOTE_SCRIPT = (
    NOW
    + """
local out, seen = {now, 0}, {}
for i = 2, #KEYS do
  local version = redis.call('MGET', KEYS[i])[1]
  if not version or not tonumber(version) then
    version = string.format('%.0f', now)
    redis.call('SET', KEYS[i], version, 'PX', ARGV[1])
  else
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
  end
  out[i + 1] = version
  seen[i - 1] = version
end
if ARGV[2] ~= '' then
  local content = ARGV[2] .. ' ' .. table.concat(seen, ',')
  local held = redis.call('MGET', KEYS[1])[1]
  if not held or held == content or string.match(held, ' (.*)') ~= string.match(content, ' (.*)') then
    redis.call('SET', KEYS[1], content, 'PX', ARGV[3])
    out[2] = 1
  end
end
return out
"""
)

# KEYS: versions. ARGV: ms a version lives, microseconds to add. A version only ever grows.
BUMP_SCRIPT = (
    NOW
    + """
for i = 1, #KEYS do
  local old = tonumber(redis.call('MGET', KEYS[i])[1] or 0) or 0
  if old > now + 86400000000 then old = 0 end
  redis.call('SET', KEYS[i], string.format('%.0f', math.max(now + ARGV[2], old + 1)), 'PX', ARGV[1])
end
return now
"""
)

# KEYS: value, lock. ARGV: value or "", ms it lives, start of the lock's content. Stores, then opens the lock.
STORE_SCRIPT = """
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
local held = redis.call('MGET', KEYS[2])[1]
if held and string.sub(held, 1, #ARGV[3]) == ARGV[3] then redis.call('DEL', KEYS[2]) end
return 1
"""

# KEYS: the remembered server process, the version of everything. A Redis that restarted, or a replica that took
# over, may hold versions from before invalidations it never saw: everything stored until now is invalid then.
GREET_SCRIPT = (
    NOW
    + """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if run and redis.call('MGET', KEYS[1])[1] ~= run then
  redis.call('SET', KEYS[1], run, 'EX', ARGV[1])
  local old = tonumber(redis.call('MGET', KEYS[2])[1] or 0) or 0
  redis.call('SET', KEYS[2], string.format('%.0f', math.max(now, old + 1)), 'EX', ARGV[1])
end
return now
"""
)


class Unavailable(Exception):
    """Redis did not answer within the budget, refused, or is known to be gone. Never leaves this package."""


# --- keys ---------------------------------------------------------------------------------------------------------


def encode_key(value: object) -> str:
    """
    A text that is equal for two values only if they are of the same type and equal; order of dicts and sets aside.

    Raises:
        TypeError: for a type without such a text; objects are told apart by what they are, never by `repr`.
    """
    kind = type(value)
    if value is None:
        return "n"
    if kind is bool:
        return "t" if value else "f"
    if kind is int:
        return f"i{value};"
    if kind is str:
        return f"s{len(cast(str, value))}:{value}"
    if kind is tuple or kind is list:
        marks = "()" if kind is tuple else "[]"
        return marks[0] + "".join(map(encode_key, cast("Iterable[object]", value))) + marks[1]
    if kind is dict:
        items = cast("dict[object, object]", value).items()
        return "{" + "".join(sorted(encode_key(k) + encode_key(v) for k, v in items)) + "}"
    if kind is set or kind is frozenset:
        marks = "<>" if kind is set else "«»"
        return marks[0] + "".join(sorted(map(encode_key, cast("Iterable[object]", value)))) + marks[1]
    name, text = _tagged_scalar(value)
    return f"x{name}{len(text)}:{text}"


INTEGER = re.compile(r"[+-]?[0-9]{1,40}(\.0*)?", re.ASCII)
UUID_TEXT = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?")


def row_text(value: object) -> str | None:
    """
    The name of a row in a tag, the same for every form of one primary key (7, "7", "007"); None for other types.

    Forms that a database might take for equal (case, spaces around) share a name: that can only invalidate too much.
    """
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, decimal.Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    if not isinstance(value, str):
        return None
    text = value.strip().casefold()
    if INTEGER.fullmatch(text):
        return str(int(text.split(".")[0]))
    return text.strip("{}").replace("-", "") if UUID_TEXT.fullmatch(text) else text


# --- values -------------------------------------------------------------------------------------------------------


def _tagged_scalar(value: object) -> tuple[str, str]:
    """The tag and the text of a value that JSON does not know; TypeError for types that do not come back equal."""
    kind = type(value)
    if kind is float:
        return "float", repr(value)
    if kind is datetime.datetime:
        moment = cast(datetime.datetime, value)
        zone = getattr(moment.tzinfo, "key", None) if _is_zoneinfo(moment.tzinfo) else None
        if moment.tzinfo is None or type(moment.tzinfo) is datetime.timezone:
            return "datetime", f"{moment.isoformat()} {moment.fold}"
        if zone:
            return "datetime", f"{moment.replace(tzinfo=None).isoformat()} {moment.fold} {zone}"
    if kind is datetime.time and cast(datetime.time, value).tzinfo is None:
        return "time", f"{cast(datetime.time, value).isoformat()} {cast(datetime.time, value).fold}"
    if kind is datetime.date:
        return "date", cast(datetime.date, value).isoformat()
    if kind is datetime.timedelta:
        span = cast(datetime.timedelta, value)
        return "timedelta", f"{span.days} {span.seconds} {span.microseconds}"
    if kind is decimal.Decimal:
        return "decimal", str(value)
    if kind is uuid.UUID:
        return "uuid", str(value)
    if kind is bytes:
        return "bytes", base64.b64encode(cast(bytes, value)).decode()
    raise TypeError(f"{kind.__module__}.{kind.__qualname__}")


def _is_zoneinfo(zone: object) -> bool:
    return type(zone).__module__ in ("zoneinfo", "zoneinfo._zoneinfo", "backports.zoneinfo")


def _datetime_of(text: str) -> datetime.datetime:
    stamp, fold, *zone = text.split(" ")
    moment = datetime.datetime.fromisoformat(stamp).replace(fold=int(fold))
    if not zone:
        return moment
    import zoneinfo  # Python 3.9 and later, as is the value that was stored

    return moment.replace(tzinfo=zoneinfo.ZoneInfo(zone[0]))


def _time_of(text: str) -> datetime.time:
    stamp, fold = text.split(" ")
    return datetime.time.fromisoformat(stamp).replace(fold=int(fold))


def _timedelta_of(text: str) -> datetime.timedelta:
    days, seconds, microseconds = map(int, text.split(" "))
    return datetime.timedelta(days, seconds, microseconds)


# What stands behind {"~<tag>": <json>}; the json has been restored from the inside out.
RESTORE: dict[str, Callable[[Any], Any]] = {
    "~datetime": _datetime_of,
    "~date": datetime.date.fromisoformat,
    "~time": _time_of,
    "~timedelta": _timedelta_of,
    "~decimal": decimal.Decimal,
    "~uuid": uuid.UUID,
    "~bytes": functools.partial(base64.b64decode, validate=True),
    "~tuple": tuple,
    "~set": set,
    "~frozenset": frozenset,
    "~dict": dict,
}


def _to_json(value: object, tags: list[str]) -> Any:
    """The value in JSON's own types; appends to `tags` whenever one had to be marked."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool or kind is float:
        return value
    if kind is list:
        return [_to_json(item, tags) for item in cast("list[object]", value)]
    if kind is dict:
        items = cast("dict[object, object]", value)
        if all(type(name) is str and not name.startswith("~") for name in items):
            return {name: _to_json(item, tags) for name, item in items.items()}
        tags.append("dict")
        return {"~dict": [[_to_json(name, tags), _to_json(item, tags)] for name, item in items.items()]}
    if kind in (tuple, set, frozenset):
        parts = [_to_json(item, tags) for item in cast("Iterable[object]", value)]
        tags.append(kind.__name__)
        return {"~" + kind.__name__: parts if kind is tuple else sorted(parts, key=_json_text)}
    name, text = _tagged_scalar(value)
    tags.append(name)
    return {"~" + name: text}


def _json_text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _restore(data: dict[str, Any]) -> Any:
    if len(data) == 1:
        ((name, content),) = data.items()
        if name[:1] == "~":
            return RESTORE[name](content)
    return data


def encode_value(value: object) -> tuple[bytes, bool]:
    """
    The value as JSON, and whether `decode_value` has marks to restore.

    Raises:
        TypeError: for anything that would not come back exactly as it is; names the type.
    """
    tags: list[str] = []
    try:
        text = json.dumps(_to_json(value, tags), ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError) as error:
        raise TypeError(f"{type(value).__qualname__} ({error})") from None
    return text.encode("utf-8", "surrogatepass"), bool(tags)


def decode_value(payload: bytes, tagged: bool) -> Any:
    """The value of `encode_value`, a new one at each call. ValueError and its like for anything else."""
    text = payload.decode("utf-8", "surrogatepass")
    return json.loads(text, object_hook=_restore) if tagged else json.loads(text)


GARBAGE = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, ImportError)


class Record:
    """
    One stored value: its JSON, the versions it was computed under, and when, in microseconds of Redis' clock.

    Between `soft_us` and `hard_us` it is still served, while one caller computes the next.
    """

    __slots__ = (
        "checked_at",
        "hard_us",
        "payload",
        "shared_value",
        "soft_us",
        "stored_us",
        "tagged",
        "versions",
    )

    def __init__(
        self,
        versions: tuple[bytes, ...],
        payload: bytes,
        tagged: bool,
        stored_us: int,
        soft_us: int,
        hard_us: int,
    ) -> None:
        self.versions = versions
        self.payload = payload
        self.tagged = tagged
        self.stored_us = stored_us
        self.soft_us = soft_us
        self.hard_us = hard_us
        self.checked_at = 0.0  # the cache's clock before the versions were last compared
        self.shared_value: list[Any] = []

    def to_bytes(self) -> bytes:
        head = (self.tagged, len(self.payload), self.stored_us, self.soft_us, self.hard_us)
        return b"c1 %d %d %d %d %d %s\n%s" % (*head, b",".join(self.versions), self.payload)

    @staticmethod
    def from_bytes(data: bytes | None) -> Record | None:
        """None for anything that `to_bytes` did not write, or not whole."""
        head, _, payload = (data or b"").partition(b"\n")
        fields = head.split(b" ")
        try:
            magic, (tagged, length, stored_us, soft_us, hard_us) = fields[0], map(int, fields[1:6])
            versions = tuple(fields[6].split(b","))
        except (ValueError, IndexError):
            return None
        if magic != b"c1" or length != len(payload):
            return None
        return Record(versions, payload, bool(tagged), stored_us, soft_us, hard_us)

    def value(self, shared: bool) -> Any:
        """The value: the same object each time when `shared`, else a new one. One of GARBAGE when it is none."""
        if not shared:
            return decode_value(self.payload, self.tagged)
        if not self.shared_value:
            self.shared_value.append(decode_value(self.payload, self.tagged))
        return self.shared_value[0]


class Memory:
    """Records of this process, the least recently used dropped first, within a number and a size."""

    def __init__(self, entries: int, size_bytes: int) -> None:
        self.max_entries = entries
        self.max_bytes = size_bytes
        self.bytes = 0
        self.lock = threading.Lock()
        self._records: OrderedDict[str, Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> Record | None:
        with self.lock:
            record = self._records.get(name)
            if record is not None:
                self._records.move_to_end(name)
            return record

    def put(self, name: str, record: Record) -> None:
        with self.lock:
            self._drop(name)
            self._records[name] = record
            self.bytes += self._size(name, record)
            while self._records and (len(self._records) > self.max_entries or self.bytes > self.max_bytes):
                self._drop(next(iter(self._records)))

    def drop(self, name: str) -> None:
        with self.lock:
            self._drop(name)

    def _drop(self, name: str) -> None:
        record = self._records.pop(name, None)
        if record is not None:
            self.bytes -= self._size(name, record)

    @staticmethod
    def _size(name: str, record: Record) -> int:
        return len(name) + len(record.payload) + MEMORY_OVERHEAD_BYTES


# --- Redis --------------------------------------------------------------------------------------------------------


class Link:
    """
    Redis within a time budget.

    One command at a time, no repetition beyond a connection found closed. After an error it is `broken`: every call
    fails at once, and a background thread alone tries to reach Redis, delivers `undelivered`, and mends the link.
    """

    def __init__(self, url: str, prefix: str, budget_seconds: float, clock: Callable[[], float]) -> None:
        options: dict[str, Any] = {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": budget_seconds,
            "socket_connect_timeout": budget_seconds,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
        }
        pool = redis.ConnectionPool.from_url(url, **options)
        pool.connection_kwargs.update(options)  # whatever the URL says
        self._new_connection: Callable[[], Any] = lambda: pool.connection_class(**pool.connection_kwargs)
        self._prefix = prefix
        self._budget_seconds = budget_seconds
        self._clock = clock
        self.clock_offset = 0.0
        """Redis' clock minus ours, in seconds."""
        self.version_ms = 3_600_000
        self.reset()

    def reset(self) -> None:
        """Forget connections and threads: they belong to another process after a fork."""
        self._idle: deque[Any] = deque()
        self._account = threading.local()
        self._lock = threading.Lock()
        self._deliver_lock = threading.Lock()
        self._recovering: threading.Thread | None = None
        self._wake = threading.Event()
        self.broken = False
        self.last_error = ""
        self.undelivered: frozenset[str] = frozenset()
        self.distrusted_at = -1.0
        """Our clock at the last invalidation of this process: memory checked before that is checked again."""

    def version_key(self, tag: str) -> bytes:
        return f"{self._prefix}v:{tag}".encode("utf-8", "surrogatepass")

    def now_us(self) -> int:
        """Redis' clock in microseconds, at most one round trip early, never late."""
        return int((self._clock() + self.clock_offset) * MICROSECONDS)

    def call(self, *command: Any) -> Any:
        """The answer to one command. Unavailable when there is none in time."""
        if self.broken:
            raise Unavailable(self.last_error)
        started = time.monotonic()
        account = self._account
        if started - getattr(account, "since", -REQUEST_SECONDS) >= REQUEST_SECONDS:
            account.since, account.waited = started, 0.0
        budget = self._budget_seconds - account.waited
        if budget < self._budget_seconds / 100:
            raise Unavailable(f"Redis was slow: {self._budget_seconds * 1000:.0f} ms spent")
        try:
            return self._exchange(command, started + budget)
        except redis.ResponseError as error:
            if isinstance(error, redis.exceptions.NoScriptError):
                raise
            raise Unavailable(str(error)) from None
        except (redis.RedisError, OSError) as error:
            self.give_up(error)
            raise Unavailable(str(error)) from None
        finally:
            # what a healthy Redis takes is not held against it
            account.waited += max(0.0, time.monotonic() - started - self._budget_seconds / 20)

    def script(self, text: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        """The answer of a Lua script, sent whole only to a server that does not know it."""
        try:
            return self.call("EVALSHA", _sha1(text), len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self.call("EVAL", text, len(keys), *keys, *arguments)

    def _exchange(self, command: Sequence[Any], deadline: float) -> Any:
        while True:
            try:
                connection, reused = self._idle.pop(), True
            except IndexError:
                connection, reused = self._connect(), False
            try:
                connection.send_command(*command)
                if not connection.can_read(timeout=max(0.001, deadline - time.monotonic())):
                    raise redis.TimeoutError(
                        f"no answer from Redis within {self._budget_seconds * 1000:.0f} ms"
                    )
                answer = connection.read_response()
            except redis.ResponseError:
                self._idle.append(connection)
                raise
            except BaseException as error:
                connection.disconnect()
                if (
                    reused
                    and isinstance(error, redis.ConnectionError)
                    and not isinstance(error, redis.TimeoutError)
                ):
                    continue  # closed by the server while it lay idle
                raise
            self._idle.append(connection)
            return answer

    def _connect(self) -> Any:
        connection = self._new_connection()
        connection.connect()
        before = self._clock()
        keys = (f"{self._prefix}run".encode(), self.version_key("@all"))
        connection.send_command("EVAL", GREET_SCRIPT, 2, *keys, RUN_SECONDS)
        with contextlib.suppress(redis.ResponseError):  # a read-only replica, or INFO is forbidden
            self.clock_offset = int(connection.read_response()) / MICROSECONDS - before
        return connection

    # Invalidations: kept from before they are sent until Redis took them.

    def bump(self, tags: Iterable[str], hold_us: int = 0) -> bool:
        """Give tags new versions; False when Redis did not take them (they are repeated until it does)."""
        with self._lock:
            self.undelivered |= frozenset(tags)
        try:
            self._deliver(self.script, hold_us)
        except Unavailable as error:
            self.give_up(error)
            return False
        return True

    def _deliver(
        self, script: Callable[[str, Sequence[bytes], Sequence[Any]], Any], hold_us: int = 0
    ) -> None:
        with self._deliver_lock:
            tags = self.undelivered
            if tags:
                script(
                    BUMP_SCRIPT, [self.version_key(tag) for tag in sorted(tags)], (self.version_ms, hold_us)
                )
            with self._lock:
                self.distrusted_at = self._clock()
                self.undelivered -= tags

    def give_up(self, error: BaseException) -> None:
        """Leave Redis alone until the background thread got an answer."""
        with self._lock:
            self.last_error = str(error)
            self.broken = True
            if self._recovering is None:
                self._recovering = threading.Thread(target=self._recover, name="cache-recovery", daemon=True)
                self._recovering.start()

    def _recover(self) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            self._idle.clear()
            try:
                connection = self._connect()
                self._deliver(functools.partial(self._script_on, connection))
            except (redis.RedisError, OSError) as error:
                self.last_error = str(error)
                self._wake.wait(pause)
                pause = min(longest, pause * 2)
                continue
            with self._lock:
                if self.undelivered:
                    continue
                self._idle.append(connection)
                self._recovering = None
                self.broken = False
                return

    @staticmethod
    def _script_on(connection: Any, text: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        connection.send_command("EVAL", text, len(keys), *keys, *arguments)
        return connection.read_response()


@functools.lru_cache(maxsize=16)
def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()  # Redis' name for a script


# --- entries ------------------------------------------------------------------------------------------------------


class Slot:
    """The place of one key of an entry: its name in Redis, the versions it depends on, the arguments it stands for."""

    __slots__ = ("name", "parts", "redis_name", "tags", "version_keys")

    def __init__(self, name: str, parts: Mapping[str, object], tags: tuple[str, ...], link: Link) -> None:
        self.name = name
        self.redis_name = name.encode("utf-8", "surrogatepass")
        self.parts = parts
        self.tags = tags
        self.version_keys = [link.version_key(tag) for tag in tags]

    def readable(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.parts.items())


class Flight:
    """One computation that others of this process wait for."""

    __slots__ = ("done", "owner", "record")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.owner = threading.get_ident()
        self.record: Record | None = None


class Entry:
    """One cache of the contract. Made by `Cache.entry`."""

    def __init__(
        self,
        cache: Cache,
        name: str,
        *,
        ttl_seconds: float,
        layers: Sequence[str],
        depends_on: Sequence[str],
        window_seconds: float,
        staleness_bound_seconds: float,
        version: int,
        tags: Sequence[str],
        shared: bool,
        wait_seconds: float,
    ) -> None:
        self.cache = cache
        self.name = name
        self.ttl_seconds = ttl_seconds
        self.layers = tuple(layers)
        self.depends_on = tuple(depends_on)
        self.window_seconds = window_seconds
        self.staleness_bound_seconds = staleness_bound_seconds
        self.version = version
        self.tags = tuple(tags)
        self.shared = shared
        self.wait_seconds = wait_seconds
        self.counts: dict[str, float] = dict.fromkeys(COUNTS, 0)
        self._in_memory = "memory" in layers
        self._in_redis = "redis" in layers
        self._defaults: dict[str, object] = {}
        self._function: str | None = None
        self._tag_parts = [tag.partition(":{")[::2] for tag in (*depends_on, *tags)]
        for tag, part in self._tag_parts:
            if "{" in tag or "{" in part or (part and not part.endswith("}")):
                raise ValueError(f'{name}: cannot depend on "{tag}"; write "table" or "table:{{key part}}".')

    # The three ways to use it.

    def __call__(self, function: F) -> F:
        """Decorator: the key is the arguments, however they are passed, defaults spelled out."""
        for is_refused, what in (
            (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function), "async"),
            (inspect.isgeneratorfunction(function), "a generator"),
        ):
            if is_refused:
                raise TypeError(
                    f"{self.name}: {function.__qualname__}() is {what}; only plain results can be stored."
                )
        place = f"{function.__module__}.{function.__qualname__}"
        if self._function not in (None, place):
            raise ValueError(
                f"{self.name}: caches {self._function} already; give {place} an entry of its own."
            )
        self._function = place
        signature = inspect.signature(function)
        kinds = inspect.Parameter
        self._defaults = {
            name: () if p.kind is kinds.VAR_POSITIONAL else {} if p.kind is kinds.VAR_KEYWORD else p.default
            for name, p in signature.parameters.items()
            if p.default is not kinds.empty or p.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        }

        @functools.wraps(function)
        def cached(*args: Any, **kwargs: Any) -> Any:
            if not self.cache.is_on:
                return function(*args, **kwargs)
            bound = signature.bind(*args, **kwargs).arguments
            return self.get_or_compute(bound, lambda: function(*args, **kwargs))

        cached.cache_entry = self  # type: ignore[attr-defined]
        return cast(F, cached)

    def get_or_compute(self, key: Mapping[str, object], compute: Callable[[], T]) -> T:
        """
        The stored value of a key, else `compute()`, which is stored.

        Raises:
            TypeError: a key part or the value is of a type that cannot be told apart or restored exactly.
            Exception: whatever `compute` raises; it is not stored.
        """
        cache = self.cache
        if not cache.is_on or not (self._in_memory or self._in_redis):
            return self._compute(compute)
        started = time.monotonic()
        slot = self._slot(key)
        blocked = cache._blocked_tags()
        if blocked and not blocked.isdisjoint(slot.tags):
            return self._bypass(slot, compute, "a write is not yet committed or delivered")
        try:
            record, versions = self._look(slot)
        except Unavailable as error:
            return self._bypass(slot, compute, str(error))
        fallback: list[T] = []
        if record is not None:
            is_fresh = record.versions == versions
            try:
                value: T = record.value(self.shared)
            except GARBAGE:
                record = None
            else:
                if is_fresh and (cache._link.now_us() < record.soft_us or cache.mode == "shadow"):
                    return self._hit(slot, record, value, compute, started)
                if is_fresh or self._may_be_served_stale(record):
                    fallback.append(value)
        return self._miss(slot, versions, compute, fallback)

    def refresh(self, key: Mapping[str, object], compute: Callable[[], T]) -> T:
        """Compute and store, whatever is stored now: for warming and for writers that want the next read to hit."""
        if not self.cache.is_on or not (self._in_memory or self._in_redis):
            return self._compute(compute)
        slot = self._slot(key)
        blocked = self.cache._blocked_tags()
        if blocked and not blocked.isdisjoint(slot.tags):
            return self._bypass(slot, compute, "a write is not yet committed or delivered")
        return self._compute_and_store(slot, compute, None)[0]

    def invalidate(self, **key: object) -> None:
        """Forget one key, now. Call it after the commit."""
        self._forget(self._slot(key))

    def invalidate_all(self) -> None:
        """Forget every key of this entry, now. Call it after the commit."""
        if self.cache.is_on:
            self.cache.bump((f"@entry/{self.name}",), entry=self.name)
            self._count("invalidations")

    def invalidate_after_commit(self, session: Any, **key: object) -> None:
        """Forget one key once the SQLAlchemy session has committed; not at all if it rolls back."""
        self.cache.after_commit(session, functools.partial(self._forget, self._slot(key)))

    def _forget(self, slot: Slot) -> None:
        if self.cache.is_on:
            self.cache.bump((slot.tags[2],), entry=self.name, key=slot.readable())
            self._count("invalidations")

    # Keys.

    def _slot(self, key: Mapping[str, object]) -> Slot:
        parts = {**self._defaults, **key} if self._defaults else dict(key)
        try:
            text = "".join([encode_key(name) + encode_key(parts[name]) for name in sorted(parts)])
        except TypeError as error:
            raise TypeError(
                f"{self.name}: {error} cannot be part of a key; pass what identifies it, for example its id."
            ) from None
        if len(text) > 160:
            text = "#" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        place = f"{self.name}/{self.version}/{text}"
        tags = ["@all", f"@entry/{self.name}", f"@key/{place}"]
        for tag, part in self._tag_parts:
            row = row_text(parts[part[:-1]]) if part else None
            tags.extend((tag,) if row is None else (f"{tag}:*", f"{tag}:{row}"))
        return Slot(f"{self.cache.prefix}e:{place}", parts, tuple(tags), self.cache._link)

    # Reading.

    def _look(self, slot: Slot) -> tuple[Record | None, tuple[bytes | None, ...]]:
        """What is stored and has not expired, with the versions of now. Unavailable when Redis is."""
        link, asked_at = self.cache._link, self.cache.clock()
        record = self.cache._memory.get(slot.name) if self._in_memory else None
        if record is not None and link.now_us() < record.hard_us:
            if asked_at - record.checked_at < self.window_seconds and record.checked_at > link.distrusted_at:
                return record, record.versions
            versions = tuple(link.call("MGET", *slot.version_keys))
            if record.versions == versions:
                record.checked_at = asked_at
                return record, versions
        if not self._in_redis:
            return None, tuple(link.call("MGET", *slot.version_keys))
        answer = link.call("MGET", *slot.version_keys, slot.redis_name)
        versions = tuple(answer[:-1])
        record = Record.from_bytes(answer[-1])
        if record is not None and self._in_memory and record.versions == versions:
            record.checked_at = asked_at
            self.cache._memory.put(slot.name, record)
        return record, versions

    def _hit(self, slot: Slot, record: Record, value: T, compute: Callable[[], T], started: float) -> T:
        self._count("hits")
        self._count("hit_ms", (time.monotonic() - started) * 1000)
        if self.cache.listeners:
            self.cache._notify("hit", self.name, slot.readable(), **self._history(record))
        return self._judge(slot, record, compute) if self.cache.mode == "shadow" else value

    def _may_be_served_stale(self, record: Record) -> bool:
        # Only the last change of each dependency is known, not the first one after this value: the value's own age
        # is the longest time it can have been wrong.
        age_us = self.cache._link.now_us() - record.stored_us
        return self.cache.mode == "on" and age_us < self.staleness_bound_seconds * MICROSECONDS

    # Computing.

    def _miss(
        self, slot: Slot, versions: tuple[bytes | None, ...], compute: Callable[[], T], fallback: list[T]
    ) -> T:
        """One caller computes; the others take what may still be served, else wait for it."""
        flights, name = self.cache._flights, (slot.name, versions)
        with self.cache._flights_lock:
            other = flights.get(name)
            if other is None:
                flight = flights[name] = Flight()
        if other is None:
            try:
                value, flight.record = self._compute_and_store(slot, compute, fallback)
                return value
            finally:
                with self.cache._flights_lock:
                    flights.pop(name, None)
                flight.done.set()
        if fallback:
            return self._stale(fallback[0])
        if other.owner != threading.get_ident():
            self._count("waits")
            other.done.wait(self.wait_seconds)
            if other.record is not None:
                return cast(T, other.record.value(self.shared))
        return self._compute_and_store(slot, compute, fallback)[0]

    def _stale(self, value: T) -> T:
        self._count("stale_served")
        return value

    def _compute_and_store(
        self, slot: Slot, compute: Callable[[], T], fallback: list[T] | None
    ) -> tuple[T, Record | None]:
        """Compute under noted versions and store, unless another process does. The record only if others may use it."""
        link, token = self.cache._link, uuid.uuid4().hex if self._in_redis else ""
        patience = time.monotonic() + self.wait_seconds
        while True:
            asked_at = self.cache.clock()
            began = self.cache.snapshot_began()
            try:
                keys = [slot.redis_name + b":lock", *slot.version_keys]
                wait_ms = int(self.wait_seconds * 1000) or 1
                now_us, locked, *versions = link.script(NOTE_SCRIPT, keys, (link.version_ms, token, wait_ms))
            except Unavailable as error:
                return self._bypass(slot, compute, str(error)), None
            link.clock_offset = now_us / MICROSECONDS - asked_at
            if locked or not token or fallback is None or time.monotonic() >= patience:
                break
            if fallback:
                return self._stale(fallback[0]), None
            self._count("waits")
            record = self._await_other(slot, tuple(versions), patience)
            if record is not None:
                try:
                    return record.value(self.shared), record
                except GARBAGE:
                    pass
        # What a transaction sees is as old as its beginning: safe only if nothing changed since then.
        seen_us = now_us if began is None else now_us - int((self.cache.clock() - began) * MICROSECONDS)
        is_storable = all(int(version) <= seen_us for version in versions)
        record = None
        try:
            value = self._compute(compute, slot)
            if not is_storable or not self.cache._blocked_tags().isdisjoint(slot.tags):
                self._count("bypasses")
                if self.cache.listeners:
                    reason = "the open transaction is older than the last change"
                    self.cache._notify("bypass", self.name, slot.readable(), reason=reason)
                return value, None
            record = self._record(slot, value, tuple(versions), now_us)
        finally:
            if token or record:
                self._store(slot, record, token, asked_at)
        return value, record

    def _record(self, slot: Slot, value: object, versions: tuple[bytes, ...], now_us: int) -> Record:
        try:
            payload, tagged = encode_value(value)
        except TypeError as error:
            raise TypeError(
                f"{self.name}: {slot.readable()} gave a {error}, which cannot be restored exactly; "
                "return plain data, for example a dict of its fields."
            ) from None
        ttl_us = (
            self.ttl_seconds * MICROSECONDS * random.uniform(0.9, 1.0)
        )  # keys stored together expire apart
        soft_us, hard_us = int(ttl_us * 0.9), int(ttl_us)
        return Record(versions, payload, tagged, now_us, now_us + soft_us, now_us + hard_us)

    def _store(self, slot: Slot, record: Record | None, token: str, asked_at: float) -> None:
        data, life_ms = b"", 1
        if record is not None:
            record.checked_at = asked_at
            life_ms = (record.hard_us - self.cache._link.now_us()) // 1000
            if life_ms <= 0:
                record = None
        if record is not None:
            self._count("stores")
            self._count("bytes", len(record.payload))
            if self._in_memory:
                self.cache._memory.put(slot.name, record)
            if self._in_redis:
                data = record.to_bytes()
            if self.cache.listeners:
                self.cache._notify("store", self.name, slot.readable(), **self._history(record))
        if token:
            try:
                keys = (slot.redis_name, slot.redis_name + b":lock")
                self.cache._link.script(STORE_SCRIPT, keys, (data, max(1, life_ms), token))
            except Unavailable as error:
                self._error(slot, str(error))

    def _await_other(self, slot: Slot, versions: tuple[bytes, ...], patience: float) -> Record | None:
        """What the process that holds the lock stores; None when it gave up, or the versions changed, or too late."""
        pause = 0.002
        while time.monotonic() < patience:
            time.sleep(pause)
            pause = min(0.02, pause * 1.5)
            try:
                answer = self.cache._link.call(
                    "MGET", *slot.version_keys, slot.redis_name, slot.redis_name + b":lock"
                )
            except Unavailable:
                return None
            if tuple(answer[:-2]) != versions:
                return None
            record = Record.from_bytes(answer[-2])
            if record is not None and record.versions == versions:
                return record
            if answer[-1] is None:
                return None
        return None

    def _compute(self, compute: Callable[[], T], slot: Slot | None = None) -> T:
        started = time.monotonic()
        try:
            return compute()
        finally:
            self._count("computations")
            self._count("compute_ms", (time.monotonic() - started) * 1000)
            if slot is not None:
                self._count("misses")
                if self.cache.listeners:
                    self.cache._notify("miss", self.name, slot.readable())

    def _bypass(self, slot: Slot, compute: Callable[[], T], reason: str) -> T:
        self._count("bypasses")
        if self.cache.listeners:
            self.cache._notify("bypass", self.name, slot.readable(), reason=reason)
        return self._compute(compute)

    def _error(self, slot: Slot, reason: str) -> None:
        self._count("errors")
        if self.cache.listeners:
            self.cache._notify("error", self.name, slot.readable(), reason=reason)

    # Shadow mode.

    def _judge(self, slot: Slot, record: Record, compute: Callable[[], T]) -> T:
        """The origin's value, after telling the listeners if the stored one differs and nothing excuses that."""
        link, began = self.cache._link, self.cache.snapshot_began()
        origin = self._compute(compute)
        try:
            served_text = _json_text(_to_json(record.value(False), []))
            origin_text = _json_text(_to_json(origin, []))
        except (TypeError, ValueError, RecursionError) as error:
            self._error(slot, str(error))
            return origin
        if served_text == origin_text:
            return origin
        if began is not None:
            began_us = link.now_us() - int((self.cache.clock() - began) * MICROSECONDS)
            if any(int(version) > began_us for version in record.versions):
                return origin  # the open transaction sees less than the stored value does
        threading.Event().wait(SETTLE_SECONDS)
        try:
            if tuple(link.call("MGET", *slot.version_keys)) != record.versions:
                return origin  # the write that makes the difference has been announced since
        except Unavailable:
            return origin
        self._count("mismatches")
        self.cache._notify(
            "mismatch",
            self.name,
            slot.readable(),
            served=served_text[:2000],
            origin=origin_text[:2000],
            staleness_bound_seconds=self.staleness_bound_seconds,
            **self._history(record),
        )
        return origin

    def _history(self, record: Record) -> dict[str, Any]:
        stored_t = record.stored_us / MICROSECONDS - self.cache._link.clock_offset
        return {
            "stored_t": stored_t,
            "stored_us": record.stored_us,
            "versions": [int(v) for v in record.versions],
        }

    def _count(self, name: str, amount: float = 1) -> None:
        with self.cache._counts_lock:
            self.counts[name] += amount


COUNTS = (
    "hits", "misses", "stale_served", "computations", "waits", "errors", "bypasses", "invalidations", "stores",
    "mismatches", "bytes", "compute_ms", "hit_ms",
)  # fmt: skip
SETTLE_SECONDS = 0.05  # assumed: the longest a commit takes to be announced, for judging in shadow mode


class Cache:
    """
    All caches of an application: one Redis, one memory, one mode.

    Args:
        url: of Redis, as redis-py takes it; None or "" switches every cache off.
        namespace: starts every name in Redis; the environment's CACHE_NAMESPACE wins.
        budget_ms: the most one request waits for Redis.
        memory_entries, memory_bytes: bounds of what this process keeps.
        clock: monotonic seconds.

    Attributes:
        listeners: called with every event, a dict with event, entry, key, t (seconds of `clock`) and more.
        snapshot_began: gives the time at which the oldest open database transaction of this thread began, or None.
        pending_tags: gives the tags of this thread's writes that are not committed yet.
        after_commit: calls a function once a session has committed. `sqlalchemy_events.watch` sets these three.
    """

    def __init__(
        self,
        url: str | None,
        namespace: str,
        *,
        budget_ms: float = 100,
        memory_entries: int = 10_000,
        memory_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        mode = os.environ.get("CACHE_MODE") or "on"
        if mode not in ("on", "off", "shadow"):
            raise ValueError(f'CACHE_MODE is "{mode}"; it can be on, off or shadow.')
        self.mode = mode if url else "off"
        self.is_on = self.mode != "off"
        self.prefix = (os.environ.get("CACHE_NAMESPACE") or namespace) + ":"
        self.clock = clock
        self.entries: dict[str, Entry] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.snapshot_began: Callable[[], float | None] = lambda: None
        self.pending_tags: Callable[[], Collection[str]] = lambda: ()
        self.after_commit: Callable[[Any, Callable[[], None]], None] = _no_sessions
        self._link = Link(url or "redis://", self.prefix, budget_ms / 1000, clock)
        self._memory = Memory(memory_entries, memory_bytes)
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_method_of(self, "_after_fork"))

    def _reset(self) -> None:
        self._flights: dict[tuple[str, tuple[bytes | None, ...]], Flight] = {}
        self._flights_lock = threading.Lock()
        self._counts_lock = threading.Lock()

    def _after_fork(self) -> None:
        self._reset()
        self._link.reset()
        self._memory.lock = threading.Lock()

    def entry(
        self,
        name: str,
        *,
        ttl_seconds: float,
        layers: Sequence[str] = ("memory", "redis"),
        depends_on: Sequence[str] = (),
        window_seconds: float = 0,
        staleness_bound_seconds: float = 0,
        version: int = 1,
        tags: Sequence[str] = (),
        shared: bool = False,
        wait_seconds: float = WAIT_SECONDS,
    ) -> Entry:
        """
        One cache.

        Args:
            ttl_seconds: the longest a value is served, whatever happens; a tenth at random is taken off.
            layers: "memory", "redis"; other words are taken care of elsewhere.
            depends_on: "products" for any row of a table, "users:{user_id}" for the row whose primary key is that
                part of the key.
            window_seconds: how long memory is served without asking Redis whether it still holds.
            staleness_bound_seconds: how old a value may be to be served to others while one caller renews it.
            version: raise it when the meaning of the value changes.
            tags: more names to invalidate by, written as in `depends_on`.
            shared: callers get the same object each time and must not change it.
            wait_seconds: how long a caller waits for another's computation before it computes itself.
        """
        if name in self.entries:
            raise ValueError(f"{name}: there is an entry of this name already.")
        entry = Entry(
            self, name, ttl_seconds=ttl_seconds, layers=layers, depends_on=depends_on, window_seconds=window_seconds,
            staleness_bound_seconds=staleness_bound_seconds, version=version, tags=tags, shared=shared,
            wait_seconds=wait_seconds,
        )  # fmt: skip
        self.entries[name] = entry
        self._link.version_ms = max(self._link.version_ms, int(ttl_seconds * 2000))
        return entry

    def invalidate(self, *tags: Tag) -> None:
        """
        Forget everything that depends on tables, rows or tags, now. Call it after the commit.

        Args:
            tags: "products" (the table with every row), ("users", 7) (one row).
        """
        self.bump({name for tag in tags for name in tag_names(tag)})

    def invalidate_all(self) -> None:
        """Forget everything, now."""
        self.bump(("@all",))

    def metrics(self) -> dict[str, dict[str, float]]:
        """What this process counted, per entry. Times are sums, in milliseconds; bytes are those stored."""
        with self._counts_lock:
            return {name: {**entry.counts} for name, entry in self.entries.items()}

    def metrics_prometheus(self) -> str:
        """The same in Prometheus' text format, with the state of Redis and of the memory."""
        lines: list[str] = []
        for count in COUNTS:
            metric = f"cache_{count}_total"
            lines.append(f"# TYPE {metric} counter")
            for name, counts in self.metrics().items():
                label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                lines.append(f'{metric}{{entry="{label}"}} {counts[count]:.17g}')
        for metric, value in self.state().items():
            lines.append(f"# TYPE cache_{metric} gauge")
            lines.append(f"cache_{metric} {value}")
        return "\n".join(lines) + "\n"

    def state(self) -> dict[str, int]:
        """Whether Redis answers, what is kept in memory, and how many invalidations wait to be delivered."""
        return {
            "redis_up": int(self.is_on and not self._link.broken),
            "memory_entries": len(self._memory),
            "memory_bytes": self._memory.bytes,
            "undelivered": len(self._link.undelivered),
        }

    def _blocked_tags(self) -> frozenset[str]:
        return self._link.undelivered.union(self.pending_tags())

    def bump(self, tags: Collection[str], *, entry: str = "", key: str = "", hold_seconds: float = 0) -> None:
        """
        Give tags new versions, now.

        Args:
            tags: as `tag_names` writes them.
            hold_seconds: store nothing that depends on them for that long: for a commit about to happen.
        """
        if not self.is_on or not tags:
            return
        self._link.bump(tags, int(hold_seconds * MICROSECONDS))
        if self.listeners:
            self._notify("invalidate", entry, key, tags=sorted(tags))

    def _notify(self, event: str, entry: str, key: str, **more: Any) -> None:
        message = {"event": event, "entry": entry, "key": key, "t": self.clock(), **more}
        for listener in list(self.listeners):
            listener(message)


def tag_names(tag: Tag) -> tuple[str, ...]:
    """The tags to bump for a table with all its rows, or for one row of it."""
    table, row = (tag, None) if isinstance(tag, str) else (tag[0], row_text(tag[1]))
    return (table, f"{table}:*" if row is None else f"{table}:{row}")


def _no_sessions(session: Any, function: Callable[[], None]) -> None:
    raise RuntimeError("No session is watched; call sqlalchemy_events.watch(cache, ...) first.")


def _method_of(owner: Cache, name: str) -> Callable[[], None]:
    reference = weakref.ref(owner)

    def call() -> None:
        cache = reference()
        if cache is not None:
            getattr(cache, name)()

    return call
