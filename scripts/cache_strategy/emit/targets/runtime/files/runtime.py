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
`cache.listeners` about each difference and returns the computed value. CACHE_NAMESPACE replaces the namespace,
CACHE_BUDGET_MS the budget.

A reader in a database transaction that began before the last invalidation may still see older rows: its value is
returned, not stored. Until Redis has taken an invalidation this process does not read what depends on it. Redis may be
slow or gone: nothing raises because of it, a request waits for it at most `budget_ms`, and after an error nobody asks
again until a background thread got an answer.

The order to read in: Entry.get_or_compute, Entry._compute_and_store, NOTE_SCRIPT, Link.bump; the rest is detail.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import inspect
import os
import random
import re
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis

from .link import (
    MICROSECONDS,
    NOTE_SCRIPT,
    PRELUDE,
    STORE_SCRIPT,
    Flight,
    Found,
    Link,
    Slot,
    Unavailable,
    joined,
    pack,
)
from .values import GARBAGE, Memory, Record, encode_key, encode_value, json_text, row_text, to_json
from .watching import COUNTS, Telling, Watched
from .wire import IS_ASYNC, sleep, who_asks

__all__ = ["Cache", "Entry", "Link", "Record", "Unavailable"]

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")
if TYPE_CHECKING:
    Tag = str | tuple[str, object]

MOST_SLOTS = 1000  # assumed: for how many calls of a function it is remembered where their values are
# Arguments of these types are equal only if they are the same; floats are not: 0.0 and -0.0.
PLAIN = frozenset((str, int, bool, bytes, uuid.UUID, type(None)))
BLOCKED = "a write is not yet committed or not yet announced"


