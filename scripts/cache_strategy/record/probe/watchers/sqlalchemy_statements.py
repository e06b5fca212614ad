"""SQLAlchemy 1.3 to 2.x: statements and their time per request; writes with their author, from their commit on."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from ..databases import enter
from ..frames import UserCode
from ..journal import Journal, current_request
from ..statements import kind_and_tables
from ..writes import Writes

MODULE = "sqlalchemy"
PENDING = "cache_strategy_writes"
"""Key in a connection's `info`, which lives as long as the DBAPI connection."""
AUTOFLUSH = "_autoflush"
"""Writes what is pending before a query. Who queries is not who wrote: such a write is put down to who committed it."""
EVENTS = (
    "before_cursor_execute after_cursor_execute handle_error commit commit_twophase rollback rollback_twophase savepoint "
    "rollback_savepoint"
)
WRAPPED = "cache_strategy_watched"
"""Marks a dialect whose `do_commit` reports to the journal."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Listens to every engine that there will be."""
    from sqlalchemy import event  # type: ignore[import-not-found,unused-ignore]  # the user's, not in our environment
    from sqlalchemy.engine import Engine  # type: ignore[import-not-found,unused-ignore]  # the user's, not in our environment

    watcher = _Watcher(Writes(journal, code))
    for name in EVENTS.split():
        event.listen(Engine, name, getattr(watcher, name))


class _Watcher:
    def __init__(self, writes: Writes) -> None:
        self._writes = writes

    def before_cursor_execute(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        enter(True)
        if context is not None:
            context.cache_strategy_began = time.perf_counter()

    def after_cursor_execute(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        enter(False)
        what, tables = kind_and_tables(statement)
        request = current_request()
        if request is not None:
            began = getattr(context, "cache_strategy_began", None)
            request.add_statement(what, 0.0 if began is None else time.perf_counter() - began)
        if tables:
            pending = conn.info.setdefault(PENDING, [])
            self._writes.note(pending, statement, tables, _commits_at_once(conn), through=AUTOFLUSH)

    def handle_error(self, context: Any) -> None:
        enter(False)

    def commit(self, conn: Any) -> None:
        """The event comes before the driver commits: the time counts once it has."""
        dialect = conn.dialect
        if WRAPPED in vars(dialect):
            return
        setattr(dialect, WRAPPED, True)
        original = dialect.do_commit

        def do_commit(connection: Any) -> Any:
            result = original(connection)
            self._writes.commit(connection.info.get(PENDING) or [])
            return result

        dialect.do_commit = do_commit

    def commit_twophase(self, conn: Any, xid: Any, is_prepared: bool) -> None:
        self._writes.commit(conn.info.get(PENDING) or [])

    def rollback(self, conn: Any) -> None:
        pending = conn.info.get(PENDING)
        if pending:
            self._writes.roll_back(pending)

    def rollback_twophase(self, conn: Any, xid: Any, is_prepared: bool) -> None:
        self.rollback(conn)

    def savepoint(self, conn: Any, name: str | None) -> None:
        """The event comes before SQLAlchemy numbers the savepoint, so its next name is worked out here."""
        if name is None:
            name = f"sa_savepoint_{getattr(conn, '_Connection__savepoint_seq', 0) + 1}"
        conn.info.setdefault(PENDING, []).append(name)

    def rollback_savepoint(self, conn: Any, name: str, context: Any) -> None:
        self._writes.roll_back(conn.info.get(PENDING) or [], name)


def _commits_at_once(conn: Any) -> bool:
    """Whether the driver commits each statement by itself: sqlite3's, psycopg's and the MySQL drivers' ways to say so."""
    proxied = conn.connection
    raw: Any = getattr(proxied, "dbapi_connection", None) or getattr(proxied, "connection", None)
    in_transaction = getattr(raw, "in_transaction", None)
    if isinstance(in_transaction, bool):
        return not in_transaction
    autocommit = getattr(raw, "autocommit", None)
    if callable(getattr(raw, "get_autocommit", None)):
        autocommit = raw.get_autocommit()
    return autocommit is True
