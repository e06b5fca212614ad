"""
SIEVE: a hand walks from old to young over a FIFO queue, spares once what was used since it last came, takes the rest.

Source:
    Zhang et al., SIEVE is Simpler than LRU, NSDI 2024.
"""

from cache_strategy.simulate.policies._base import KEYS, OWN, Ints, Policy
from cache_strategy.simulate.policies._queue import push, unlink

HAND = OWN + 2


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    push(head, OWN, links, head[KEYS], key)
    links[2 * head[KEYS] + key] = 0


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    links[2 * head[KEYS] + key] = 1


def remove(head: Ints, links: Ints, key: int) -> None:
    if head[HAND] == key:
        head[HAND] = links[head[KEYS] + key]
    unlink(head, OWN, links, head[KEYS], key)


def evict(head: Ints, links: Ints, now: float) -> int:
    keys = head[KEYS]
    key = head[HAND] if head[HAND] >= 0 else head[OWN]
    while links[2 * keys + key]:
        links[2 * keys + key] = 0
        key = links[keys + key] if links[keys + key] >= 0 else head[OWN]
    head[HAND] = key
    remove(head, links, key)
    return key


policy = Policy(__name__, links=lambda keys, requests: 3 * keys)
