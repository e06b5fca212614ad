"""
The probe: runs inside the recorded application and notes requests, statements, writes and cache events.

It changes nothing on disk but its journal, and nothing in the application's answers. Standard library only, Python
3.8 and later, and of that what is imported anyway (os, not pathlib): it runs in the application's process, which knows
this folder as `_cache_strategy_probe`. OpenTelemetry's instrumentations would have to be installed there, cost three times as much and
do not know what is needed here: `bench/README.md`.
"""

from __future__ import annotations

import os

FOLDER = "CACHE_STRATEGY_TRACE"
REPOSITORY = "CACHE_STRATEGY_REPO"
SALT = "CACHE_STRATEGY_SALT"
PLAIN = "CACHE_STRATEGY_PLAIN"
FUNCTIONS = "CACHE_STRATEGY_FUNCTIONS"
"""Candidate functions, a line each: path, colon, qualified name."""
LIMIT = "CACHE_STRATEGY_LIMIT"
"""Bytes that the journals of one recording may hold together; 0 for no limit."""


def start() -> None:
    """Begins to record, where the environment names a folder for it."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    from .frames import UserCode
    from .imports import watch_imports
    from .journal import Journal
    from .watchers import load_watchers

    limit = int(os.environ.get(LIMIT) or 0)
    journal = Journal(folder, os.environ.get(SALT, ""), plain=os.environ.get(PLAIN) == "1", limit=limit)
    watch_imports(load_watchers(), journal, UserCode(os.environ.get(REPOSITORY, "")))
