"""sqlite3: statements of connections and cursors; its types are C's, so that connections are of a class below them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ..databases import Statements, named_as
from ..frames import UserCode
from ..journal import Journal

MODULE = "sqlite3.dbapi2"
WATCHED_ABOVE = ("sqlalchemy.", "django.")
"""They say themselves what they execute."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Gives every connection that there will be a class of ours."""
    sqlite: Any = module
    statements = Statements(journal, code, lambda connection: bool(connection.in_transaction))
    connect, made = sqlite.connect, {}

    def watched_connect(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith(WATCHED_ABOVE) or len(args) > 5:
            return connect(*args, **kwargs)
        factory = kwargs.get("factory") or sqlite.Connection
        if isinstance(factory, type):
            if factory not in made:
                made[factory] = _watched(factory, sqlite, statements)
            kwargs["factory"] = made[factory]
        return connect(*args, **kwargs)

    sqlite.connect = named_as(watched_connect, connect)


def _watched(factory: Any, sqlite: Any, statements: Statements) -> Any:
    class Cursor(sqlite.Cursor):  # type: ignore[misc]  # the base is known at run time only
        execute = statements.wrapped(sqlite.Cursor.execute, _connection, _text)
        executemany = statements.wrapped(sqlite.Cursor.executemany, _connection, _text)
        executescript = statements.wrapped(sqlite.Cursor.executescript, _connection, _text)

    class Connection(factory):  # type: ignore[misc]  # the base is known at run time only
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(*args, **kwargs) if args or kwargs else super().cursor(Cursor)

        # C's own make a cursor of theirs.
        def execute(self, *args: Any) -> Any:
            return self.cursor().execute(*args)

        def executemany(self, *args: Any) -> Any:
            return self.cursor().executemany(*args)

        def executescript(self, *args: Any) -> Any:
            return self.cursor().executescript(*args)

        def commit(self) -> None:
            super().commit()
            statements.commit(self)

        def rollback(self) -> None:
            super().rollback()
            statements.roll_back(self)

        def __exit__(self, kind: Any, *about: Any) -> Any:
            result = super().__exit__(kind, *about)
            (statements.commit if kind is None else statements.roll_back)(self)
            return result

    for made, original in ((Cursor, sqlite.Cursor), (Connection, factory)):
        made.__name__, made.__qualname__, made.__module__ = (
            original.__name__,
            original.__qualname__,
            original.__module__,
        )
    return Connection


def _connection(cursor: Any) -> Any:
    return cursor.connection


def _text(cursor: Any, query: Any) -> Any:
    return query
