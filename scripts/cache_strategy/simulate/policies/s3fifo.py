"""
S3-FIFO: a small queue for newcomers, a main queue for what was used again, and a memory of what left the small one.

Source:
    Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023: the small queue holds a tenth of the bytes, the
    ghosts are remembered for as many bytes as the main queue holds, two uses while in the small queue move a value on.
"""

from cache_strategy.simulate.policies._base import CAPACITY, KEYS, OWN, Ints, Policy
from cache_strategy.simulate.policies._queue import push, unlink

SMALL, MAIN, GHOST = OWN, OWN + 2, OWN + 4
BYTES = 6
"""Behind the three queues' ends: the bytes in each. Behind the links: queue, uses and size per key."""


def _enter(head: Ints, links: Ints, queue: int, key: int) -> None:
    keys = head[KEYS]
    push(head, queue, links, keys, key)
    links[2 * keys + key] = queue
    links[3 * keys + key] = 0
    head[queue + BYTES] += links[4 * keys + key]


def _leave(head: Ints, links: Ints, key: int) -> None:
    keys = head[KEYS]
    queue = links[2 * keys + key]
    unlink(head, queue, links, keys, key)
    links[2 * keys + key] = -1
    head[queue + BYTES] -= links[4 * keys + key]


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    keys = head[KEYS]
    queue = SMALL
    if links[2 * keys + key] == GHOST:
        _leave(head, links, key)
        queue = MAIN
    links[4 * keys + key] = size
    _enter(head, links, queue, key)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    keys = head[KEYS]
    links[3 * keys + key] = min(3, links[3 * keys + key] + 1)


def remove(head: Ints, links: Ints, key: int) -> None:
    _leave(head, links, key)


def evict(head: Ints, links: Ints, now: float) -> int:
    keys = head[KEYS]
    while True:
        # Sums begin at -1, as all of `head` does.
        if head[SMALL] >= 0 and (head[MAIN] < 0 or (head[SMALL + BYTES] + 1) * 10 > head[CAPACITY]):
            key = head[SMALL]
            uses = links[3 * keys + key]
            _leave(head, links, key)
            if uses >= 2:
                _enter(head, links, MAIN, key)
                continue
            _enter(head, links, GHOST, key)
            while (head[GHOST + BYTES] + 1) * 10 > head[CAPACITY] * 9:
                _leave(head, links, head[GHOST])
            return key
        key = head[MAIN]
        uses = links[3 * keys + key]
        _leave(head, links, key)
        if not uses:
            return key
        _enter(head, links, MAIN, key)
        links[3 * keys + key] = uses - 1


policy = Policy(__name__, links=lambda keys, requests: 5 * keys)
