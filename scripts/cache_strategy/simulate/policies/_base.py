"""The contract of the family."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Ints = list[int]
KEYS, CAPACITY, OWN = 0, 1, 2
"""What `head` holds; from OWN on it is the policy's, and -1 at the beginning, as all of `links` is."""


class Policy:
    """
    One policy: a file with four functions that numba can compile, and no memory but two flat arrays of integers.

    `add`: a key was stored that is not held yet. `use`: it was served. `remove`: it left for another reason. `evict` takes
    out the next key that must leave, and is only asked while there is one.

    Args:
        module: `__name__` of the file; its last part is the policy's name.
        links: how many integers are needed for so many keys and so many requests.
    """

    def __init__(self, module: str, links: Callable[[int, int], int]) -> None:
        self._module = module
        self.name = module.rpartition(".")[2]
        self.links = links

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The four functions by name."""
        return {name: getattr(import_module(self._module), name) for name in "add use remove evict".split()}
