"""
Functions kept by Flask-Caching, invalidated by the same commits as everything else.

    connect(cache, os.environ.get("REDIS_URL"))                 # cache: the Cache of runtime.py
    user_profile = MemoizedEntry(cache, "user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))

    @user_profile
    def get_user_profile(user_id): ...

    flask_cache.delete_memoized(get_user_profile, 7)            # Flask-Caching's own way, one key
    flask_cache.delete_memoized(get_user_profile)               # all keys
    user_profile.invalidate(user_id=7)                          # the same without the function at hand

Flask-Caching keeps a version for each function that it memoizes, and one for each object whose method it memoizes;
`delete_memoized` gives a new one. Here the object stands for the row that the key names, or else for the key itself.
So a committed write to that row forgets the row's keys alone, and what is being computed meanwhile is stored under the
old version, where nobody looks. Flask-Caching by itself loses some invalidations of that moment; TextInRedis does not.

Flask-Caching would pickle what it stores; here it stores text, the JSON of runtime.py, and reads nothing else.
Redis may be gone: the function is called then, and invalidations are repeated before the next read. The modes on, off
and shadow are those of runtime.py. Works with Flask-Caching 2.0 to 2.5, within and without a request.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import random
import threading
import time
import types
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import flask_caching
import redis
from flask import Flask, current_app
from flask_caching.backends.rediscache import RedisCache
from redis.backoff import NoBackoff
from redis.retry import Retry

from .runtime import RESTORE, Cache, encode_key, encode_value, row_text

F = TypeVar("F", bound="Callable[..., Any]")
if TYPE_CHECKING:
    Event = dict[str, Any]

PAUSE_SECONDS = 1.0  # assumed: how long Redis is left alone after it did not answer
SETTLE_SECONDS = 0.05  # assumed: the longest a commit takes to be announced, for judging in shadow mode
MOST_OWED = 1000  # assumed: with more undelivered invalidations than this, everything is forgotten instead
VERSION_SECONDS = 30 * 86400  # Flask-Caching keeps some versions for ever; one that expires costs one refill
FORMAT = "m1"  # starts every stored text; another one makes every text of this one a miss

# Not for templates: the application may have a Cache of its own for them.
flask_cache = flask_caching.Cache(with_jinja2_ext=False)


def connect(cache: Cache, url: str | None, budget_ms: float = 100) -> None:
    """
    Point `flask_cache` to the Redis of `cache`; before the first `MemoizedEntry`.

    `flask_cache.init_app(app)` needs no configuration after this, and what the application says to a Cache of its own
    is not taken over. Without an application at all, as in a worker, the functions here work too.

    Args:
        budget_ms: the most that one command waits for Redis.
    """
    flask_cache.config = {
        "CACHE_ARGS": [],
        "CACHE_DEFAULT_TIMEOUT": 300,
        "CACHE_HASH_METHOD": hashlib.sha256,
        "CACHE_IGNORE_ERRORS": True,
        "CACHE_NO_NULL_WARNING": True,
        "CACHE_OPTIONS": None,
        "CACHE_SERIALIZER": None,
        "CACHE_SOURCE_CHECK": False,
        "CACHE_TYPE": "NullCache",
    }
    if cache.is_on and url:
        options = {"host": Client.to(url, budget_ms / 1000), "key_prefix": f"{cache.prefix}f:"}
        flask_cache.config.update({"CACHE_TYPE": f"{__name__}.TextInRedis", "CACHE_OPTIONS": options})
    flask_cache.init_app(Flask(__name__))


class Client(redis.Redis):
    """Redis within a time budget per command; left alone for a while after it did not answer."""

    left_alone_until = 0.0

    @classmethod
    def to(cls, url: str, budget_seconds: float) -> Client:
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
        return cls(connection_pool=pool)

    @property
    def is_left_alone(self) -> bool:
        return time.monotonic() < self.left_alone_until

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if self.is_left_alone:
            raise redis.ConnectionError("Redis did not answer a moment ago")
        send: Any = super().execute_command
        try:
            return send(*args, **options)
        except (redis.ConnectionError, redis.TimeoutError):
            self.left_alone_until = time.monotonic() + PAUSE_SECONDS
            raise


class Text:
    """Flask-Caching's serializer for values that are text: nothing that lies in Redis is ever executed."""

    def dumps(self, value: str) -> bytes:
        return value.encode("utf-8", "surrogatepass")

    def loads(self, data: bytes | None) -> str | None:
        try:
            return None if data is None else data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None


