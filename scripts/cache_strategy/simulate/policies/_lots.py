"""
What both policies of Redis share: five keys are drawn, and the best of those seen lately leaves.

`links` holds the keys in any order, and per key its place among them, a time and a counter; `head` their number, the
state of the lots, and the pool: 16 keys and their scores, the highest last.

Source:
    Redis 7, src/evict.c: evictionPoolPopulate, EVPOOL_SIZE 16; maxmemory-samples 5. Redis draws neighbours of its hash
    table, which are as random as these.
"""

from cache_strategy.simulate.policies._base import Ints

HELD, STATE, POOLED, POOL, SCORES = 2, 3, 4, 5, 21
SIZE, SAMPLES = 16, 5
PLACE, TIME, COUNTER, FIELDS = 1, 2, 3, 4


def draw(head: Ints, below: int) -> int:
    """A number from 0 to `below` - 1, the same ones in every run; a congruential generator that stays below 63 bits."""
    head[STATE] = (head[STATE] * 3935557 + 12345) & 0xFFFFFFFFFF
    return (head[STATE] >> 12) % below


def join(head: Ints, links: Ints, key: int) -> None:
    """`key` can be drawn."""
    if head[HELD] < 0:
        head[HELD] = head[POOLED] = 0
    links[head[HELD]] = key
    links[head[0] * PLACE + key] = head[HELD]
    head[HELD] += 1


def leave(head: Ints, links: Ints, key: int) -> None:
    """`key` can no longer be drawn; it may still stand in the pool."""
    keys = head[0]
    head[HELD] -= 1
    last = links[head[HELD]]
    links[links[keys * PLACE + key]] = last
    links[keys * PLACE + last] = links[keys * PLACE + key]
    links[keys * PLACE + key] = -1


def drawn(head: Ints, links: Ints, nth: int) -> int:
    """The key of the nth lot; of five or fewer, each once."""
    return links[nth % head[HELD] if head[HELD] <= SAMPLES else draw(head, head[HELD])]


def offer(head: Ints, key: int, score: int) -> None:
    """Puts `key` into the pool, if its score is higher than the lowest there."""
    full = head[POOLED] == SIZE
    at = 0
    while at < head[POOLED] and head[SCORES + at] < score:
        at += 1
    if full and at == 0:
        return
    if full:
        at -= 1
        for i in range(at):
            head[POOL + i], head[SCORES + i] = head[POOL + i + 1], head[SCORES + i + 1]
    else:
        for i in range(head[POOLED], at, -1):
            head[POOL + i], head[SCORES + i] = head[POOL + i - 1], head[SCORES + i - 1]
        head[POOLED] += 1
    head[POOL + at], head[SCORES + at] = key, score


def best(head: Ints, links: Ints) -> int:
    """Takes the best of the pool that is still held; -1 where none is."""
    while head[POOLED] > 0:
        head[POOLED] -= 1
        key = head[POOL + head[POOLED]]
        if links[head[0] * PLACE + key] >= 0:
            leave(head, links, key)
            return key
    return -1