@dataclass(eq=False)
class Entry(Watched):
    """
    One cache. Made by `Cache.entry`.

    Attributes:
        ttl_seconds: the longest that a value is served, whatever happens; up to a tenth is taken off at random.
        layers: "memory", "redis"; other words are somebody else's.
        depends_on: "products" for all rows of a table, "users:{user_id}" for the row whose primary key is that part
            of the key.
        window_seconds: how long memory is served without asking Redis whether it still holds, at most; other processes'
            invalidations are heard at once while the connection for them stands.
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
        self.counts = dict.fromkeys(COUNTS, 0.0)
        self._in_memory = "memory" in self.layers
        self._in_redis = "redis" in self.layers
        self._is_on = self.cache.is_on and (self._in_memory or self._in_redis)
        self._defaults: dict[str, object] = {}
        self._function = ""
        self._is_method = False
        self._has_refused = False
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
                slot = self._slot_or_refusal(signature.bind(*args, **kwargs).arguments)
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
        slot = self._slot_or_refusal(key) if self._is_on else None
        return self._compute(compute) if slot is None else self._get(slot, compute)

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
                parts["self"] = _identity(parts["self"])
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
        return Slot(f"{self.cache.prefix}e:{place}", parts, tuple(tags), self.cache.link)

    def _slot_or_refusal(self, key: Mapping[str, object]) -> Slot | None:
        try:
            return self.slot(key)
        except TypeError as error:
            self._refuse(error)
            return None

    def _refuse(self, error: TypeError) -> None:
        """Raise what cannot be stored; a cache that is not strict says it once and lets the call compute."""
        if self.cache.strict:
            raise error from None
        self.count(errors=1)
        if not self._has_refused:
            self._has_refused = True
            warnings.warn(f"{error} It is computed at each call.", RuntimeWarning, stacklevel=4)

    # Reading.

    def is_blocked(self, slot: Slot) -> bool:
        return not self.cache.blocked_tags().isdisjoint(slot.tags)

    def _at_hand(self, slot: Slot) -> Record | None:
        """What this process may serve without asking or telling anybody."""
        cache = self.cache
        if not self.window_seconds or cache.listeners or cache.pending_tags is not _no_tags:
            return None
        record, now = cache.memory.get(slot.name), cache.clock()
        if record is None or not (record.copies or record.shared_value) or cache.mode != "on":
            return None
        is_young = (now + cache.link.clock_offset) * MICROSECONDS < record.soft_us
        is_good = is_young and cache.link.is_trusted(record, slot.tags, self.window_seconds, now)
        return record if is_good else None

    def _get(self, slot: Slot, compute: Callable[[], T]) -> T:
        started = time.monotonic()
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
                is_valid, is_shadow = record.versions == found.versions, self.cache.mode == "shadow"
                if is_valid and (is_shadow or self.cache.link.now_us() < record.soft_us):
                    self.count(hits=1, hit_ms=(time.monotonic() - started) * 1000)
                    self.tell("hit", slot, record)
                    return self._judge(slot, record, compute) if is_shadow else value
                if is_valid or self.may_be_served_stale(record):
                    found.may_serve.append(value)
        return self._miss(slot, found, compute)

    def _look(self, slot: Slot) -> Found:
        """What is stored, and the versions of now, in one round trip; in none while memory may be trusted."""
        link, asked_at, epoch = self.cache.link, self.cache.clock(), self.cache.link.epoch
        record = self.cache.memory.get(slot.name) if self._in_memory else None
        known_us = record.stored_us if record else 0
        if record is not None and link.now_us() < (record.soft_us if self._in_redis else record.hard_us):
            if self.window_seconds:
                if self.cache.push:
                    link.listen(self.window_seconds)
                if link.is_trusted(record, slot.tags, self.window_seconds, asked_at):
                    return Found(record.versions, record)
            versions = joined(link.send(slot.ask_versions))
            if record.versions == versions:
                record.checked_at, record.epoch = asked_at, epoch
                return Found(versions, record)
        if not self._in_redis:
            return Found(joined(link.send(slot.ask_versions)), None, known_us)
        *seen, data = link.send(slot.ask)
        record, versions = Record.from_bytes(data, asked_at, epoch), joined(seen)
        if record is not None and self._in_memory and record.versions == versions:
            self.cache.memory.put(slot.name, record)
        return Found(versions, record, known_us)

    def may_be_served_stale(self, record: Record) -> bool:
        """Within the staleness bound: by the value's own age, since the first change after it is not known."""
        age_us = self.cache.link.now_us() - record.stored_us
        return self.cache.mode == "on" and age_us < self.staleness_bound_seconds * MICROSECONDS

    # Computing.

    def _miss(self, slot: Slot, found: Found, compute: Callable[[], T]) -> T:
        """One caller computes; the others take what may be served, else wait for it."""
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
        if flight.owner != who_asks():
            self.count(waits=1)
            flight.done.wait(self.wait_seconds)
            if flight.record is not None and flight.is_as_new_as(found.versions):
                return cast("T", flight.record.value(self.shared))
        value, _ = self._compute_and_store(slot, found, compute, mine)
        return value

    def _compute_and_store(
        self, slot: Slot, found: Found, compute: Callable[[], T], flight: Flight, patience_seconds: float = 0
    ) -> tuple[T, Record | None]:
        """Note the versions, compute, store; or take what another process stores. The record, if others may use it."""
        cache, link = self.cache, self.cache.link
        token = uuid.uuid4().hex if self._in_redis else ""
        keys = (slot.redis_name, slot.redis_name + b":lock", link.latest, *slot.version_keys)
        patience, wait_ms = time.monotonic() + patience_seconds, max(1, int(self.wait_seconds * 1000))
        while True:
            asked_at, epoch, began = cache.clock(), link.epoch, cache.snapshot_began()
            try:
                now_us, data, is_locked, versions = link.script(
                    NOTE_SCRIPT, keys, link.version_ms, token, wait_ms, found.known_us
                )
            except Unavailable as error:
                value: T = self._bypass(slot, compute, str(error), errors=1)
                return value, None
            seen_us = now_us if began is None else now_us - int((cache.clock() - began) * MICROSECONDS)
            link.clock_offset = now_us / MICROSECONDS - asked_at
            flight.noted = versions
            late = Record.from_bytes(data, asked_at, epoch)
            if late is None and self._in_memory:
                late = cache.memory.get(slot.name)
            if late is not None and late.versions == versions and late.stored_us > found.known_us:
                with contextlib.suppress(*GARBAGE):
                    value = late.value(self.shared)
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
            started = time.monotonic()
            value = self._compute(compute)
            # What an open transaction sees may be as old as its beginning: good only if nothing has changed since.
            if any(int(version) > seen_us for version in versions.split(b",")):
                self.skipped(slot, "the open transaction is older than the last change")
            elif self.is_blocked(slot):
                self.skipped(slot, BLOCKED)
            else:
                payload, tagged = self._encoded(slot, value)
                soft, hard = self._life_us(time.monotonic() - started)
                if payload:
                    times = now_us, now_us + soft, now_us + hard
                    record = Record(versions, payload, tagged, *times, asked_at, epoch)
            return value, record
        finally:
            self._store(slot, record, token)

    def _life_us(self, seconds: float) -> tuple[int, int]:
        """When one caller computes the next value, and how long others get one that took so many seconds."""
        life = self.ttl_seconds * random.uniform(0.9, 1)  # what is stored together expires apart
        early = min(life / 2, max(life / 10, seconds * 1.5))
        return int((life - early) * MICROSECONDS), int(life * MICROSECONDS)

    def _encoded(self, slot: Slot, value: object) -> tuple[bytes, bool]:
        try:
            return encode_value(value)
        except TypeError as error:
            what = f"{self.name}: the value for {slot.readable() or 'no arguments'} holds a {error}"
            way_out = "which cannot be restored exactly. Return plain data, for example a dict."
            self._refuse(TypeError(f"{what}, {way_out}"))
            return b"", False

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
                arguments = (2, slot.redis_name, slot.redis_name + b":lock", data, max(1, life_ms), token)
                self.cache.link.send(pack("EVAL", PRELUDE + STORE_SCRIPT, *arguments), await_answer=False)
            except Unavailable as error:
                self.count(errors=1)
                self.tell("error", slot, reason=str(error))

    def _await_other_process(self, slot: Slot, versions: bytes, patience: float) -> Record | None:
        """What the holder of the lock stores; None when it gave up or took too long, or the versions have changed."""
        self.count(waits=1)
        pause, epoch = 0.002, self.cache.link.epoch
        keys = (*slot.version_keys, slot.redis_name, slot.redis_name + b":lock")
        while time.monotonic() < patience:
            sleep(pause)
            pause = min(0.02, pause * 1.5)
            try:
                *seen, data, lock = self.cache.link.call("MGET", *keys)
            except Unavailable:
                break
            record = Record.from_bytes(data, self.cache.clock(), epoch)
            if record is not None and record.versions == versions == joined(seen):
                with contextlib.suppress(*GARBAGE):
                    record.value()
                    return record
            if lock is None or joined(seen) != versions:
                break
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

    # Shadow mode.

    def _judge(self, slot: Slot, record: Record, compute: Callable[[], T]) -> T:
        """The origin's value, after telling the listeners if the stored one differs, or why it could not be compared."""
        began, served = self.cache.snapshot_began(), json_text(to_json(record.value(), []))
        try:
            origin = self._compute(compute)
        except Exception as error:
            self.compare(slot, record, served, f"{type(error).__qualname__}: {error}", began)
            raise
        try:
            origin_text = json_text(to_json(origin, []))
        except (TypeError, ValueError, RecursionError) as error:
            self.tell("uncompared", slot, reason=str(error))
        else:
            self.compare(slot, record, served, origin_text, began)
        return origin


