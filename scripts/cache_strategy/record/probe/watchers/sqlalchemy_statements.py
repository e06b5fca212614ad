"""SQLAlchemy 1.3 to 2.x: statements and their time per request; writes with their author, from their commit on."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from ..frames import UserCode
from ..journal import Journal, current_request
from ..statements import shortened, tables_written

MODULE = "sqlalchemy"
PENDING = "cache_strategy_writes"
"""Key in a connection's `info`, which lives as long as the DBAPI connection."""
AUTOFLUSH = "_autoflush"
"""Writes what is pending before a query. Who queries is not who wrote: such a write is put down to who committed it."""
EVENTS = "before_cursor_execute after_cursor_execute commit commit_twophase rollback rollback_twophase savepoint rollback_savepoint"
WRAPPED = "cache_strategy_watched"
"""Marks a dialect whose `do_commit` reports to the journal."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Listens to every engine that there will be."""
    from sqlalchemy import event  # type: ignore[import-not-found,unused-ignore]
    from sqlalchemy.engine import Engine  # type: ignore[import-not-found,unused-ignore]

    watcher = _Watcher(journal, code)
    for name in EVENTS.split():
        event.listen(Engine, name, getattr(watcher, name))


class _Watcher:
    """Uncommitted writes wait in a connection's `info`, with the names of savepoints between them."""

    def __init__(self, journal: Journal, code: UserCode) -> None:
        self._journal = journal
        self._code = code

    def before_cursor_execute(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if context is not None:
            context.cache_strategy_began = time.perf_counter()

    def after_cursor_execute(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        request = current_request()
        if request is not None:
            request.statements += 1
            began = getattr(context, "cache_strategy_began", None)
            if began is not None:
                request.database_s += time.perf_counter() - began
        tables = tables_written(statement)
        if tables:
            self._note_write(conn, statement, tables)

    def _note_write(self, conn: Any, statement: str, tables: tuple[str, ...]) -> None:
        place, is_autoflush = self._code.innermost(through=AUTOFLUSH)
        record = {"kind": "write", "t": time.monotonic(), "tables": tables, "statement": shortened(statement)}
        record.update(place, autoflush=is_autoflush)
        if _commits_at_once(conn):
            self._journal.add(record)
            return
        pending = conn.info.setdefault(PENDING, [])
        if pending and _is_same(pending[-1], record):
            pending[-1] = record
        else:
            pending.append(record)

    def commit(self, conn: Any) -> None:
        """The event comes before the driver commits: the time counts once it has."""
        dialect = conn.dialect
        if WRAPPED in vars(dialect):
            return
        setattr(dialect, WRAPPED, True)
        original = dialect.do_commit

        def do_commit(connection: Any) -> Any:
            result = original(connection)
            self._committed(connection.info)
            return result

        dialect.do_commit = do_commit

    def commit_twophase(self, conn: Any, xid: Any, is_prepared: bool) -> None:
        self._committed(conn.info)

    def _committed(self, info: dict[str, Any]) -> None:
        pending = info.pop(PENDING, None)
        if not pending:
            return
        now = time.monotonic()
        place, _ = self._code.innermost()
        for record in pending:
            if isinstance(record, dict):
                record["t"] = now
                if record["autoflush"] and place["path"]:
                    record.update(place)
                self._journal.add(record)

    def rollback(self, conn: Any) -> None:
        self._rolled_back(conn.info.pop(PENDING, None) or [])

    def rollback_twophase(self, conn: Any, xid: Any, is_prepared: bool) -> None:
        self.rollback(conn)

    def savepoint(self, conn: Any, name: str | None) -> None:
        """The event comes before SQLAlchemy numbers the savepoint, so its next name is worked out here."""
        if name is None:
            name = f"sa_savepoint_{getattr(conn, '_Connection__savepoint_seq', 0) + 1}"
        conn.info.setdefault(PENDING, []).append(name)

    def rollback_savepoint(self, conn: Any, name: str, context: Any) -> None:
        pending = conn.info.get(PENDING) or []
        places = [place for place, item in enumerate(pending) if item == name]
        if not places:
            places = [place for place, item in enumerate(pending) if isinstance(item, str)] or [0]
        undone, pending[places[-1] :] = pending[places[-1] :], []
        self._rolled_back(undone)

    def _rolled_back(self, records: list[Any]) -> None:
        for record in records:
            if isinstance(record, dict):
                record["rolled_back"] = True
                self._journal.add(record)


def _is_same(before: Any, record: dict[str, object]) -> bool:
    """A batch gives one statement per page of rows: one line is enough, and memory stays bounded."""
    return isinstance(before, dict) and all(
        before[name] == record[name] for name in ("tables", "path", "line", "statement")
    )


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