class TextInRedis(RedisCache):
    """Flask-Caching's backend for Redis with our client and serializer; everything in it expires."""

    serializer: Any = Text()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._here = threading.local()

    @classmethod
    def factory(cls, app: Flask, config: object, args: object, kwargs: dict[str, Any]) -> TextInRedis:
        return cls(**kwargs)

    # Flask-Caching reads the versions of a call with get_many and writes them back with set_many, after a miss and
    # when one of them is new. Written back, an old one would undo an invalidation of that moment: only its life is
    # prolonged.

    def get_many(self, *keys: str) -> list[Any]:
        values = super().get_many(*keys)
        self._here.read = {key: values[index] for index, key in enumerate(keys)}
        return values

    def set_many(self, mapping: dict[str, Any], timeout: Any = None) -> Any:
        read, life = getattr(self._here, "read", {}), timeout or VERSION_SECONDS
        changed = {key: value for key, value in mapping.items() if read.get(key) != value}
        for key in mapping.keys() - changed.keys():
            self._write_client.expire(f"{self.key_prefix}{key}", life)
        return super().set_many(changed, life) if changed else []


class Group:
    """What can be forgotten alone: the object that Flask-Caching takes for the owner of a memoized method."""

    def __init__(self, name: str) -> None:
        # In the names of versions Flask-Caching drops every sign but letters, digits, "_" and ".".
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12)
        self._digest = digest.hexdigest()

    def __repr__(self) -> str:
        return self._digest


class Place:
    """One key of an entry: its text, its group, what it depends on, the arguments as people read them."""

    def __init__(self, key: str, group: str, tags: frozenset[str], readable: str) -> None:
        self.key = key
        self.group = group
        self.tags = tags
        self.readable = readable


