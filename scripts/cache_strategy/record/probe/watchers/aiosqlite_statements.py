"""aiosqlite: what it hands to its connection's thread knows there for which request it is, and whether it is counted already."""

from __future__ import annotations

from contextvars import copy_context
from types import ModuleType
from typing import Any

from ..databases import named_as
from ..frames import UserCode
from ..journal import Journal

MODULE = "aiosqlite.core"


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """The statements themselves are sqlite3's."""
    aiosqlite: Any = module
    connection = aiosqlite.Connection
    hand_over = connection._execute

    async def _execute(self: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await hand_over(self, copy_context().run, function, *args, **kwargs)

    connection._execute = named_as(_execute, hand_over)
