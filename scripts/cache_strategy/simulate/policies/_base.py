"""The contract of the family."""

from collections.abc import Callable
from types import ModuleType

Ints = list[int]
FUNCTIONS = ("add", "use", "remove", "evict")
KEYS, CAPACITY, OWN = 0, 1, 2
"""What `head` holds; from OWN on it is the policy's, and -1 at the beginning, as all of `links` is."""


class Policy:
    """
    One policy: a file with four functions that numba can compile, and no memory but two flat arrays of integers.

    `add(head, links, key, size, now)`: `key` was stored, it is not held yet. `use(head, links, key, now)`: it was served.
    `remove(head, links, key)`: it left for another reason. `evict(head, links, now)` takes out the next key that must
    leave, and is only asked while there is one.

    Args:
        module: `__name__` of the file; its last part is the policy's name.
        links: how many integers are needed for so many keys and so many requests.
        exact: False for a policy that draws lots.
    """

    def __init__(self, module: str, links: Callable[[int, int], int], exact: bool = True) -> None:
        self.module_name = module
        self.name = module.rpartition(".")[2]
        self.links = links
        self.exact = exact

    def functions(self, module: ModuleType) -> dict[str, Callable[..., object]]:
        """The four functions by name."""
        return {name: getattr(module, name) for name in FUNCTIONS}
