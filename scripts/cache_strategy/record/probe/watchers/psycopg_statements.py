"""psycopg 3 and 2: statements of their cursors, in threads and tasks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..databases import Statements, is_inside, named_as
from ..frames import UserCode
from ..journal import Journal

MODULE = "psycopg psycopg2"
IDLE = 0
"""Of libpq and psycopg2 alike: no transaction has begun."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the methods of psycopg's classes; psycopg2's are C's, so that cursors are of a class below them."""
    if module.__name__ == "psycopg2":
        _watch_2(module, journal, code)
        return
    psycopg: Any = module
    statements = Statements(journal, code, lambda c: int(c.info.transaction_status) != IDLE)
    for name in ("Cursor", "AsyncCursor", "ServerCursor", "AsyncServerCursor"):
        kind = getattr(psycopg, name)
        wrap = statements.wrapped_async if name.startswith("Async") else statements.wrapped
        for method in ("execute", "executemany"):
            if method in vars(kind):
                setattr(kind, method, wrap(getattr(kind, method), _connection, _text))
    kind = next((base for base in psycopg.Connection.__mro__ if "_exec_command" in vars(base)), None)
    if kind is not None:
        # What commit(), rollback() and transaction() send, in threads and tasks.
        original = kind._exec_command

        def _exec_command(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
            result = yield from original(self, command, *args, **kwargs)
            if statements.waits or not isinstance(command, bytes) or command[:1] == b"S":
                statements.command(self, command.decode() if isinstance(command, bytes) else str(command))
            return result

        kind._exec_command = named_as(_exec_command, original)


def _connection(cursor: Any) -> Any:
    return cursor.connection


def _text(cursor: Any, query: Any) -> Any:
    return query.as_string(cursor) if hasattr(query, "as_string") else query


def _watch_2(module: Any, journal: Journal, code: UserCode) -> None:
    extensions = module.extensions
    statements = Statements(journal, code, lambda c: not c.autocommit)
    connect, made = module.connect, {}

    def watched_class(original: Any, methods: dict[str, Any]) -> Any:
        made[original] = type(original.__name__, (original,), {"__module__": original.__module__, **methods})
        return made[original]

    def cursor_class(original: Any) -> Any:
        methods = {
            name: statements.wrapped(getattr(original, name), _connection, _text)
            for name in ("execute", "executemany")
        }
        return watched_class(original, methods)

    make_cursor = extensions.connection.cursor

    def cursor(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            kind = kwargs.get("cursor_factory") or self.cursor_factory or extensions.cursor
            kwargs["cursor_factory"] = made.get(kind) or cursor_class(kind)
        return make_cursor(self, *args, **kwargs)

    def commit(self: Any) -> None:
        extensions.connection.commit(self)
        statements.commit(self)

    def rollback(self: Any) -> None:
        extensions.connection.rollback(self)
        statements.roll_back(self)

    def __exit__(self: Any, kind: Any, *about: Any) -> Any:
        result = extensions.connection.__exit__(self, kind, *about)
        (statements.commit if kind is None else statements.roll_back)(self)
        return result

    methods = {"cursor": cursor, "commit": commit, "rollback": rollback, "__exit__": __exit__}

    def watched_connect(*args: Any, **kwargs: Any) -> Any:
        if not is_inside() and not kwargs.get("connection_factory"):
            kind = extensions.connection
            kwargs["connection_factory"] = made.get(kind) or watched_class(kind, methods)
        return connect(*args, **kwargs)

    module.connect = named_as(watched_connect, connect)
