"""Packages that few runs need: prepared on first need, in environments of their own, by the plugin's launcher."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

LAUNCHER = Path(__file__).parents[1] / "cache-strategy"


def has(package: str, lock: str) -> bool:
    """Whether `package` can be imported, if need be after preparing what `scripts/LOCK` names; says why where it cannot."""
    if importlib.util.find_spec(package) is not None:
        return True
    if not LAUNCHER.exists():
        return False
    launcher: Any = ModuleType("cache_strategy_launcher")
    launcher.__file__ = str(LAUNCHER)
    SourceFileLoader(launcher.__name__, str(LAUNCHER)).exec_module(launcher)
    home = Path(sys.prefix).parents[1]
    data = str(home.parent) if home.name == "environments" else None
    try:
        python = launcher.prepared_python(str(LAUNCHER.parent / lock), data)
    except (launcher.Unprepared, OSError) as reason:
        print(f"cache-strategy: {reason} Going on without {package}.", file=sys.stderr)
        return False
    sys.path += map(str, Path(python).parents[1].glob("[lL]ib/**/site-packages"))
    return importlib.util.find_spec(package) is not None
