"""Least recently used: what was not asked for the longest leaves."""

from cache_strategy.simulate.policies._base import KEYS, OWN, Ints, Policy
from cache_strategy.simulate.policies._queue import push, unlink
from cache_strategy.simulate.policies.fifo import add, evict, remove


def use(head: Ints, links: Ints, key: int, now: float) -> None:
    unlink(head, OWN, links, head[KEYS], key)
    push(head, OWN, links, head[KEYS], key)


__all__ = ["add", "evict", "policy", "remove", "use"]
policy = Policy(__name__, links=lambda keys, requests: 2 * keys)
