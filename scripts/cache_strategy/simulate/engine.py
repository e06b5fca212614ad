"""
How the loops run: as the Python they are, or compiled by numba, which makes them some hundred times faster.

numba is large (200 MB) and most forecasts are small, so it is no dependency of every user: it is used where it is
installed, and else prepared on first need in an environment of its own by the plugin's launcher.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

WORTH_COMPILING = 3_000_000
"""Steps of a loop from which on compiling pays: about two seconds of plain Python."""
LAUNCHER = Path(__file__).parents[2] / "cache-strategy"
LOCK = LAUNCHER.parent / "engine.lock"


class Engine:
    """One way to run loops; made by `engine_for`."""

    def __init__(self, compile: Callable[..., Any] | None) -> None:
        self._compile = compile
        self._made: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @property
    def is_compiled(self) -> bool:
        return self._compile is not None

    def column(self, values: Any) -> Any:
        """An array as this engine's loops read it fastest."""
        return values if self.is_compiled else values.tolist()

    def blank(self, many: int, value: float, dtype: str = "i8") -> Any:
        """An array of `many` equal values."""
        return np.full(many, value, dtype) if self.is_compiled else [value] * many

    def ready(
        self, function: Callable[..., Any], named: str = "", **given: Callable[..., Any]
    ) -> Callable[..., Any]:
        """
        `function` as this engine runs it, with the functions that it calls by name; `given` are those it does not know.

        Each `named` variant is compiled, and kept on disk, by itself.
        """
        key = (function, named)
        if key not in self._made:
            self._made[key] = self._make(function, named, given)
        return self._made[key]

    def _make(self, function: Any, named: str, given: Mapping[str, Any]) -> Callable[..., Any]:
        known = {**function.__globals__, **given}
        for name in function.__code__.co_names:
            if isinstance(known.get(name), FunctionType):
                known[name] = self.ready(known[name])
        name = f"{function.__name__}_{named}" if named else function.__name__
        made = FunctionType(function.__code__.replace(co_name=name), known, name)
        made.__qualname__, made.__module__ = name, function.__module__
        return self._compile(made) if self._compile else made


@cache
def plain_engine() -> Engine:
    return Engine(None)


@cache
def compiled_engine() -> Engine | None:
    """The engine with numba; None where it cannot be had."""
    if importlib.util.find_spec("numba") is None and not _prepare():
        return None
    import numba

    # Never beside the plugin's files; and numba looks at the file of a function, not at those of what it calls.
    sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py")))
    home = Path(sys.pycache_prefix or Path.home() / ".cache" / "cache-strategy")
    config: Any = numba.config
    config.CACHE_DIR = str(home / f"compiled-{hashlib.sha256(sources).hexdigest()[:16]}")
    return Engine(numba.njit(cache=True, nogil=True))


def engine_for(steps: int) -> Engine:
    """The engine for so many steps of a loop."""
    return (steps >= WORTH_COMPILING and compiled_engine()) or plain_engine()


def _prepare() -> bool:
    """Has the launcher prepare an environment with numba, beside the command's own; False where that fails."""
    if not LAUNCHER.exists():
        return False
    loader = SourceFileLoader("_cache_strategy_launcher", str(LAUNCHER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    launcher = importlib.util.module_from_spec(spec)
    loader.exec_module(launcher)
    home = Path(sys.prefix).parents[1]
    data = str(home.parent) if home.name == "environments" else None
    try:
        python = launcher.prepared_python(str(LOCK), data)
    except (launcher.Unprepared, OSError) as reason:
        print(f"cache-strategy: {reason} Going on without it, more slowly.", file=sys.stderr)
        return False
    packages = next(Path(python).parents[1].glob("lib*/**/site-packages"), None)
    sys.path.append(str(packages))
    return importlib.util.find_spec("numba") is not None
