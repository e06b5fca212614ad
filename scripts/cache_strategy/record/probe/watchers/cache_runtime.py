"""The emitted caches: hits, misses, mismatches and invalidations."""

# ruff: noqa: PTH118, PTH120

from __future__ import annotations

import functools
import os
import time
from types import ModuleType
from typing import Any

from ..frames import UserCode
from ..journal import Journal, current_request

MODULE = ""
METHODS = ("entry", "invalidate", "metrics", "metrics_prometheus")
"""What the class Cache of an emitted runtime has, by which it is known whatever its file is called."""
EMITTED = (
    "values.py",
    "keys.py",
    "records.py",
    "wire.py",
    "protocol.py",
    "address.py",
    "lua.py",
    "link.py",
    "turns.py",
    "watching.py",
    "computing.py",
    "sql_text.py",
    "sql_doubts.py",
    "sql_reads.py",
    "statements.py",
    "sqlalchemy_sql.py",
    "sqlalchemy_statements.py",
    "django_statements.py",
    "sqlalchemy_events.py",
    "django_events.py",
    "django_sql.py",
    "asyncio_events.py",
    "flask_http.py",
    "django_http.py",
    "fastapi_http.py",
    "flask_caching_entry.py",
    "sql_views.py",
    "entries.py",
    "warm.py",
)
"""Files that `emit` writes beside a runtime: their frames stand between the user's code and the database."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Listens to every cache that an emitted runtime makes."""
    if not _is_runtime(module):
        return
    if module.__file__:
        folder = os.path.dirname(module.__file__)
        code.leave_out([module.__file__, *(os.path.join(folder, name) for name in EMITTED)])
    runtime: Any = module
    initialise = runtime.Cache.__init__

    def listen(event: dict[str, Any]) -> None:
        now = time.monotonic()
        request = current_request()
        record: dict[str, object] = {
            "kind": "cache",
            "t": now,
            "event": event.get("event"),
            "entry": event.get("entry") or "",
            "key": journal.veil(event["key"]) if event.get("key") else "",
            "group": request.group if request is not None else "",
        }
        stored, said = event.get("stored_t"), event.get("t")
        if stored is not None and said is not None:
            # The application may give its cache another clock: only the age is taken from it.
            record["stored_t"] = now - (float(said) - float(stored))
        for name in ("served", "origin"):
            if event.get(name):
                record[name] = journal.veil(event[name])
        if event.get("tags"):
            record["tags"] = [str(tag) for tag in event["tags"]]
        if event.get("reason"):
            record["reason"] = str(event["reason"])
        journal.add(record)

    @functools.wraps(initialise)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        listeners = getattr(self, "listeners", None)
        if isinstance(listeners, list):
            listeners.append(listen)

    runtime.Cache.__init__ = __init__


def _is_runtime(module: ModuleType) -> bool:
    cache = getattr(module, "Cache", None)
    return (
        isinstance(cache, type)
        and cache.__module__ == module.__name__
        and all(hasattr(cache, name) for name in METHODS)
    )
