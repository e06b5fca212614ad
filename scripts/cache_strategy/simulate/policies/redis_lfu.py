"""
Redis's `allkeys-lfu` and `volatile-lfu`: a counter of 8 bits that grows ever more seldom and falls by one a minute.

Source:
    Redis 7, src/evict.c: LFULogIncr, LFUDecrAndReturn; LFU_INIT_VAL 5, lfu-log-factor 10, lfu-decay-time 1.
"""

from cache_strategy.simulate.policies._base import KEYS, Ints, Policy
from cache_strategy.simulate.policies._lots import COUNTER, DRAWS, FIELDS, HELD, TIME, draw, join, leave

FIRST, MOST, FACTOR = 5, 255, 10


def _decayed(head: Ints, links: Ints, key: int, now: float) -> int:
    minutes = int(now / 60) - links[TIME * head[KEYS] + key]
    return max(0, links[COUNTER * head[KEYS] + key] - minutes)


def _note(head: Ints, links: Ints, key: int, now: float, counter: int) -> None:
    links[COUNTER * head[KEYS] + key] = counter
    links[TIME * head[KEYS] + key] = int(now / 60)


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    join(head, links, key)
    _note(head, links, key, now, FIRST)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    counter = _decayed(head, links, key, now)
    grows = counter < MOST and draw(head, max(0, counter - FIRST) * FACTOR + 1) == 0
    _note(head, links, key, now, counter + grows)


def remove(head: Ints, links: Ints, key: int) -> None:
    leave(head, links, key)


def evict(head: Ints, links: Ints, now: float) -> int:
    best, least = -1, MOST + 1
    for _ in range(DRAWS):
        key = links[draw(head, head[HELD])]
        counter = _decayed(head, links, key, now)
        if counter < least:
            best, least = key, counter
    leave(head, links, best)
    return best


policy = Policy(__name__, links=lambda keys, requests: FIELDS * keys)
