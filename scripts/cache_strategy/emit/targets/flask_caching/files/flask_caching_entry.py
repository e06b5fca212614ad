"""
Functions whose values lie in Flask-Caching's cache, under the guarantees of runtime.py.

    connect(cache, os.environ.get("REDIS_URL"))                 # cache: the Cache of runtime.py
    user_profile = MemoizedEntry(cache, "user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))

    @user_profile
    def get_user_profile(user_id): ...

    flask_cache.delete_memoized(get_user_profile, 7)            # Flask-Caching's own way, one key
    flask_cache.delete_memoized(get_user_profile)               # all keys
    user_profile.invalidate(user_id=7)                          # the same without the function at hand

Flask-Caching by itself pickles, loses an invalidation that meets a computation, and knows nothing of tables. Here it
stores the records of runtime.py and reads nothing else; runtime.py decides whether one still holds.
Works with Flask-Caching 2.0 to 2.5, within and without a request.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import flask_caching
import redis
from flask import Flask, current_app
from flask_caching.backends.rediscache import RedisCache

from .runtime import Cache, Entry, Link, Record, Unavailable

NEVER = float("-inf")  # when a record's versions were last compared
F = TypeVar("F", bound="Callable[..., Any]")


class FlaskCache(flask_caching.Cache):
    """Flask-Caching, whose deletions cannot be overtaken by a value that is being computed."""

    def delete_memoized(self, f: Any, *args: Any, **kwargs: Any) -> None:
        entry = getattr(f, "cache_entry", None)
        if entry is None:
            raise TypeError(f"{f!r} is no entry; forget it with the Cache that memoizes it.")
        if args or kwargs:
            entry.invalidate(**inspect.signature(f).bind(*args, **kwargs).arguments)
        else:
            entry.invalidate_all()


# Not for templates: the application may have a Cache of its own for them.
flask_cache = FlaskCache(with_jinja2_ext=False)


def connect(cache: Cache, url: str | None) -> None:
    """
    Point `flask_cache` to the Redis of `cache`; before the first `MemoizedEntry`.

    `flask_cache.init_app(app)` needs no configuration after this, and what the application says to a Cache of its own
    is not taken over. Without an application at all, as in a worker, the functions here work too.
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
        client: Any = Client.from_url(url)
        client.link = cache.link
        options = {"host": client, "key_prefix": f"{cache.prefix}f:"}
        flask_cache.config.update({"CACHE_TYPE": f"{__name__}.BytesInRedis", "CACHE_OPTIONS": options})
    flask_cache.init_app(Flask(__name__))


class Client(redis.Redis):
    """Redis through the link of runtime.py: its connections, its time budget, its pause after an error."""

    link: Link

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return self.link.call(*args)


class AsTheyAre:
    """Flask-Caching's serializer for bytes: nothing that lies in Redis is ever executed."""

    def dumps(self, value: bytes) -> bytes:
        return value

    def loads(self, data: bytes | None) -> bytes | None:
        return data


class BytesInRedis(RedisCache):
    """Flask-Caching's backend for Redis with our client and serializer."""

    serializer: Any = AsTheyAre()

    @classmethod
    def factory(cls, app: Flask, config: object, args: object, kwargs: dict[str, Any]) -> BytesInRedis:
        return cls(**kwargs)


class Records:
    """What an `Entry` takes for the memory of the process: records in Flask-Caching's cache."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def get(self, name: str) -> Record | None:
        _attach()
        try:
            return Record.from_bytes(flask_cache.get(_digest(name)), NEVER)
        except Unavailable:
            return None  # the entry asks the same Redis for the versions next, and hears it there

    def put(self, name: str, record: Record) -> None:
        life_us = record.hard_us - self._link.now_us()
        with contextlib.suppress(Unavailable):
            flask_cache.set(_digest(name), record.to_bytes(), timeout=max(1, life_us // 1_000_000))


class Keeping:
    """A `Cache` that keeps records elsewhere."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.memory = Records(cache.link)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


class MemoizedEntry(Entry):
    """
    One cache of the contract, kept by Flask-Caching.

    Args:
        cache: of runtime.py; its mode, invalidations, listeners and metrics hold here too.
        ttl_seconds: the longest a value is served; a tenth at random is taken off.
        depends_on, tags: as in `Entry`.
    """

    def __init__(
        self,
        cache: Cache,
        name: str,
        *,
        ttl_seconds: int,
        depends_on: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        if flask_cache.config is None:
            raise RuntimeError(f"{name}: Flask-Caching knows no Redis yet; call connect(cache, url) first.")
        if ttl_seconds < 1:
            raise ValueError(f"{name}: ttl_seconds is {ttl_seconds}; Flask-Caching takes 1 or more.")
        cache.entry(name, ttl_seconds=ttl_seconds)  # takes the name
        super().__init__(cast(Any, Keeping(cache)), name, ttl_seconds, ("memory",), depends_on, tags=tags)
        cache.entries[name] = self

    def __call__(self, function: F) -> F:
        """Decorator, as `Entry`'s; the result is what `flask_cache.delete_memoized` takes."""
        cached = super().__call__(function)
        vars(cached).update(cache_entry=self, uncached=function)
        return cached


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _attach() -> None:
    """Make `flask_cache` known to the application of this context, if init_app() was not called for it."""
    if current_app and flask_cache not in current_app.extensions.get("cache", {}):
        flask_cache.init_app(cast(Any, current_app)._get_current_object())
