"""The names that annotations of rule files use; for type checkers only, so that the guard never pays for them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules._change import Change
    from cache_strategy.rules._edit import Edit
    from cache_strategy.rules._index import Function, IndexedModule
    from cache_strategy.rules._keys import Key

    __all__ = ["Change", "Edit", "Finding", "Function", "IndexedModule", "Iterator", "Key", "NamedTuple"]
