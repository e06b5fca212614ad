"""asyncpg: statements of its connections and of what they prepared; transactions are statements, too."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..databases import Statements
from ..frames import UserCode
from ..journal import Journal

MODULE = "asyncpg.connection asyncpg.prepared_stmt"


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps what sends a statement."""
    statements = Statements(journal, code, lambda connection: bool(connection.is_in_transaction()))
    asyncpg: Any = module
    is_prepared = hasattr(asyncpg, "PreparedStatement")
    kind = asyncpg.PreparedStatement if is_prepared else asyncpg.Connection
    of = (
        (lambda p: p._connection, lambda p, _: p.get_query())
        if is_prepared
        else (lambda c: c, lambda c, query: query)
    )
    for method in ("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany"):
        if method in vars(kind):
            setattr(kind, method, statements.wrapped_async(getattr(kind, method), *of))
