"""
Redis within a time budget: versions of tags, their changes as other processes announce them, and what to do without.

An invalidation that Redis did not take is repeated until it does.
"""

from __future__ import annotations

import binascii
import contextlib
import contextvars
import functools
import hashlib
import json
import random
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import redis

from .address import Place, address_of
from .lua import (
    BUMP_SCRIPT,
    CLAIM_SCRIPT,
    GREET_SCRIPT,
    NOTE_SCRIPT,
    PRELUDE,
    RELEASE_SCRIPT,
    VERSIONS_SCRIPT,
)
from .protocol import pack, part, read_answer
from .records import Record
from .wire import Signal, Wire, idle_of, in_background, sleep

REQUEST_SECONDS = (
    1.0  # assumed: what a caller has spent of the budget is whole again after so long, and by shares before
)
WAITING = (
    0.85  # assumed: the share of the budget that is waited; the rest is for what Python does before and after
)
REFUSED_SECONDS = 0.1  # assumed: how long a server that takes nothing is not asked again to
RETRY_SECONDS = 0.02, 0.1  # assumed: first and longest pause between two attempts to reach Redis again
EXIT_SECONDS = 2.0  # assumed: a process that ends waits that long for its last invalidations to be delivered
BEAT_SECONDS = (
    1.0  # assumed: how often it is made sure that announcements still arrive; more often for short windows
)
SERVER_SECONDS = 30 * 86400  # how long Redis remembers which server it was; then everything is computed anew
EXTENDED = (
    1 / 16
)  # assumed: how often those who compute let the versions live longer; they live twice as long as values
MOST_HOPS = 3  # assumed: how many nodes of a cluster are asked for one answer
MOST_LOST = 100  # assumed: the locks whose opening may have got lost, which are opened once more
MOST_CHANGES = 10_000  # assumed: the latest changed tags that a process remembers
MICROSECONDS = 1_000_000


class Unavailable(Exception):
    """Redis did not answer in time, refused, or is known to be gone. Never reaches the application."""


class Refused(Unavailable):
    """Redis answered, with an error."""


