"""What can be seen of the caches: counts, events, metrics, and in shadow mode the differences."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from .link import MICROSECONDS, Link, Slot, Unavailable
from .records import Memory, Record
from .wire import sleep

SETTLE_SECONDS = 0.05  # assumed: the longest from a commit to its invalidation; for judging in shadow mode
COUNTS = (
    "hits misses stale_served computations waits errors bypasses invalidations stores mismatches bytes compute_ms hit_ms"
).split()


class Telling:
    """A cache that tells its listeners what happens, and counts it."""

    link: Link
    memory: Memory
    lock: threading.Lock
    is_on: bool
    clock: Callable[[], float]
    listeners: list[Callable[[dict[str, Any]], None]]
    entries: dict[str, Any]

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


class Watched:
    """An entry that counts what it does."""

    cache: Any
    name: str
    staleness_bound_seconds: float
    counts: dict[str, float]

    def tell(self, event: str, slot: Slot, record: Record | None = None, **more: Any) -> None:
        """Notify the listeners; of a record, when its computation began (our clock; Redis' in us) and its versions."""
        if not self.cache.listeners:
            return
        if record is not None:
            more["stored_t"] = record.stored_us / MICROSECONDS - self.cache.link.clock_offset
            more["stored_us"] = record.stored_us
            more["versions"] = [int(version) for version in record.versions.split(b",")]
        self.cache.notify(event, self.name, slot.readable(), **more)

    def count(self, **amounts: float) -> None:
        with self.cache.lock:
            for name, amount in amounts.items():
                self.counts[name] += amount

    def skipped(self, slot: Slot, reason: str) -> None:
        """Count and tell that a value was not read, or not stored."""
        self.count(bypasses=1)
        self.tell("bypass", slot, reason=reason)

    def compare(
        self, slot: Slot, record: Record, served: str, origin: str, began: float | None = None
    ) -> None:
        """Tell "mismatch" if two texts differ, or "uncompared" if they may: a change announced since, a transaction open before."""
        if served == origin:
            return
        link = self.cache.link
        if began is not None:
            open_us = int((self.cache.clock() - began + SETTLE_SECONDS) * MICROSECONDS)
            if record.stored_us > link.now_us() - open_us:
                self.tell("uncompared", slot, reason="the open transaction is older than the value")
                return
        sleep(SETTLE_SECONDS)
        try:
            if link.versions(slot) != record.versions:
                self.tell("uncompared", slot, reason="a write was announced meanwhile")
                return
        except Unavailable as error:
            self.tell("uncompared", slot, reason=str(error))
            return
        self.count(mismatches=1)
        bound = self.staleness_bound_seconds
        texts = {"served": served[:2000], "origin": origin[:2000]}
        self.tell("mismatch", slot, record, **texts, tags=slot.tags[3:], staleness_bound_seconds=bound)
