"""A reference that is too simple to be wrong: what is held is walked from the start for every question."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np

from cache_strategy.simulate.engine import Engine
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import replay_one, replay_ttls, requests_of


class Fifo:
    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
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
        self.uses[key] += 1
        self.keys.append(self.keys.pop(self.keys.index(key)))


class Lfu(Lru):
    def evict(self) -> int:
        return self.keys.pop(min(range(len(self.keys)), key=lambda at: self.uses[self.keys[at]]))


class Sieve(Fifo):
    hand: int | None = None

    def remove(self, key: int) -> None:
        if self.hand == key:
            self.hand = [*self.keys, None][self.keys.index(key) + 1]
        self.keys.remove(key)

    def evict(self) -> int:
        at = 0 if self.hand is None else self.keys.index(self.hand)
        while self.uses[self.keys[at]]:
            self.uses[self.keys[at]] = 0
            at = (at + 1) % len(self.keys)
        self.hand = key = self.keys[at]
        self.remove(key)
        return key


class S3Fifo(Fifo):
    """`keys` is the small queue."""

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self.main: list[int] = []
        self.ghost: list[int] = []
        self.size: dict[int, int] = {}

    def add(self, key: int, size: int) -> None:
        self.uses[key], self.size[key] = 0, size
        (self.main if key in self.ghost else self.keys).append(key)
        self.ghost = [old for old in self.ghost if old != key]

    def remove(self, key: int) -> None:
        (self.keys if key in self.keys else self.main).remove(key)

    def bytes_in(self, queue: list[int]) -> int:
        return sum(self.size[key] for key in queue)

    def evict(self) -> int:
        while True:
            if self.keys and (not self.main or self.bytes_in(self.keys) > self.capacity / 10):
                key = self.keys.pop(0)
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


def brute_force(
    requests: Any, writes: Any, ttl: float, capacity: float, policy: str, drops: bool
) -> tuple[float, ...]:
    """The first seven figures of a Replay."""
    order, held = POLICIES[policy](capacity), {}
    hits = judged = stale = peak = hit_bytes = 0
    ages = []
    for now, key, size, digest in requests:
        for old in [old for old, value in held.items() if now - value[0] >= ttl]:
            order.remove(old)
            del held[old]
        past = [
            w for w, whose in writes or () if whose in (-1, key) and key in held and held[key][0] < w <= now
        ]
        if past and drops:
            order.remove(key)
            del held[key]
        if key in held:
            order.use(key)
            hits += 1
            hit_bytes += size
            known = bool(held[key][2] and digest)
            judged += known or writes is not None
            if held[key][2] != digest if known else past:
                stale += 1
                ages += [now - w for w in past[:1]]
        elif size <= capacity:
            while sum(value[1] for value in held.values()) + size > capacity:
                del held[order.evict()]
            held[key] = (now, size, digest)
            order.add(key, size)
            peak = max(peak, sum(value[1] for value in held.values()))
    return hits, judged, stale, len(ages), sum(ages) / max(1, len(ages)), peak, hit_bytes


def differences(traces: int, engine: Engine) -> list[object]:
    """Random small traces of which the loops say anything else than brute force."""
    chance, found = random.Random(8), []
    for _ in range(traces):
        digests, keys = chance.choice([[0], [0, 1, 2]]), chance.randint(1, 7)
        times = sorted(chance.randint(0, 30) for _ in range(chance.randint(1, 40)))
        requests = [(t, chance.randrange(keys), chance.randint(1, 4), chance.choice(digests)) for t in times]
        writes = [(chance.randint(0, 30), chance.randrange(-1, keys)) for _ in range(chance.randint(0, 5))]
        writes = chance.choice([None, sorted(writes)])
        columns = [np.array(column) for column in zip(*requests, strict=True)]
        asked = requests_of(
            *columns, None if writes is None else ([w for w, _ in writes], [k for _, k in writes])
        )
        ttl, capacity = chance.choice([math.inf, chance.randint(1, 20)]), chance.randint(1, 14)
        policy, drops, other = chance.choice(list(POLICIES)), chance.random() < 0.3, chance.randint(1, 30)
        done = [
            replay_one(asked, ttl, capacity, load_policies()[policy], drops, engine),
            *replay_ttls(asked, [ttl, other], engine, drops),
        ]
        right = [
            brute_force(requests, writes, ttl, capacity, policy, drops),
            *(brute_force(requests, writes, life, math.inf, "fifo", drops) for life in (ttl, other)),
        ]
        if not np.allclose([row[:7] for row in done], right, rtol=1e-12):
            found.append((requests, writes, ttl, other, capacity, policy, drops))
    return found