class Link:
    """
    Redis within a time budget.

    A command is sent once, or again if the connection turns out to have been closed. After an error the link is
    `broken`: every call fails at once, and one background thread tries to reach Redis, delivers the invalidations that
    are due, and mends it.
    """

    def __init__(self, url: str, prefix: str, budget_seconds: float, clock: Callable[[], float]) -> None:
        self._address = address_of(url)
        self._prefix = prefix
        # in a cluster all versions lie together, each value with its lock
        self._home = f"{{{prefix[:-1]}}}:" if self._address.is_cluster and "{" not in prefix else prefix
        self._budget_seconds = budget_seconds
        self._clock = clock
        self._channel = prefix + "changes"
        self._spent: contextvars.ContextVar[list[float]] = contextvars.ContextVar("spent")
        self.clock_offset = 0.0  # Redis' clock minus ours in seconds; too large by one round trip at most
        self.version_ms = 60_000
        self.latest = self.version_key("@latest")
        self.beat_seconds = BEAT_SECONDS
        self.reset()

    def reset(self) -> None:
        """Start anew in a forked process: connections, threads and locks belong to the other one."""
        self._idle: defaultdict[Place | None, deque[Wire]] = defaultdict(deque)
        self._opening: dict[Place | None, Signal] = {}
        self._lost: deque[bytes] = deque(maxlen=MOST_LOST)
        self._lock = threading.Lock()
        self._recovery: threading.Thread | None = None
        self._ear: threading.Thread | None = None
        self.is_closed = False
        self.broken = False
        self.last_error = ""
        self._refused_until = 0.0
        self.undelivered: frozenset[str] = frozenset()
        # What has changed, as far as this process knows: an epoch counts the changes, each tag has its latest.
        self.epoch = 1
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0
        # By our clock: since when every change is announced to us, and until when all announcements were heard.
        self._covered_from = float("inf")
        self._heard_at = 0.0

    def version_key(self, tag: str) -> bytes:
        return f"{self._home}v:{tag}".encode("utf-8", "surrogatepass")

    def value_key(self, place: str) -> bytes:
        name = f"{self._prefix}e:{place}".encode("utf-8", "surrogatepass")
        if self._home == self._prefix:
            return name
        return b"%s{%08x}%s" % (
            self._prefix.encode(),
            binascii.crc32(name),
            name[len(self._prefix.encode()) :],
        )

    def now_us(self) -> int:
        """Redis' clock in microseconds; never too early."""
        return int((self._clock() + self.clock_offset) * MICROSECONDS)

    # Commands.

    def call(self, *command: Any, key: bytes = b"") -> Any:
        """The answer to one command; Unavailable when there is none within what is left of the caller's budget."""
        return self.send(pack(*command), key)

    def script(self, text: str, keys: Sequence[bytes], *arguments: Any, packed: bytes = b"") -> Any:
        """The answer of a Lua script, which is sent whole only to a server that does not know it yet."""
        rest = part(len(keys)) + (packed or b"".join(map(part, keys))) + b"".join(map(part, arguments))
        words = 3 + len(keys) + len(arguments)
        try:
            return self.send(b"*%d\r\n$7\r\nEVALSHA\r\n%s%s" % (words, _sha1(text), rest), keys[0])
        except Refused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return self.send(b"*%d\r\n$4\r\nEVAL\r\n%s%s" % (words, part(PRELUDE + text), rest), keys[0])

    def send(self, packed: bytes, key: bytes = b"", unawaited: int = 0, late: bytes = b"") -> Any:
        """
        As `call`, for a command that is packed already.

        So many answers are not awaited, but passed over later; if they never come, another command is sent late.
        """
        if self.broken:
            raise Unavailable(self.last_error)
        started = time.monotonic()
        account = self._spent.get(None)  # until when, and how much
        if account is None:
            account = [started, 0.0]
            self._spent.set(account)
        whole = self._budget_seconds * WAITING
        account[1] = max(0.0, account[1] - (started - account[0]) * whole / REQUEST_SECONDS)
        account[0] = started
        left = whole - account[1]
        if left < whole / 100:
            raise Unavailable("Redis is slow")
        try:
            place = self._address.place(key)
            if place is None and self._address.is_cluster:
                self._address.locate(started + left)
                place = self._address.place(key)
            answer = self._exchange(packed, place, started + left, unawaited, b"", late)
            if self._address.is_cluster and isinstance(answer, redis.ResponseError):
                answer = self._elsewhere(answer, packed, key, started + left)
        except (redis.RedisError, OSError) as error:
            self.give_up(error)
            raise Unavailable(str(error)) from None
        finally:
            # a healthy answer is free: the budget is for waiting
            account[1] += max(0.0, time.monotonic() - started - self._budget_seconds / 20)
        if isinstance(answer, redis.ResponseError):
            raise Refused(str(answer))
        return answer

    def _exchange(
        self,
        packed: bytes,
        place: Place | None,
        deadline: float,
        unawaited: int = 0,
        ahead: bytes = b"",
        late: bytes = b"",
    ) -> Any:
        while True:
            wire = idle_of(self._idle[place])
            is_reused = wire is not None
            if wire is None:
                wire = self._open(place, deadline)
                if wire is None:
                    continue
            try:
                if unawaited and wire.has_more():
                    wire.rest += wire.receive(deadline)  # an error, if it is closed
                wire.write(self._late(wire) + ahead + packed)
                wire.owed += bool(ahead)
                if unawaited:
                    wire.owed += unawaited
                    wire.late.append(late)
                    answer = None
                else:
                    while wire.owed:
                        read_answer(wire, deadline)
                        wire.owed -= 1
                    wire.late.clear()
                    answer = read_answer(wire, deadline)
            except (redis.ConnectionError, OSError):
                wire.close()
                self._lost.extend(wire.late)
                if not is_reused:
                    raise
            except BaseException:
                wire.close()
                raise
            else:
                self._idle[place].append(wire)
                return answer

    def _late(self, wire: Wire) -> bytes:
        """What has to be sent once more, since the connection it went over turned out to have been closed."""
        words = []
        with contextlib.suppress(IndexError):
            while self._lost:
                words.append(self._lost.popleft())
        wire.late += words
        wire.owed += len(words)
        return b"".join(words)

    def _open(self, place: Place | None, deadline: float) -> Wire | None:
        """One more connection; None after somebody else has opened one: by now another may be free."""
        mine = Signal()
        with self._lock:
            theirs = self._opening.setdefault(place, mine)
        if theirs is mine:
            try:
                return self._connect(place, deadline)
            finally:
                self._opening.pop(place, None)
                mine.set()
        theirs.wait(max(0.0, deadline - time.monotonic()))
        if self.broken or time.monotonic() >= deadline:
            raise redis.TimeoutError(self.last_error or "Redis did not answer in time")
        return None

    def _elsewhere(self, answer: Any, packed: bytes, key: bytes, deadline: float) -> Any:
        """The answer of the node that a node of a cluster names."""
        for _ in range(MOST_HOPS):
            kind, _, rest = str(answer).partition(" ")
            if not isinstance(answer, redis.ResponseError) or kind not in ("MOVED", "ASK"):
                break
            host, _, port = rest.split(" ")[1].rpartition(":")
            if kind == "MOVED":
                self._address.locate(deadline, Place(host, int(port)))
                answer = self._exchange(packed, self._address.place(key), deadline)
            else:
                answer = self._exchange(packed, Place(host, int(port)), deadline, 0, pack("ASKING"))
        return answer

    def _connect(self, place: Place | None, deadline: float) -> Wire:
        if place is None and self._address.is_cluster:
            raise redis.ConnectionError("nobody serves this slot of the cluster")
        wire = self._address.connect(place, deadline)
        if place == self._address.place(self.latest):
            asked_at = self._clock()
            keys = (self._home + "server", self.version_key("@all"), self.latest)
            # nothing from a read-only replica, or where INFO is forbidden
            now_us = self._run_script(wire, deadline, GREET_SCRIPT, keys, SERVER_SECONDS * 1000)
            if isinstance(now_us, int):
                self.clock_offset = now_us / MICROSECONDS - asked_at
        return wire

    def _run_script(
        self, wire: Wire, deadline: float, text: str, keys: Sequence[Any], *arguments: Any
    ) -> Any:
        try:
            wire.write(pack("EVAL", PRELUDE + text, len(keys), *keys, *arguments))
            return read_answer(wire, deadline)
        except BaseException:
            wire.close()
            raise

    # What is asked of a key.

    def versions(self, slot: Slot) -> bytes:
        return _joined(self.send(slot.ask_versions, self.latest))

    def look(self, slot: Slot) -> tuple[bytes, bytes | None]:
        """The versions of now, and what is stored: in one round trip; in a cluster in two."""
        if self._address.is_cluster:
            data = self.send(slot.ask_value, slot.redis_name)
            return self.versions(slot), data
        *seen, data = self.send(slot.ask)
        return _joined(seen), data

    def note(
        self, slot: Slot, token: str, lock_ms: int, known_us: int
    ) -> tuple[int, bytes | None, bool, bytes]:
        """Before computing: the time, a good value stored after the known one, whether the lock is ours, the versions."""
        if time.monotonic() < self._refused_until:
            raise Unavailable(self.last_error)
        keys, extend = [self.latest, *slot.version_keys], int(random.random() < EXTENDED)
        try:
            if not token or self._address.is_cluster:
                now_us, data, is_locked, under = self.script(VERSIONS_SCRIPT, keys, self.version_ms, extend)
                if token:
                    names, claim = (slot.redis_name,), (token, lock_ms, known_us, under)
                    data, is_locked = self.script(CLAIM_SCRIPT, names, *claim)
            else:
                arguments = (self.version_ms, extend, token, lock_ms, known_us)
                keys, packed = [*keys, slot.redis_name], part(self.latest) + slot.packed
                now_us, data, is_locked, under = self.script(NOTE_SCRIPT, keys, *arguments, packed=packed)
        except Refused as error:  # it takes nothing: full, or a replica
            self.last_error, self._refused_until = str(error), time.monotonic() + REFUSED_SECONDS
            raise
        return now_us, data, bool(is_locked), under

    def store(
        self, slot: Slot, data: bytes, life_ms: int, token: str, under: bytes, wait: bool = False
    ) -> None:
        """Put a value, or none, and open the lock."""
        lock = slot.lock(under)
        release = "EVAL", PRELUDE + RELEASE_SCRIPT, 1, lock, token
        commands = [("SET", slot.redis_name, data, "PX", life_ms), ("DEL", lock)] if data else [release]
        if not wait:
            packed = [pack(*command) for command in commands]
            late = packed[-1] if data else pack("DEL", lock)
            self.send(b"".join(packed), slot.redis_name, len(commands), late)
            return
        for command in commands:
            self.call(*command, key=slot.redis_name)

    def peek(self, slot: Slot, under: bytes) -> tuple[bytes, bytes | None, bool]:
        """The versions of now, what is stored, and whether somebody computes under those versions."""
        data, lock = self.call("MGET", slot.redis_name, slot.lock(under), key=slot.redis_name)
        return self.versions(slot), data, lock is not None

    # Invalidations.

    def bump(self, tags: Collection[str], hold_us: int, release: int) -> int:
        """Give tags new versions (see `Cache.bump`). Until Redis took them they are `undelivered`, and sent again."""
        with self._lock:
            self.undelivered |= frozenset(tags)
        self.learn(tags)
        try:
            due, arguments = self._due(tags, hold_us, release)
            held_until = int(self.script(BUMP_SCRIPT, *arguments))
        except BaseException as error:  # a task may be cancelled here
            with self._lock:
                self.undelivered |= frozenset(tags)  # another caller's success may have removed them
            self.give_up(error)
            if not isinstance(error, Unavailable):
                raise
            return 0
        self._delivered(due)
        return held_until

    def _due(self, tags: Collection[str], hold_us: int = 0, release: int = 0) -> tuple[frozenset[str], Any]:
        """All tags that Redis has to be told of, and the arguments of the script that does; these tags are held."""
        due = self.undelivered.union(tags)
        names = [*sorted(tags), *sorted(due.difference(tags))]
        keys = [self.latest, *map(self.version_key, names)]
        return due, (keys, self.version_ms, hold_us, len(tags), release, self._channel, json.dumps(names))

    def _delivered(self, due: frozenset[str]) -> None:
        self.learn(due)
        with self._lock:
            self.undelivered -= due

    def give_up(self, error: BaseException) -> None:
        """Leave Redis alone until the background thread got an answer."""
        with self._lock:
            self.last_error = str(error)
            if self._recovery is None:
                with contextlib.suppress(RuntimeError):  # no more threads
                    self._recovery = in_background(self._recover, "cache-recovery")
            self.broken = self._recovery is not None

    def _recover(self) -> None:
        pause, longest = RETRY_SECONDS
        while not self.is_closed:
            try:
                self._lost.extend(
                    word for wires in self._idle.values() for wire in wires for word in wire.late
                )
                self._idle.clear()
                deadline = time.monotonic() + self._budget_seconds
                self._address.locate(deadline)
                wire = self._connect(self._address.place(self.latest), deadline)
                if self.undelivered:
                    due, arguments = self._due(())
                    answer = self._run_script(wire, deadline, BUMP_SCRIPT, *arguments)
                    if isinstance(answer, redis.ResponseError):
                        raise answer
                    self._delivered(due)
                wire.close()
                with self._lock:
                    if not self.undelivered:
                        self._recovery, self.broken = None, False
                        return
            except Exception as error:  # nobody else mends the link
                self.last_error = str(error)
                sleep(pause)
                pause = min(longest, pause * 2)

    def at_exit(self) -> None:
        recovery = self._recovery
        if self.undelivered and recovery is not None:
            recovery.join(EXIT_SECONDS)

    # What this process knows of changes.

    def learn(self, tags: Collection[str]) -> None:
        with self._lock:
            epoch = self.epoch + 1
            for tag in tags:
                self._changed.pop(tag, None)
                self._changed[tag] = epoch
            while len(self._changed) > MOST_CHANGES:
                self._forgotten = self._changed.popitem(last=False)[1]
            self.epoch = epoch  # last: who sees it sees the tags

    def is_trusted(self, record: Record, tags: Sequence[str], window: float, now: float) -> bool:
        """Whether a record was compared with Redis, or not announced to have changed, within the last `window` seconds."""
        if now - record.checked_at >= window and (
            record.checked_at < self._covered_from or now - self._heard_at >= window
        ):
            return False
        epoch = self.epoch
        if record.epoch != epoch:
            latest = max([self._changed.get(tag, 0) for tag in tags])
            if record.epoch < self._forgotten or record.epoch < latest:
                return False
            record.epoch = epoch
        return True

    def listen(self, window: float) -> None:
        """Hear from now on what other processes change, so that records are trusted without asking."""
        with self._lock:
            self.beat_seconds = min(self.beat_seconds, window / 4)
            if self._ear is None:
                with contextlib.suppress(RuntimeError):
                    self._ear = in_background(self._listen, "cache-changes")

    def _listen(self) -> None:
        while not self.is_closed:
            with contextlib.suppress(redis.RedisError, OSError):
                place = self._address.place(self.latest)
                wire = self._address.connect(place, time.monotonic() + self._budget_seconds)
                try:
                    self._hear(wire, place)
                finally:
                    wire.close()
            sleep(RETRY_SECONDS[1])  # what is heard no more is not trusted for longer than the window

    def _hear(self, wire: Wire, place: Place | None) -> None:
        wire.write(pack("SUBSCRIBE", self._channel))
        read_answer(wire, time.monotonic() + self._budget_seconds)
        self._covered_from = self._clock()
        while not self.is_closed:
            asked_at, deadline = self._clock(), time.monotonic() + self.beat_seconds
            wire.write(pack("PING"))
            has_answered = False
            with contextlib.suppress(redis.TimeoutError):
                while time.monotonic() < deadline:
                    kind, *rest = read_answer(wire, deadline)
                    if kind == b"message":
                        self.learn(_tags_in(rest[-1]))
                    else:
                        has_answered, self._heard_at = True, asked_at
            if not has_answered or self._has_moved(place):
                raise redis.TimeoutError("Redis is silent")

    def _has_moved(self, place: Place | None) -> bool:
        """Whether another node of a cluster announces now."""
        if self._address.is_cluster:
            with contextlib.suppress(Unavailable):
                self.call("EXISTS", self.latest, key=self.latest)
        return place != self._address.place(self.latest)