class Cache(Telling):
    """
    The caches of an application: one Redis, one memory, one mode.

    Args:
        url: of Redis, as redis-py takes it; None or "" switches every cache off.
        namespace: begins every name in Redis, unless the environment has CACHE_NAMESPACE.
        budget_ms: the most that one request waits for Redis, unless the environment has CACHE_BUDGET_MS.
        memory_entries, memory_bytes: bounds of what this process keeps.
        strict: raise for what cannot be stored exactly; otherwise warn once and compute it at each call.
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
        self.pending_tags: Callable[[], Collection[str]] = _no_tags
        self.after_commit: Callable[[Any, Callable[[], Any]], None] = _no_session
        budget_seconds = float(os.environ.get("CACHE_BUDGET_MS") or budget_ms) / 1000
        self.link = Link(url or "redis://", self.prefix, budget_seconds, clock)
        self.memory = Memory(memory_entries, memory_bytes)
        self.lock = threading.Lock()
        self.flights: dict[str, Flight] = {}
        ours = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _with(ours(), Cache._after_fork))
        atexit.register(lambda: _with(ours(), Cache._at_exit))

    def _after_fork(self) -> None:
        self.link.reset()
        self.memory.lock, self.lock, self.flights = threading.Lock(), threading.Lock(), {}
        _names.clear()

    def _at_exit(self) -> None:
        self.link.at_exit()

    def entry(self, name: str, *, ttl_seconds: float, **options: Any) -> Entry:
        """One cache; the options are the attributes of `Entry`."""
        if name in self.entries:
            raise ValueError(f"{name}: there is an entry of this name already.")
        entry = self.entries[name] = Entry(self, name, ttl_seconds, **options)
        self.link.version_ms = max(self.link.version_ms, int(ttl_seconds * 2000))
        return entry

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


_names: dict[int, tuple[weakref.ref[Any], str]] = {}


def _identity(instance: Any) -> object:
    kind = f"{type(instance).__module__}.{type(instance).__qualname__}"
    if hasattr(instance, "__cache_key__"):
        return kind, instance.__cache_key__()
    place = id(instance)
    reference, name = _names.get(place, (None, ""))
    if reference is None or reference() is not instance:  # addresses come back
        name = uuid.uuid4().hex
        _names[place] = weakref.ref(instance, lambda _: _names.pop(place, None)), name
    return name


def _with(cache: Cache | None, function: Callable[[Cache], None]) -> None:
    if cache is not None:
        function(cache)


def _no_tags() -> Collection[str]:
    return ()


def _no_session(session: Any, function: Callable[[], Any]) -> None:
    raise RuntimeError("No session is watched. Call sqlalchemy_events.watch(cache, tables) first.")
