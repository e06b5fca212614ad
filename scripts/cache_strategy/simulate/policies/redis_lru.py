"""Redis's `allkeys-lru` and `volatile-lru`: of the keys drawn lately the one that was idle longest, in whole seconds."""

from cache_strategy.simulate.policies._base import KEYS, Ints, Policy
from cache_strategy.simulate.policies._lots import FIELDS, SAMPLES, TIME, best, drawn, join, leave, offer


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    join(head, links, key)
    use(head, links, key, now)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    links[TIME * head[KEYS] + key] = int(now)


def remove(head: Ints, links: Ints, key: int) -> None:
    leave(head, links, key)


def evict(head: Ints, links: Ints, now: float) -> int:
    while True:
        for nth in range(SAMPLES):
            key = drawn(head, links, nth)
            offer(head, key, int(now) - links[TIME * head[KEYS] + key])
        key = best(head, links)
        if key >= 0:
            return key


policy = Policy(__name__, links=lambda keys, requests: FIELDS * keys, exact=False)
