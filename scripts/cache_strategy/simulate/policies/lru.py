"""Least recently used: what was not asked for the longest leaves. Redis approximates it as `allkeys-lru`."""

from collections import OrderedDict

from cache_strategy.simulate.policies._base import Policy


class Lru:
    """Keys from the least to the most recently used."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> None:
        self._keys[key] = None

    def use(self, key: str) -> None:
        self._keys.move_to_end(key)

    def remove(self, key: str) -> None:
        del self._keys[key]

    def evict(self) -> str:
        return self._keys.popitem(last=False)[0]


policy = Policy(__name__, order=Lru)
