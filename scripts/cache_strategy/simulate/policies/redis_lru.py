"""Redis's `allkeys-lru` and `volatile-lru`: of the keys drawn the one that was idle longest, in whole seconds."""

from cache_strategy.simulate.policies._base import KEYS, Ints, Policy
from cache_strategy.simulate.policies._lots import DRAWS, FIELDS, HELD, TIME, draw, join, leave


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    join(head, links, key)
    use(head, links, key, now)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    links[TIME * head[KEYS] + key] = int(now)


def remove(head: Ints, links: Ints, key: int) -> None:
    leave(head, links, key)


def evict(head: Ints, links: Ints, now: float) -> int:
    best, used = -1, 0
    for _ in range(DRAWS):
        key = links[draw(head, head[HELD])]
        if best < 0 or links[TIME * head[KEYS] + key] < used:
            best, used = key, links[TIME * head[KEYS] + key]
    leave(head, links, best)
    return best


policy = Policy(__name__, links=lambda keys, requests: FIELDS * keys)
