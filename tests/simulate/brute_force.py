"""A reference that is too simple to be wrong: one list of what is held, walked from the start for every question."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass
class Asked:
    """A random trace: requests (time, key, size, digest) and writes (time, key or -1), or None."""

    requests: list[tuple[float, int, int, int]]
    writes: list[tuple[float, int]] | None

    @classmethod
    def random(cls, chance: random.Random) -> Asked:
        digests = chance.choice([[0], [0, 1, 2]])
        keys = chance.randint(1, 7)
        requests = [
            (chance.randint(0, 30), chance.randrange(keys), chance.randint(1, 4), chance.choice(digests))
            for _ in range(chance.randint(1, 40))
        ]
        writes = [(chance.randint(0, 30), chance.randrange(-1, keys)) for _ in range(chance.randint(0, 5))]
        return cls(sorted(requests, key=lambda r: r[0]), chance.choice([None, sorted(writes)]))


class Fifo:
    def __init__(self, capacity: float) -> None:
        self.keys: list[int] = []
        self.uses: Counter[int] = Counter()

    def add(self, key: int, size: int) -> None:
        self.keys.append(key)
        self.uses[key] = 0

    def use(self, key: int) -> None:
        self.uses[key] += 1

    def remove(self, key: int) -> None:
        self.keys.remove(key)

    def evict(self) -> int:
        return self.keys.pop(0)


class Lru(Fifo):
    def use(self, key: int) -> None:
        self.keys.remove(key)
        self.keys.append(key)


class Lfu(Fifo):
    def use(self, key: int) -> None:
        self.uses[key] += 1
        self.keys.remove(key)
        self.keys.append(key)

    def evict(self) -> int:
        return self.keys.pop(min(range(len(self.keys)), key=lambda at: self.uses[self.keys[at]]))


class Sieve(Fifo):
    hand: int | None = None

    def remove(self, key: int) -> None:
        at = self.keys.index(key)
        if self.hand == key:
            self.hand = self.keys[at + 1] if at + 1 < len(self.keys) else None
        self.keys.remove(key)

    def evict(self) -> int:
        at = 0 if self.hand is None else self.keys.index(self.hand)
        while self.uses[self.keys[at]]:
            self.uses[self.keys[at]] = 0
            at = (at + 1) % len(self.keys)
        self.hand = self.keys[at]
        self.remove(key := self.keys[at])
        return key


class S3Fifo(Fifo):
    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self.capacity = capacity
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghost: list[int] = []
        self.size: dict[int, int] = {}

    def add(self, key: int, size: int) -> None:
        self.uses[key], self.size[key] = 0, size
        if key in self.ghost:
            self.ghost.remove(key)
            self.main.append(key)
        else:
            self.small.append(key)

    def remove(self, key: int) -> None:
        (self.small if key in self.small else self.main).remove(key)

    def bytes_in(self, queue: list[int]) -> int:
        return sum(self.size[key] for key in queue)

    def evict(self) -> int:
        while True:
            if self.small and (not self.main or self.bytes_in(self.small) > self.capacity / 10):
                key = self.small.pop(0)
                if self.uses[key] < 2:
                    self.ghost.append(key)
                    while self.bytes_in(self.ghost) > self.capacity * 9 / 10:
                        self.ghost.pop(0)
                    return key
                self.uses[key] = 0
            else:
                key = self.main.pop(0)
                if not self.uses[key]:
                    return key
                self.uses[key] = min(3, self.uses[key]) - 1
            self.main.append(key)


POLICIES: dict[str, Any] = {"fifo": Fifo, "lru": Lru, "lfu": Lfu, "sieve": Sieve, "s3fifo": S3Fifo}


def brute_force(asked: Asked, ttl: float, capacity: float, policy: str, drops: bool) -> tuple[Any, ...]:
    """Hits, judged, stale, aged, mean age, most held, bytes of hits."""
    order, held = POLICIES[policy](capacity), {}
    hits = judged = stale = peak = hit_bytes = 0
    ages = []
    for now, key, size, digest in asked.requests:
        for old in [old for old, value in held.items() if now - value[0] >= ttl]:
            order.remove(old)
            del held[old]
        if key in held:
            since, _, before = held[key]
            writes = [w for w, concerned in asked.writes or () if concerned in (-1, key) and since < w <= now]
            if writes and drops:
                order.remove(key)
                del held[key]
        if key in held:
            order.use(key)
            hits += 1
            hit_bytes += size
            known = bool(before and digest)
            if known or asked.writes is not None:
                judged += 1
                if before != digest if known else writes:
                    stale += 1
                    if writes:
                        ages.append(now - writes[0])
            continue
        if size > capacity:
            continue
        while sum(value[1] for value in held.values()) + size > capacity:
            del held[order.evict()]
        held[key] = (now, size, digest)
        order.add(key, size)
        peak = max(peak, sum(value[1] for value in held.values()))
    return hits, judged, stale, len(ages), sum(ages) / len(ages) if ages else 0.0, peak, hit_bytes
