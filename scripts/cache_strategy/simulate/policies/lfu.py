"""Least frequently used: what was asked for least often since it was stored leaves; of equals, the least recently used."""

from cache_strategy.simulate.policies._base import KEYS, OWN, Ints, Policy
from cache_strategy.simulate.policies._queue import push, unlink

LEAST = OWN
"""Slot of the least number of uses that a held key may have. Behind the links: uses per key, then a queue per number."""


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    keys = head[KEYS]
    links[2 * keys + key] = head[LEAST] = 1
    push(links, 3 * keys + 2, links, keys, key)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    keys = head[KEYS]
    remove(head, links, key)
    links[2 * keys + key] += 1
    push(links, 3 * keys + 2 * links[2 * keys + key], links, keys, key)


def remove(head: Ints, links: Ints, key: int) -> None:
    keys = head[KEYS]
    unlink(links, 3 * keys + 2 * links[2 * keys + key], links, keys, key)


def evict(head: Ints, links: Ints, now: float) -> int:
    queues = 3 * head[KEYS]
    while links[queues + 2 * head[LEAST]] < 0:
        head[LEAST] += 1
    key = links[queues + 2 * head[LEAST]]
    remove(head, links, key)
    return key


policy = Policy(__name__, links=lambda keys, requests: 3 * keys + 2 * requests + 4)
