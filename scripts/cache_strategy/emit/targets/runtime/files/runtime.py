"""
A cache that is never wrong for longer than you allow: in the memory of the process, in Redis, or both.

    cache = Cache(os.environ.get("REDIS_URL"), namespace="shop", budget_ms=100)
    user_profile = cache.entry("user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))

    @user_profile
    def get_user_profile(user_id): ...

    user_profile.get_or_compute({"user_id": 7}, lambda: ...)    # the same without a decorator
    with user_profile.open(user_id=7) as found:                 # or with the computation in place
        if found.is_missing:
            found.value = ...
    user_profile.invalidate(user_id=7)                          # one key; after your commit
    cache.invalidate(("users", 7))                              # all that depends on row 7 of users

In the `with cache.request():` of one request, an entry with the layer "request" gives each value once.

Without a URL, and with CACHE_MODE=off, every call computes. CACHE_MODE=shadow computes on every hit too, tells
`cache.listeners` about each difference and returns the computed value. CACHE_NAMESPACE replaces the namespace,
CACHE_BUDGET_MS the budget.

A reader in a database transaction that began before the last invalidation may still see older rows: its value is
returned, not stored. Until Redis has taken an invalidation this process does not read what depends on it. Redis may be
slow or gone: nothing raises because of it, a request waits for it at most `budget_ms`, and after an error nobody asks
again until a background thread got an answer.

The order to read in: Entry.get_or_compute, computing.py, NOTE_SCRIPT, Link.bump; the rest is detail.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import functools
import hashlib
import inspect
import os
import re
import threading
import time
import typing
import uuid
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis

from .computing import BLOCKED, Computing, T, no_tags
from .keys import encode_key, forget_identities, identity, row_text
from .link import MICROSECONDS, Link, Slot, Unavailable
from .records import Memory, Record
from .turns import Flight, Opened
from .values import Codec, know, know_all
from .watching import COUNTS, Telling
from .wire import IS_ASYNC

__all__ = ["BLOCKED", "Cache", "Codec", "Entry", "Link", "Record", "Unavailable"]

F = TypeVar("F", bound="Callable[..., Any]")
if TYPE_CHECKING:
    Tag = str | tuple[str, object]

MOST_SLOTS = 1000  # assumed: for how many calls of a function it is remembered where their values are
# Arguments of these types are equal only if they are the same; floats are not: 0.0 and -0.0.
PLAIN = frozenset((str, int, bool, bytes, uuid.UUID, type(None)))


@dataclass(eq=False)
class Entry(Computing):
    """
    One cache. Made by `Cache.entry`.

    Attributes:
        ttl_seconds: the longest that a value is served, whatever happens; up to a tenth is taken off at random.
        layers: "memory", "redis", "request" (see `Cache.request`); other words are somebody else's.
        depends_on: "products" for all rows of a table, "users:{user_id}" for the row whose primary key is that part
            of the key.
        window_seconds: how long memory is served without asking Redis whether it still holds, at most; other processes'
            invalidations are heard at once while the connection for them stands.
        staleness_bound_seconds: how old an invalidated value may be that others get while one caller computes the next.
        version: raise it when the meaning of the value changes.
        tags: more names to invalidate by, written as in `depends_on`.
        shared: every caller gets the same object, and none may change it.
        wait_seconds: how long a caller waits for another's computation before it computes itself.
        errors: exceptions of exactly these classes are kept like values, and raised again.
        negative_seconds: the time to live of those and of None, if not `ttl_seconds`.
        codec: writes the values instead of JSON; what it would change is refused.
        compress_above: values of more bytes are compressed in Redis; 0 for none.
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
    errors: Sequence[type[Exception]] = ()
    negative_seconds: float = 0
    codec: Codec | None = None
    compress_above: int = 0

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(COUNTS, 0.0)
        self._in_memory = "memory" in self.layers
        self._in_redis = "redis" in self.layers
        self._in_request = "request" in self.layers
        is_kept = self._in_memory or self._in_redis or self._in_request
        self._is_on = self.cache.is_on and is_kept
        if self.codec is not None and not re.fullmatch(r"[A-Za-z]\w*", self.codec.name):
            raise ValueError(
                f'{self.name}: the codec\'s name is "{self.codec.name}"; it takes letters, digits and "_".'
            )
        self._defaults: dict[str, object] = {}
        self._function = ""
        self._is_method = False
        self._dependencies: list[tuple[str, str]] = []
        for tag in (*self.depends_on, *self.tags):
            match = re.fullmatch(r"([^{}]+?)(?::\{(\w+)\})?", tag)
            if not match:
                way_out = 'write "table" or "table:{key part}".'
                raise ValueError(f'{self.name}: cannot depend on "{tag}"; {way_out}')
            self._dependencies.append((match[1], match[2] or ""))

    def __call__(self, function: F) -> F:
        """
        Decorator for a function: the key is its arguments, however they are passed, defaults spelled out.

        Of a method's object it holds what `__cache_key__()` says, else a name that no other object ever has.
        """
        place = f"{function.__module__}.{function.__qualname__}"
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name}: {place} is a generator; return a list instead.")
        if inspect.iscoroutinefunction(function) != IS_ASYNC:
            mine, its = ("async", "plain") if IS_ASYNC else ("plain", "async")
            raise TypeError(f"{self.name}: {place} is {its}; this cache is for {mine} functions.")
        if self._function not in ("", place):
            way_out = f"give {place} an entry of its own."
            raise ValueError(f"{self.name}: caches {self._function} already; {way_out}")
        self._function = place
        signature = inspect.signature(function)
        self._is_method = next(iter(signature.parameters), "") == "self"
        for name, parameter in signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self._defaults[name] = () if parameter.kind is parameter.VAR_POSITIONAL else {}
            elif parameter.default is not parameter.empty:
                self._defaults[name] = parameter.default
        with contextlib.suppress(Exception):  # names that exist for type checkers only
            know_all(typing.get_type_hints(function).get("return"))
        is_plain = all(item.kind <= item.POSITIONAL_OR_KEYWORD for item in signature.parameters.values())
        names = [*signature.parameters] if is_plain else []
        slots: dict[Any, Slot] = {}  # of the latest calls with plain positional arguments

        @functools.wraps(function)
        def cached(*args: Any, **kwargs: Any) -> Any:
            shape = args, tuple(map(type, args))  # 1 and True are equal
            try:
                slot = None if kwargs else slots.get(shape)
            except TypeError:  # a list, or another thing without a hash
                slot = None
            if slot is not None:
                record = self._at_hand(slot)
                if record is not None:
                    self.counts["hits"] += 1  # without the lock: one may be lost
                    return record.value(self.shared)
            compute = functools.partial(function, *args, **kwargs)
            if not self._is_on:
                return compute()
            if slot is None:
                if kwargs or len(args) != len(names):
                    slot = self._slot_or_refusal(signature.bind(*args, **kwargs).arguments)
                else:
                    slot = self._slot_or_refusal(dict(zip(names, args)))  # noqa: B905 (Python 3.8)
                if slot is None:
                    return self._compute(compute)
                if not kwargs and PLAIN.issuperset(shape[1]) and len(slot.name) < 300:
                    if len(slots) >= MOST_SLOTS:
                        slots.clear()
                    slots[shape] = slot
            return self._get(slot, compute)

        return cast("F", cached)

    def get_or_compute(self, key: Mapping[str, object], compute: Callable[[], T]) -> T:
        """
        The stored value of a key, else `compute()`, which is stored. What `compute` raises is not.

        Raises:
            TypeError: a part of the key, or the value, cannot be stored exactly, and the cache is strict.
        """
        slot = self.slot_or_none(key)
        return self._compute(compute) if slot is None else self._get(slot, compute)

    def open(self, /, **key: object) -> Opened:
        """For `with`: the stored value of a key, else what the body sets."""
        return Opened(self, key)

    def invalidate(self, /, **key: object) -> None:
        """Forget one key, now: after the commit."""
        self._forget(self.slot(key))

    def invalidate_after_commit(self, session: Any, **key: object) -> None:
        """Forget one key once a SQLAlchemy session has committed; not at all if it rolls back."""
        self.cache.after_commit(session, functools.partial(self._forget, self.slot(key)))

    def invalidate_all(self) -> None:
        """Forget every key of this entry, now."""
        self.count(invalidations=1)
        self.cache.bump((f"@entry/{self.name}",), entry=self.name)

    def _forget(self, slot: Slot) -> None:
        self.count(invalidations=1)
        self.cache.bump((slot.tags[2],), entry=self.name, key=slot.readable())

    def slot(self, key: Mapping[str, object]) -> Slot:
        """The place of a key. TypeError when a part of it cannot be told apart, or one is missing."""
        parts = {**self._defaults, **key}
        try:
            if self._is_method:
                parts["self"] = identity(parts["self"])
            text = "".join([encode_key(name) + encode_key(parts[name]) for name in sorted(parts)])
        except (TypeError, RecursionError) as error:
            what = f"{self.name}: {error} cannot be part of a key"
            raise TypeError(f"{what}; pass what identifies it, for example its id.") from None
        if len(text) > 160:
            text = "#" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        place = f"{self.name}/{self.version}/{text}"
        tags = ["@all", f"@entry/{self.name}", f"@key/{place}"]
        for table, row_part in self._dependencies:
            if row_part and row_part not in parts:
                lacking = f'its key has no part "{row_part}".'
                raise TypeError(f'{self.name}: depends on "{table}:{{{row_part}}}"; {lacking}')
            row = row_text(parts[row_part]) if row_part else None
            tags += [table] if row is None else [f"{table}:*", f"{table}:{row}"]
        return Slot(place, parts, tuple(tags), self.cache.link)

    def slot_or_none(self, key: Mapping[str, object]) -> Slot | None:
        """The place of a key; None where nothing is kept."""
        return self._slot_or_refusal(key) if self._is_on else None

    def _slot_or_refusal(self, key: Mapping[str, object]) -> Slot | None:
        try:
            return self.slot(key)
        except TypeError as error:
            self._refuse(error)
            return None


