"""
The libraries that the probe watches, one file each.

A watcher states `MODULE`, the modules after whose import it begins ("" to be shown every module of the user's
repository), and has `watch(module, journal, code)`.
"""

# ruff: noqa: PTH120, PTH208

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def load_watchers() -> list[Any]:
    """Every watcher of this folder, in name order."""
    names = sorted(name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py"))
    return [import_module(f"{__name__}.{name}") for name in names if not name.startswith("_")]
