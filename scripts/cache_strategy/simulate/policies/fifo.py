"""First in, first out: what was stored first leaves, however often it is asked for."""

from cache_strategy.simulate.policies._base import KEYS, OWN, Ints, Policy
from cache_strategy.simulate.policies._queue import push, unlink


def add(head: Ints, links: Ints, key: int, size: int, now: float) -> None:
    push(head, OWN, links, head[KEYS], key)


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    return


def remove(head: Ints, links: Ints, key: int) -> None:
    unlink(head, OWN, links, head[KEYS], key)


def evict(head: Ints, links: Ints, now: float) -> int:
    key = head[OWN]
    unlink(head, OWN, links, head[KEYS], key)
    return key


policy = Policy(__name__, links=lambda keys, requests: 2 * keys)