class Cache(Telling):
    """
    The caches of an application: one Redis, one memory, one mode.

    Args:
        url: of Redis, as redis-py takes it; None or "" switches every cache off.
        namespace: begins every name in Redis, unless the environment has CACHE_NAMESPACE.
        budget_ms: the most that one request waits for Redis, unless the environment has CACHE_BUDGET_MS.
        memory_entries, memory_bytes: bounds of what this process keeps.
        strict: raise for what cannot be stored exactly; otherwise warn once and compute it at each call.
        types: dataclasses and Enums that values may hold; those in annotations and in what was stored are known already.
        push: hear other processes' invalidations, on a connection of their own, where an entry has a window.
        clock: seconds that never go back.

    Attributes:
        mode: "on", "off" or "shadow".
        listeners: called with each event, a dict: event, entry, key (readable), t (seconds of `clock`), and more.
        snapshot_began: when this thread's oldest open database transaction began, by `clock`; None when none is open.
        pending_tags: the tags of this thread's writes that are not committed.
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
        strict: bool = True,
        push: bool = True,
        types: Collection[type] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        mode = os.environ.get("CACHE_MODE") or "on"
        if mode not in ("on", "off", "shadow"):
            raise ValueError(f'CACHE_MODE is "{mode}"; it can be on, off or shadow.')
        if url and int(redis.__version__.partition(".")[0]) < 5:
            old = f"redis-py {redis.__version__} is too old, 5.0 is needed: every cache is off."
            warnings.warn(old, stacklevel=2)
            url = None
        self.mode = mode if url else "off"
        self.is_on = self.mode != "off"
        self.prefix = (os.environ.get("CACHE_NAMESPACE") or namespace) + ":"
        self.strict = strict
        self.push = push
        self.clock = clock
        self.entries: dict[str, Entry] = {}
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.snapshot_began: Callable[[], float | None] = lambda: None
        self.pending_tags: Callable[[], Collection[str]] = no_tags
        self.after_commit: Callable[[Any, Callable[[], Any]], None] = _no_session
        budget_seconds = float(os.environ.get("CACHE_BUDGET_MS") or budget_ms) / 1000
        self.link = Link(url or "redis://", self.prefix, budget_seconds, clock)
        self.memory = Memory(memory_entries, memory_bytes)
        self.lock = threading.Lock()
        self.flights: dict[str, Flight] = {}
        self.scope: contextvars.ContextVar[dict[str, Record] | None]
        self.scope = contextvars.ContextVar("scope", default=None)
        for kind in types:
            know(kind)
        ours = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _with(ours(), Cache._after_fork))
        atexit.register(lambda: _with(ours(), Cache._at_exit))

    def _after_fork(self) -> None:
        self.link.reset()
        self.memory.lock, self.lock, self.flights = threading.Lock(), threading.Lock(), {}
        forget_identities()

    def _at_exit(self) -> None:
        self.link.at_exit()

    def entry(self, name: str, *, ttl_seconds: float, **options: Any) -> Entry:
        """One cache; the options are the attributes of `Entry`."""
        if name in self.entries:
            raise ValueError(f"{name}: there is an entry of this name already.")
        entry = self.entries[name] = Entry(self, name, ttl_seconds, **options)
        self.link.version_ms = max(self.link.version_ms, int(ttl_seconds * 2000))
        return entry

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request: an entry with the layer "request" gives each value once, until this request invalidates something."""
        before = self.scope.get()
        self.scope.set({})
        try:
            yield
        finally:
            self.scope.set(before)

    def invalidate(self, *tags: Tag) -> None:
        """Forget all that depends on tables or tags ("products") or on rows (("users", 7)), now: after the commit."""
        self.bump(set().union(*map(tag_names, tags)))

    def invalidate_all(self) -> None:
        """Forget everything, now."""
        self.bump(("@all",))

    def bump(
        self, tags: Collection[str], entry: str = "", key: str = "", hold_seconds: float = 0, release: int = 0
    ) -> int:
        """
        Give tags (see `tag_names`) new versions, now.

        Args:
            hold_seconds: for a commit about to happen: so long, nothing that depends on them is stored.
            release: what the call with `hold_seconds` returned, once the commit is over.
        """
        if not self.is_on or not tags:
            return 0
        (self.scope.get() or {}).clear()
        held_until = self.link.bump(tags, int(hold_seconds * MICROSECONDS), release)
        if self.listeners:
            self.notify("invalidate", entry, key, tags=sorted(tags))
        return held_until

    def blocked_tags(self) -> frozenset[str]:
        """Tags of writes that are not committed (in this thread) or not delivered to Redis (in this process)."""
        return self.link.undelivered.union(self.pending_tags())

    def close(self) -> None:
        """End the threads that wait for Redis; the caches go on without them."""
        self.link.is_closed = True


def tag_names(tag: Tag) -> set[str]:
    """The tags to bump for a table and all its rows ("users"), or for one row (("users", 7))."""
    table, row = (tag, None) if isinstance(tag, str) else (tag[0], row_text(tag[1]))
    return {table, f"{table}:*" if row is None else f"{table}:{row}"}


def _with(cache: Cache | None, function: Callable[[Cache], None]) -> None:
    if cache is not None:
        function(cache)


def _no_session(session: Any, function: Callable[[], Any]) -> None:
    raise RuntimeError("No session is watched. Call sqlalchemy_events.watch(cache, tables) first.")
