"""The contract of the family."""

from collections.abc import Callable
from typing import Protocol


class Order(Protocol):
    """The order in which keys leave one cache. Every key is added before it is used, and removed at most once."""

    def add(self, key: str) -> None:
        """`key` was stored; it is not in the cache yet."""

    def use(self, key: str) -> None:
        """`key` was served."""

    def remove(self, key: str) -> None:
        """`key` left for another reason: it expired."""

    def evict(self) -> str:
        """Takes out the next key that must leave; only called while there is one."""


class Policy:
    """
    One policy.

    Args:
        module: `__name__` of the file; its last part is the policy's name.
        order: makes the order of a new, empty cache.
    """

    def __init__(self, module: str, order: Callable[[], Order]) -> None:
        self.name = module.rpartition(".")[2]
        self.order = order
