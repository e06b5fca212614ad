"""
How the loops run: as the Python they are, or compiled by numba, which makes them some hundred times faster.

numba is large (200 MB) and most forecasts are small: it is used where it is installed, and else prepared on first need, in
an environment of its own, by the plugin's launcher.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from cache_strategy import extras

WORTH_COMPILING = 3_000_000
"""Steps of a loop from which on compiling pays: about two seconds of plain Python."""


class Engine:
    """One way to run loops."""

    def __init__(self, compile: Callable[..., Any] | None) -> None:
        self.is_compiled = compile is not None
        self._compile = compile or (lambda function: function)
        self._made: dict[tuple[Any, str], Callable[..., Any]] = {}

    def column(self, values: Any) -> Any:
        """An array as this engine's loops read it fastest."""
        return values if self.is_compiled else values.tolist()

    def blank(self, many: int, value: float, dtype: str = "i8") -> Any:
        """An array of `many` equal values."""
        return np.full(many, value, dtype) if self.is_compiled else [value] * many

    def ready(self, function: Any, named: str = "", **given: Callable[..., Any]) -> Callable[..., Any]:
        """`function` and those that it calls, as this engine runs them; with `given` ones it has a name of its own."""
        if (function, named) not in self._made:
            known = {**function.__globals__, **given}
            for name in function.__code__.co_names:
                if isinstance(known.get(name), FunctionType):
                    known[name] = self.ready(known[name])
            name = f"{function.__name__}_{named}"
            made = FunctionType(function.__code__.replace(co_name=name), known, name)
            made.__qualname__, made.__module__ = name, function.__module__
            self._made[function, named] = self._compile(made)
        return self._made[function, named]


@cache
def plain_engine() -> Engine:
    return Engine(None)


@cache
def compiled_engine() -> Engine | None:
    """None where numba cannot be had."""
    if not extras.has("numba", "engine.lock"):
        return None
    import numba

    # Never beside the plugin's files; and numba looks at the file of a function, not at those of what it calls.
    sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py")))
    home = Path(sys.pycache_prefix or Path.home() / ".cache" / "cache-strategy")
    config: Any = numba.config
    config.CACHE_DIR = str(home / f"compiled-{hashlib.sha256(sources).hexdigest()[:16]}")
    return Engine(numba.njit(cache=True, nogil=True))


_so_far = [0]


def engine_for(steps: int) -> Engine:
    """The engine for so many steps of a loop; those that went before count, as a forecast has many loops."""
    _so_far[0] += steps
    return (_so_far[0] >= WORTH_COMPILING and compiled_engine()) or plain_engine()
