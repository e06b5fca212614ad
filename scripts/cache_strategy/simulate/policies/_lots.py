"""
What both policies of Redis share: of ten keys drawn by lot the best leaves.

`links` holds the keys in any order, and per key its place among them, a time and a counter.

Source:
    Redis 7, src/evict.c. It draws five and remembers the best sixteen of earlier draws, which is as near to the exact
    policy as ten fresh ones.
"""

from cache_strategy.simulate.policies._base import KEYS, OWN, Ints

HELD, STATE = OWN, OWN + 1
DRAWS = 10
PLACE, TIME, COUNTER, FIELDS = 1, 2, 3, 4


def draw(head: Ints, below: int) -> int:
    """A number from 0 to `below` - 1, the same ones in every run; never over 63 bits in between."""
    head[STATE] = (head[STATE] * 3935557 + 12345) & 0xFFFFFFFFFF
    return (head[STATE] >> 12) % below


def join(head: Ints, links: Ints, key: int) -> None:
    """`key` can be drawn."""
    head[HELD] = max(0, head[HELD])
    links[head[HELD]] = key
    links[head[KEYS] * PLACE + key] = head[HELD]
    head[HELD] += 1


def leave(head: Ints, links: Ints, key: int) -> None:
    """`key` can no longer be drawn: the last one takes its place."""
    places = head[KEYS] * PLACE
    head[HELD] -= 1
    last = links[head[HELD]]
    links[links[places + key]] = last
    links[places + last] = links[places + key]