class Computation:
    """One call of the function, if Flask-Caching makes it; gives the text that it stores."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self.is_begun = False
        self.text = ""
        self.value: Any = None
        self.seconds = 0.0

    def __call__(self) -> str:
        self.is_begun = True
        stored_at, started = time.time(), time.monotonic()
        self.value = self._compute()
        self.seconds = time.monotonic() - started
        payload, is_tagged = encode_value(self.value)
        text = payload.decode("utf-8", "surrogatepass")
        self.text = f"{FORMAT} {stored_at:.6f} {int(is_tagged)} {text}"
        return self.text


class Stored:
    """A text that a Computation gave. ValueError for any other."""

    def __init__(self, text: object) -> None:
        if not isinstance(text, str) or text[: len(FORMAT) + 1] != f"{FORMAT} ":
            raise ValueError("not ours")
        _, stored_at, tagged, self.payload = text.split(" ", 3)
        self.stored_at = float(stored_at)
        try:
            self.value = json.loads(self.payload, object_hook=_restored if tagged == "1" else None)
        except (TypeError, KeyError, ArithmeticError, RecursionError, ImportError) as error:
            raise ValueError(str(error)) from None


class MemoizedEntry:
    """
    One cache of the contract, kept by Flask-Caching.

    Args:
        cache: of runtime.py; its mode, invalidations, listeners and metrics hold here too.
        ttl_seconds: the longest a value is served; a tenth at random is taken off.
        depends_on: "products" for any row of a table, "users:{user_id}" for the row whose primary key is that
            parameter of the function. The first of the latter kind is forgotten row by row; a write to another one's
            table forgets the whole entry.
        tags: more names to invalidate by, written as in `depends_on`.
    """

    def __init__(
        self,
        cache: Cache,
        name: str,
        *,
        ttl_seconds: int,
        depends_on: Iterable[str] = (),
        tags: Iterable[str] = (),
    ) -> None:
        if flask_cache.config is None:
            raise RuntimeError(f"{name}: Flask-Caching knows no Redis yet; call connect(cache, url) first.")
        if ttl_seconds < 1:
            raise ValueError(f"{name}: ttl_seconds is {ttl_seconds}; Flask-Caching takes 1 or more.")
        depends_on, tags = tuple(depends_on), tuple(tags)
        self.cache = cache
        self.name = name
        self.ttl_seconds = ttl_seconds
        # An entry without layers stores nothing; it checks the dependencies and stands in the metrics.
        self._counts = cache.entry(
            name, ttl_seconds=ttl_seconds, layers=(), depends_on=depends_on, tags=tags
        ).counts
        self._counts_lock = threading.Lock()
        dependencies = [tag.partition(":{")[::2] for tag in (*depends_on, *tags)]
        self._parts = [(tag, part[:-1]) for tag, part in dependencies]
        row = next(((tag, part) for tag, part in self._parts if part), ("", ""))
        self._row_table, self._row_part = row
        self._whole = {"@all", f"@entry/{name}", f"{self._row_table}:*"}
        self._whole.update(tag for tag, part in self._parts if (tag, part) != row)
        self._signature = inspect.Signature()
        self._memoized: Any = None
        self._owed: set[str] = set()
        self._owed_lock = threading.Lock()
        if cache.is_on:
            cache.listeners.append(self._heard)

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
        if self._memoized is not None:
            raise ValueError(
                f"{self.name}: caches a function already; give {function.__qualname__} an entry of its own."
            )
        self._signature = inspect.signature(function)
        self._memoized = flask_cache.memoize(timeout=self.ttl_seconds, args_to_ignore=["compute"])(
            _method_like(function)
        )

        @functools.wraps(function)
        def cached(*args: Any, **kwargs: Any) -> Any:
            if not self.cache.is_on:
                return function(*args, **kwargs)
            return self._get(self._place(args, kwargs), lambda: function(*args, **kwargs))

        def make_cache_key(_: object, *args: Any, **kwargs: Any) -> str:
            place = self._place(args, kwargs)
            return str(self._memoized.make_cache_key(self._memoized.uncached, Group(place.group), place.key))

        # What Flask-Caching's delete_memoized() asks a memoized function for.
        attributes = {
            "cache_entry": self,
            "uncached": function,
            "make_cache_key": make_cache_key,
            "delete_memoized": self.invalidate_all,
        }
        vars(cached).update(attributes)
        return cast(F, cached)

    def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Forget one key, given as the function's arguments, now. Call it after the commit."""
        if self.cache.is_on:
            place = self._place(args, kwargs)
            self._forget((place.group,))
            self._notify("invalidate", place.readable, tags=[])

    def invalidate_all(self) -> None:
        """Forget every key, now. Call it after the commit."""
        if self.cache.is_on:
            self._forget(("",))
            self._notify("invalidate", "", tags=[])

    def invalidate_after_commit(self, session: Any, *args: Any, **kwargs: Any) -> None:
        """Forget one key once the SQLAlchemy session has committed; not at all if it rolls back."""
        self.cache.after_commit(session, functools.partial(self.invalidate, *args, **kwargs))

    # Keys.

    def _place(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Place:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parts = bound.arguments
        try:
            key = "".join([encode_key(name) + encode_key(parts[name]) for name in sorted(parts)])
        except TypeError as error:
            raise TypeError(
                f"{self.name}: {error} cannot be part of a key; pass what identifies it, for example its id."
            ) from None
        key = f"{self.name}/{key}"
        tags = {"@all"}
        for tag, part in self._parts:
            tags.update((f"{tag}:*", f"{tag}:{row_text(parts[part])}") if part else (tag,))
        row = row_text(parts[self._row_part]) if self._row_part else None
        group = key if row is None else f"{self._row_table}:{row}"
        readable = ", ".join(f"{name}={value!r}" for name, value in parts.items())
        return Place(key, group, frozenset(tags), readable)

    # Reading.

    def _get(self, place: Place, compute: Callable[[], Any]) -> Any:
        reason = self._why_not_cached(place)
        if reason:
            self._count("bypasses")
            self._notify("bypass", place.readable, reason=reason)
            return self._compute(compute)
        started = time.monotonic()
        computation = Computation(compute)
        self._memoized.cache_timeout = max(1, int(self.ttl_seconds * random.uniform(0.9, 1.0)))
        try:
            text = self._memoized(Group(place.group), place.key, computation)
        except Exception as error:
            if computation.is_begun and not computation.text:
                self._explain(error, place, computation)
                raise
            # With app.debug, Flask-Caching raises what it otherwise logs.
            self._error(place, error)
            return computation.value if computation.text else self._compute(compute)
        if computation.is_begun:
            return self._missed(place, computation)
        try:
            stored = Stored(text)
        except ValueError as error:
            self._error(place, error)
            self._forget((place.group,))
            return self._compute(compute)
        self._count("hits")
        self._count("hit_ms", (time.monotonic() - started) * 1000)
        self._notify("hit", place.readable, **self._history(stored.stored_at))
        return self._judge(place, stored, compute) if self.cache.mode == "shadow" else stored.value

    def _why_not_cached(self, place: Place) -> str:
        if not place.tags.isdisjoint(self.cache.pending_tags()):
            return "a write is not yet committed"
        if place.group == place.key and self._row_part:
            return f"{self._row_part} names no row"
        _attach()
        if _backend_is_left_alone():
            return "Redis did not answer a moment ago"
        return "" if self._settle() else "an invalidation is not yet delivered"

    def _missed(self, place: Place, computation: Computation) -> Any:
        self._count("misses")
        self._count("computations")
        self._count("compute_ms", computation.seconds * 1000)
        self._notify("miss", place.readable)
        if _backend_is_left_alone():
            self._error(place, "Redis did not answer")
        else:
            self._count("stores")
            self._count("bytes", len(computation.text))
        return computation.value

    def _explain(self, error: Exception, place: Place, computation: Computation) -> None:
        if isinstance(error, TypeError) and computation.value is not None:
            raise TypeError(
                f"{self.name}: {place.readable} gave a {error}, which cannot be restored exactly; "
                "return plain data, for example a dict of its fields."
            ) from None

    def _compute(self, compute: Callable[[], Any]) -> Any:
        started = time.monotonic()
        try:
            return compute()
        finally:
            self._count("computations")
            self._count("compute_ms", (time.monotonic() - started) * 1000)

    # Shadow mode.

    def _judge(self, place: Place, stored: Stored, compute: Callable[[], Any]) -> Any:
        """The origin's value, after telling the listeners if the stored one differs and nothing excuses that."""
        began = self.cache.snapshot_began()
        origin = self._compute(compute)
        try:
            origin_text = _sorted_json(encode_value(origin)[0])
        except (TypeError, ValueError) as error:
            self._notify("uncompared", place.readable, reason=str(error))
            return origin
        served_text = _sorted_json(stored.payload)
        if served_text == origin_text:
            return origin
        history = self._history(stored.stored_at)
        excuse = ""
        if began is not None and history["stored_t"] > began:
            excuse = "the open transaction may see less than the stored value does"
        else:
            threading.Event().wait(SETTLE_SECONDS)
            if not self._is_still_stored(place, stored):
                excuse = "the write that makes the difference has been announced since"
        if excuse:
            self._notify("uncompared", place.readable, reason=excuse)
            return origin
        self._count("mismatches")
        values = {"served": served_text[:2000], "origin": origin_text[:2000]}
        self._notify("mismatch", place.readable, **values, **history)
        return origin

    def _is_still_stored(self, place: Place, stored: Stored) -> bool:
        try:
            group = Group(place.group)
            name = self._memoized.make_cache_key(self._memoized.uncached, group, place.key)
            return Stored(flask_cache.get(name)).payload == stored.payload
        except (ValueError, redis.RedisError, OSError):
            return False

    # Forgetting.

    def _heard(self, event: Event) -> None:
        """What the runtime tells: the tags of a committed write."""
        if event["event"] != "invalidate":
            return
        tags = set(event.get("tags", ()))
        if not tags.isdisjoint(self._whole):
            self._forget(("",))
        elif self._row_part:
            self._forget(sorted(tag for tag in tags if tag.startswith(f"{self._row_table}:")))

    def _forget(self, groups: Iterable[str]) -> None:
        """Forget groups, "" for all; what Redis does not take is repeated before the next read."""
        for group in groups:
            self._count("invalidations")
            try:
                self._delete(group)
            except Exception as error:  # a write has been committed: nothing may make it look failed
                with self._owed_lock:
                    self._owed.add(group if len(self._owed) < MOST_OWED else "")
                self._error(None, error)

    def _settle(self) -> bool:
        """Whether Redis has taken every invalidation of this process."""
        if not self._owed:
            return True
        with self._owed_lock:
            for group in sorted(self._owed):
                try:
                    self._delete(group)
                except Exception as error:
                    self._error(None, error)
                    return False
                self._owed.discard(group)
        return True

    def _delete(self, group: str) -> None:
        _attach()
        if self._memoized is not None:
            method: Any = types.MethodType(self._memoized, Group(group)) if group else self._memoized
            flask_cache.delete_memoized(method)

    # Telling.

    def _history(self, stored_at: float) -> dict[str, float]:
        return {"stored_t": self.cache.clock() - max(0.0, time.time() - stored_at)}

    def _error(self, place: Place | None, reason: object) -> None:
        self._count("errors")
        self._notify("error", place.readable if place else "", reason=str(reason))

    def _notify(self, event: str, key: str, **more: Any) -> None:
        message = {"event": event, "entry": self.name, "key": key, "t": self.cache.clock(), **more}
        for listener in list(self.cache.listeners):
            listener(message)

    def _count(self, name: str, amount: float = 1) -> None:
        with self._counts_lock:
            self._counts[name] += amount


def _method_like(function: Callable[..., Any]) -> Callable[[Group, str, Callable[[], str]], str]:
    """What Flask-Caching memoizes: a method of the key's group, under the name of the function."""

    def value_of(self: Group, key: str, compute: Callable[[], str]) -> str:
        return compute()

    value_of.__module__, value_of.__qualname__ = function.__module__, function.__qualname__
    return value_of


def _restored(data: dict[str, Any]) -> Any:
    name = next(iter(data), "")
    return RESTORE[name](data[name]) if name[:1] == "~" else data


def _attach() -> None:
    """Make `flask_cache` known to the application of this context, if init_app() was not called for it."""
    if current_app and flask_cache not in current_app.extensions.get("cache", {}):
        flask_cache.init_app(cast(Any, current_app)._get_current_object())


def _backend_is_left_alone() -> bool:
    client = getattr(flask_cache.cache, "_write_client", None)
    return isinstance(client, Client) and client.is_left_alone


def _sorted_json(payload: str | bytes) -> str:
    return json.dumps(json.loads(payload), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
