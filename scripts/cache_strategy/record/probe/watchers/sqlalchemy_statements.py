"""
SQLAlchemy 1.3 to 2.x: statements and their time per request; writes with their author, from their commit on.

At the methods of a dialect through which an engine reaches its driver. Events of SQLAlchemy's would tell the same, but having any makes
each of its statements and transactions several times dearer than what is done here.
"""

from __future__ import annotations

from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import Any

from ..databases import enter, is_inside, leave, named_as
from ..frames import UserCode
from ..journal import Journal, current_request
from ..statements import kind_and_tables
from ..writes import Writes

MODULE = "sqlalchemy"
PENDING = "cache_strategy_writes"
"""Key in a connection's `info`, which lives as long as the DBAPI connection."""
AUTOFLUSH = "_autoflush"
"""Writes what is pending before a query. Who queries is not who wrote: such a write is put down to who committed it."""
WRAPPED = "cache_strategy_watched"
"""Marks a dialect that reports to the journal."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the dialect of every engine that there will be, in the hook that SQLAlchemy has for dialects."""
    dialect: Any = import_module("sqlalchemy.engine.interfaces").Dialect
    watcher, original = _Watcher(Writes(journal, code)), dialect.engine_created.__func__

    def engine_created(cls: Any, engine: Any) -> None:
        original(cls, engine)
        if WRAPPED not in vars(engine.dialect):
            watcher.watch(engine.dialect)

    dialect.engine_created = classmethod(named_as(engine_created, original))


class _Watcher:
    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._waiting: set[int] = set()
        """Of the connections on which a write or savepoint waits, by their list: without any, the ends of transactions are not looked at."""

    def watch(self, dialect: Any) -> None:
        """On the instance: what a dialect overrides is its own."""
        setattr(dialect, WRAPPED, True)
        execute, many, bare = dialect.do_execute, dialect.do_executemany, dialect.do_execute_no_params
        dialect.do_execute, dialect.do_executemany = self._executing(execute), self._executing(many)
        # It has no parameters: two arguments and the context.
        counted = self._executing(
            lambda cursor, statement, parameters, context: bare(cursor, statement, context)
        )
        dialect.do_execute_no_params = lambda cursor, statement, context=None: counted(
            cursor, statement, (), context
        )
        commit, roll_back = self._writes.commit, self._writes.roll_back
        for name, then in (
            ("do_commit", commit),
            ("do_commit_twophase", commit),
            ("do_rollback", roll_back),
            ("do_rollback_twophase", roll_back),
        ):
            setattr(dialect, name, self._ending(getattr(dialect, name), then))
        savepoint, back = dialect.do_savepoint, dialect.do_rollback_to_savepoint

        def do_savepoint(connection: Any, name: str) -> None:
            savepoint(connection, name)
            pending = _pending_of(connection)
            pending.append(name)
            self._waiting.add(id(pending))

        def do_rollback_to_savepoint(connection: Any, name: str) -> None:
            back(connection, name)
            roll_back(_pending_of(connection), name)

        dialect.do_savepoint = do_savepoint
        dialect.do_rollback_to_savepoint = do_rollback_to_savepoint

    def _ending(self, original: Any, then: Any) -> Any:
        def end(connection: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(connection, *args, **kwargs)
            if self._waiting:
                pending = _pending_of(connection)
                then(pending)
                self._waiting.discard(id(pending))
            return result

        return end

    def _executing(self, original: Any) -> Any:
        note = self._writes.note

        def execute(cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
            if is_inside():
                original(cursor, statement, parameters, context)
                return
            token, clock = enter(True), perf_counter()
            try:
                original(cursor, statement, parameters, context)
            finally:
                leave(token)
            seconds = perf_counter() - clock
            what, tables = kind_and_tables(statement)
            request = current_request()
            if request is not None and what[0]:
                request.add_statement(what, seconds)
            if tables:
                conn = getattr(context, "root_connection", None)
                if conn is not None:
                    pending = _pending_of(conn)
                    note(pending, statement, tables, _commits_at_once(conn), through=AUTOFLUSH)
                    if pending:
                        self._waiting.add(id(pending))

        return execute


def _pending_of(connection: Any) -> list[Any]:
    """Of a pool's connection or a Connection; a driver's own and one that is being made have none."""
    try:
        info = connection.info
    except Exception:
        return []
    return info.setdefault(PENDING, []) if isinstance(info, dict) else []


def _commits_at_once(conn: Any) -> bool:
    """Whether the driver commits each statement by itself: sqlite3's, psycopg's and the MySQL drivers' ways to say so."""
    proxied = conn.connection
    raw: Any = getattr(proxied, "dbapi_connection", None) or getattr(proxied, "connection", None)
    in_transaction = getattr(raw, "in_transaction", None)
    if in_transaction is None:  # aiosqlite's is behind an adapter
        in_transaction = getattr(getattr(raw, "_connection", None), "in_transaction", None)
    if isinstance(in_transaction, bool):
        return not in_transaction
    autocommit = getattr(raw, "autocommit", None)
    if callable(getattr(raw, "get_autocommit", None)):
        autocommit = raw.get_autocommit()
    return autocommit is True