class Slot:
    """The place of one key: its name, what it stands for, the tags it depends on, and where their versions are."""

    __slots__ = ("ask", "ask_versions", "name", "packed", "parts", "redis_name", "tags", "version_keys")

    def __init__(self, place: str, parts: Mapping[str, object], tags: tuple[str, ...], link: Link) -> None:
        self.name = place
        self.parts = parts
        self.tags = tags
        self.redis_name = link.value_key(place)
        self.version_keys = [link.version_key(tag) for tag in tags]
        versions = b"".join(map(part, self.version_keys))
        self.packed = versions + part(self.redis_name)
        self.ask_versions = b"*%d\r\n$4\r\nMGET\r\n%s" % (len(tags) + 1, versions)
        self.ask = b"*%d\r\n$4\r\nMGET\r\n%s" % (len(tags) + 2, self.packed)

    @property
    def ask_value(self) -> bytes:
        return pack("GET", self.redis_name)

    def lock(self, under: bytes) -> bytes:
        return b"%s:%s" % (self.redis_name, under)

    def readable(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.parts.items())


def _joined(versions: Sequence[bytes | None]) -> bytes:
    return b",".join([version or b"" for version in versions])


def _tags_in(message: bytes) -> list[str]:
    try:
        return [str(tag) for tag in json.loads(message)]
    except (ValueError, TypeError):
        return ["@all"]  # somebody else's: to be on the safe side


@functools.lru_cache(maxsize=16)
def _sha1(text: str) -> bytes:
    return part(hashlib.sha1((PRELUDE + text).encode()).hexdigest())  # Redis' name for a script
