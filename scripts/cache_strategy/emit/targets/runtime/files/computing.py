"""
One call of an entry: what may be served, else who computes, and what of that is stored.

The order to read in: `_begin`, `_look`, `_queue`, `_claim`, `_finish`.
"""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar, cast

from .link import MICROSECONDS, Slot, Unavailable
from .records import Record
from .turns import Flight, Turn
from .values import GARBAGE, Codec, Raised, encode_value, json_text, to_json
from .watching import Watched
from .wire import Signal, sleep, who_asks

T = TypeVar("T")
BLOCKED = "a write is not yet committed or not yet announced"
FORTUNE = 0.3  # assumed: the share of values found that is worth a question of its own
POLL_SECONDS = 0.002, 0.01  # assumed: first and longest pause between two looks for another process' value


class Computing(Watched):
    """An entry that computes, stores and serves."""

    cache: Any
    ttl_seconds: float
    negative_seconds: float
    window_seconds: float
    wait_seconds: float
    compress_above: int
    codec: Codec | None
    shared: bool
    errors: Sequence[type[Exception]]
    _in_memory: bool
    _in_redis: bool
    _in_request: bool
    _has_refused = False
    _luck = 1.0

    def is_blocked(self, slot: Slot) -> bool:
        return not self.cache.blocked_tags().isdisjoint(slot.tags)

    def _get(self, slot: Slot, compute: Callable[[], T]) -> T:
        turn = self._begin(slot)
        if turn.is_given:
            return cast("T", self._served(turn))
        try:
            value = self._compute(compute)
        except BaseException as error:
            self._finish(turn, error)
            raise
        self._finish(turn, value)
        return value

    def _compute(self, compute: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return compute()
        finally:
            self.count(computations=1, compute_ms=(time.monotonic() - started) * 1000)

    def _served(self, turn: Turn) -> Any:
        if type(turn.value) is Raised:
            raise self._error_of(turn.value)
        return turn.value

    def _value(self, record: Record) -> Any:
        return record.value(self.shared, self.codec)

    # Reading.

    def _at_hand(self, slot: Slot) -> Record | None:
        """What this process may serve without asking or telling anybody."""
        cache = self.cache
        if not self.window_seconds or cache.listeners or cache.pending_tags is not no_tags:
            return None
        record, now = cache.memory.get(slot.name), cache.clock()
        if record is None or not (record.copies or record.shared_value) or cache.mode != "on":
            return None
        is_young = (now + cache.link.clock_offset) * MICROSECONDS < record.soft_us
        is_good = is_young and cache.link.is_trusted(record, slot.tags, self.window_seconds, now)
        return record if is_good else None

    def _begin(self, slot: Slot) -> Turn:
        """What a call is given, or owes: then `_finish` has to follow."""
        turn, started, is_shadow = Turn(slot), time.monotonic(), self.cache.mode == "shadow"
        if self.is_blocked(slot):
            return self._go_past(turn, BLOCKED)
        scope = self._scope()
        if scope is not None and slot.name in scope:
            self.count(hits=1)
            return turn.give(self._value(scope[slot.name]))
        if not (self._in_memory or self._in_redis):
            turn.keeps, turn.now_us = scope is not None, self.cache.link.now_us()
            turn.seen_us, turn.started, turn.epoch = turn.now_us, started, self.cache.link.epoch
            return turn
        if self._expects_none(slot):
            self._queue(turn)
            return turn
        try:
            self._look(turn)
        except Unavailable as error:
            return self._go_past(turn, str(error), errors=1)
        record = turn.record
        if record is not None:
            with contextlib.suppress(*GARBAGE):
                value = self._value(record)
                is_valid = record.versions == turn.versions
                if is_valid and (is_shadow or self.cache.link.now_us() < record.soft_us):
                    self.count(hits=1, hit_ms=(time.monotonic() - started) * 1000)
                    self.tell("hit", slot, record)
                    if is_shadow:
                        turn.judged, turn.began = record, self.cache.snapshot_began()
                        return turn
                    return self._give(turn, value, record)
                if is_valid or self.may_be_served_stale(record):
                    turn.may_serve = (value,)
        self._queue(turn)
        return turn

    def _expects_none(self, slot: Slot) -> bool:
        """Whether value and lock are asked for at once: of what was asked for lately most was not there."""
        cache = self.cache
        if self._luck > FORTUNE or not self._in_redis or cache.mode != "on" or cache.listeners:
            return False
        if self.staleness_bound_seconds:  # then old values are of use, which only a look brings
            return False
        return slot.name not in cache.flights and (not self._in_memory or cache.memory.get(slot.name) is None)

    def _scope(self) -> dict[str, Record] | None:
        """What this request has been given already; None outside of requests."""
        return self.cache.scope.get() if self._in_request and self.cache.mode == "on" else None

    def _give(self, turn: Turn, value: Any, record: Record) -> Turn:
        self._remember(turn, record)
        return turn.give(value)

    def _remember(self, turn: Turn, record: Record) -> None:
        """For this request, unless something was invalidated meanwhile."""
        scope = self._scope()
        if scope is not None and record.epoch == self.cache.link.epoch:
            scope[turn.slot.name] = record

    def _look(self, turn: Turn) -> None:
        """See what is stored and the versions of now, in one round trip; in none while memory may be trusted."""
        slot, link, asked_at, epoch = turn.slot, self.cache.link, self.cache.clock(), self.cache.link.epoch
        record = self.cache.memory.get(slot.name) if self._in_memory else None
        turn.known_us = record.stored_us if record else 0
        if record is not None and link.now_us() < record.hard_us:
            if self.window_seconds:
                if self.cache.push:
                    link.listen(self.window_seconds)
                if link.is_trusted(record, slot.tags, self.window_seconds, asked_at):
                    return turn.saw(record.versions, record)
            if (
                not self._in_redis or link.now_us() < record.soft_us
            ):  # else another process may have a newer one
                versions = link.versions(slot)
                if record.versions == versions:
                    record.checked_at, record.epoch = asked_at, epoch
                    return turn.saw(versions, record)
        if not self._in_redis:
            return turn.saw(link.versions(slot), None)
        versions, data = link.look(slot)
        record = Record.from_bytes(data, asked_at, epoch)
        is_good = record is not None and record.versions == versions
        self._luck += (is_good - self._luck) / 8
        if is_good and self._in_memory:
            self.cache.memory.put(slot.name, record)
        return turn.saw(versions, record)

    def may_be_served_stale(self, record: Record) -> bool:
        """Within the staleness bound: by the value's own age, since the first change after it is not known."""
        age_us = self.cache.link.now_us() - record.stored_us
        return bool(self.cache.mode == "on" and age_us < self.staleness_bound_seconds * MICROSECONDS)

    # Computing.

    def _queue(self, turn: Turn) -> None:
        """One caller computes; the others are given what may be served, else wait for it, or for the next if it fails."""
        cache, name, patience = self.cache, turn.slot.name, time.monotonic() + self.wait_seconds
        for _ in range(2):
            mine = Flight()
            with cache.lock:
                flight = cache.flights.get(name)
                if flight is None or not flight.is_as_new_as(turn.versions):
                    flight = cache.flights[name] = turn.flight = mine
                elif flight.done is None:
                    flight.done = Signal()
            if flight is mine:
                try:
                    self._claim(turn, patience)
                except BaseException:
                    self._land(turn, None)
                    raise
                if turn.is_given:
                    self._land(turn, turn.record)
                return
            if turn.may_serve:
                self.count(stale_served=1)
                turn.give(turn.may_serve[0])
                return
            if flight.owner == who_asks():
                break
            self.count(waits=1)
            if flight.done is not None:
                flight.done.wait(max(0.0, patience - time.monotonic()))
            if flight.record is not None and flight.is_as_new_as(turn.versions):
                self._give(turn, self._value(flight.record), flight.record)
                return
        self._claim(turn, 0)

    def _claim(self, turn: Turn, patience: float) -> None:
        """Note the versions and take the lock to compute; or be given what another process stores."""
        cache, link, slot = self.cache, self.cache.link, turn.slot
        turn.record = None
        token = f"{random.getrandbits(96):x}" if self._in_redis else ""
        lock_ms = max(1, int(self.wait_seconds * 1000))
        while True:
            turn.asked_at, turn.epoch, began = cache.clock(), link.epoch, cache.snapshot_began()
            try:
                now_us, data, is_locked, versions = link.note(slot, token, lock_ms, turn.known_us)
            except Unavailable as error:
                self._luck = 1.0  # a server that takes nothing may still give
                self._go_past(turn, str(error), errors=1)
                self._land(turn, None)  # what it will bring is for nobody else
                return
            link.clock_offset = now_us / MICROSECONDS - turn.asked_at
            turn.now_us = turn.seen_us = now_us
            if began is not None:
                turn.seen_us -= int((cache.clock() - began) * MICROSECONDS)
            turn.versions = versions
            if turn.flight is not None:
                turn.flight.noted = versions
            late: Any = Record.from_bytes(data, turn.asked_at, turn.epoch)
            if not self._in_redis:
                late = cache.memory.get(slot.name)
            is_good = late is not None and late.versions == versions and late.stored_us > turn.known_us
            if is_good and not turn.known_us and late.soft_us <= now_us and cache.mode == "on":
                turn.known_us = late.stored_us  # not looked at before: it is due
                with contextlib.suppress(*GARBAGE):
                    turn.may_serve = (self._value(late),)
                continue
            if is_good and self._take(turn, late):
                self._luck += (1 - self._luck) / 8
                self.count(hits=1)
                return
            if is_locked or not token or time.monotonic() >= patience:
                break
            if turn.may_serve:
                self.count(stale_served=1)
                turn.give(turn.may_serve[0])
                return
            if self._await_other_process(turn, patience):
                return
            patience = 0  # it failed, or may not store: waiting for the next one would be a queue
        self.count(misses=1)
        self.tell("miss", slot)
        turn.token, turn.keeps, turn.started = token, True, time.monotonic()

    def _take(self, turn: Turn, record: Any) -> bool:
        """Give what another caller has stored, unless it turns out to be garbage."""
        with contextlib.suppress(*GARBAGE):
            value, turn.record = self._value(record), record
            if self._in_memory:
                self.cache.memory.put(turn.slot.name, record)
            self._give(turn, value, record)
        return turn.is_given

    def _await_other_process(self, turn: Turn, patience: float) -> bool:
        """Take what the holder of the lock stores; not if it gives up or takes too long, or the versions change."""
        self.count(waits=1)
        link, (pause, longest), epoch = self.cache.link, POLL_SECONDS, self.cache.link.epoch
        while time.monotonic() < patience:
            sleep(pause)
            pause = min(longest, pause * 1.5)
            asked_at = self.cache.clock()
            try:
                versions, data, is_locked = link.peek(turn.slot, turn.versions)
            except Unavailable:
                break
            record = Record.from_bytes(data, asked_at, epoch)
            if (
                record is not None
                and record.versions == versions == turn.versions
                and self._take(turn, record)
            ):
                return True
            if not is_locked or versions != turn.versions:
                break
        return False

    def _go_past(self, turn: Turn, reason: str, errors: int = 0) -> Turn:
        """This call computes, and nothing is stored."""
        self.count(errors=errors)
        self.skipped(turn.slot, reason)
        return turn

    # Storing.

    def _finish(self, turn: Turn, outcome: object) -> None:
        """Store what was computed or raised, if that may be, and let those go on who wait for it."""
        record = None
        try:
            if turn.judged is not None:
                self._judge(turn, turn.judged, outcome)
            elif turn.keeps:
                record = self._recorded(turn, outcome)
        finally:
            try:
                if turn.keeps:
                    self._put(turn, record)
            finally:
                self._land(turn, record)

    def _land(self, turn: Turn, record: Record | None) -> None:
        flight, turn.flight, cache = turn.flight, None, self.cache
        if flight is None:
            return
        flight.record = record
        with cache.lock:
            if cache.flights.get(turn.slot.name) is flight:
                del cache.flights[turn.slot.name]
        if flight.done is not None:
            flight.done.set()

    def _recorded(self, turn: Turn, outcome: object) -> Record | None:
        if isinstance(outcome, BaseException):
            outcome = self._raised(outcome)
            if outcome is None:
                return None
        # What an open transaction sees may be as old as its beginning: good only if nothing has changed since.
        if turn.versions and max(map(int, turn.versions.split(b","))) > turn.seen_us:
            self.skipped(turn.slot, "the open transaction is older than the last change")
        elif self.is_blocked(turn.slot):
            self.skipped(turn.slot, BLOCKED)
        else:
            payload, form = self._encoded(turn.slot, outcome)
            if payload:
                soft, hard = self._life_us(outcome, time.monotonic() - turn.started)
                times = turn.now_us, turn.now_us + soft, turn.now_us + hard
                return Record(turn.versions, payload, form, *times, turn.asked_at, turn.epoch)
        return None

    def _life_us(self, outcome: object, seconds: float) -> tuple[int, int]:
        """When one caller computes the next value, and how long others get one that took so many seconds."""
        is_negative = self.negative_seconds and (outcome is None or type(outcome) is Raised)
        ttl = min(self.negative_seconds, self.ttl_seconds) if is_negative else self.ttl_seconds
        life = ttl * random.uniform(0.9, 1)  # what is stored together expires apart
        early = min(life / 2, max(life / 10, seconds * 1.5))
        return int((life - early) * MICROSECONDS), int(life * MICROSECONDS)

    def _encoded(self, slot: Slot, value: object) -> tuple[bytes, bytes]:
        try:
            return encode_value(value, self.codec)
        except TypeError as error:
            what = f"{self.name}: the value for {slot.readable() or 'no arguments'} holds a {error}"
            way_out = "which cannot be restored exactly. Return plain data, for example a dict."
            if not isinstance(value, Raised):
                self._refuse(TypeError(f"{what}, {way_out}"))
            return b"", b""

    def _refuse(self, error: TypeError) -> None:
        """Raise what cannot be stored; a cache that is not strict says it once and lets the call compute."""
        if self.cache.strict:
            raise error from None
        self.count(errors=1)
        if not self._has_refused:
            self._has_refused = True
            warnings.warn(f"{error} It is computed at each call.", RuntimeWarning, stacklevel=4)

    def _put(self, turn: Turn, record: Record | None) -> None:
        """Put a record into its layers, and open the lock."""
        link, slot = self.cache.link, turn.slot
        life_ms = (record.hard_us - link.now_us()) // 1000 if record else 0
        data = b""
        if record is not None and life_ms > 0:
            self._remember(turn, record)
            if self._in_redis:
                data = record.to_bytes(self.compress_above)
            self.count(stores=1, bytes=len(data or record.payload))
            if self._in_memory:
                self.cache.memory.put(slot.name, record)
            self.tell("store", slot, record)
        if turn.token:
            try:
                link.store(slot, data, life_ms, turn.token, turn.versions)
            except Unavailable as error:
                self.count(errors=1)
                self.tell("error", slot, reason=str(error))

    # Errors that are kept.

    def _raised(self, error: BaseException) -> Raised | None:
        """An error as what can be kept; None unless it is exactly of one of the classes, and comes back whole."""
        kind = type(error)
        with contextlib.suppress(Exception):
            if kind in self.errors and not vars(error) and kind(*error.args).args == error.args:
                return Raised(f"{kind.__module__}.{kind.__qualname__}", error.args)
        return None

    def _error_of(self, raised: Raised) -> BaseException:
        for kind in self.errors:
            if f"{kind.__module__}.{kind.__qualname__}" == raised.name:
                return kind(*raised.arguments)
        return RuntimeError(f"{self.name}: {raised.name} was kept, which `errors` no longer names")

    # Shadow mode.

    def _judge(self, turn: Turn, record: Record, origin: object) -> None:
        """Tell the listeners if the stored value is another than the origin's, or why it could not be compared."""
        try:
            texts = self._text(self._value(record)), self._text(origin)
        except (TypeError, ValueError, RecursionError) as error:
            self.tell("uncompared", turn.slot, reason=str(error))
        else:
            self.compare(turn.slot, record, *texts, turn.began)

    def _text(self, outcome: object) -> str:
        error = self._error_of(outcome) if isinstance(outcome, Raised) else outcome
        if isinstance(error, BaseException):
            return f"{type(error).__qualname__}: {error}"
        return json_text(to_json(outcome, []))


def no_tags() -> Collection[str]:
    return ()
