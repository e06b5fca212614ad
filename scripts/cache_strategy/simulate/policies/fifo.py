"""First in, first out: what was stored first leaves, however often it is asked for."""

from cache_strategy.simulate.policies._base import Policy


class Fifo:
    """Keys in the order in which they were stored."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def add(self, key: str) -> None:
        self._keys[key] = None

    def use(self, key: str) -> None:
        return

    def remove(self, key: str) -> None:
        del self._keys[key]

    def evict(self) -> str:
        key = next(iter(self._keys))
        del self._keys[key]
        return key


policy = Policy(__name__, order=Fifo)
