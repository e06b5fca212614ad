"""
Gives SELECTs of SQLAlchemy their rows from what is kept, while an answer is made.

    statements = sqlalchemy_statements.keep(watcher, Statements(cache, watcher.tables, watcher.columns))

Executed as ever are those of server-side cursors and streams, of isolation levels that see more than each statement's own
moment, on connections on which somebody has said SET, and of engines that do something at every checkout.
"""

from __future__ import annotations

import weakref
from typing import Any, cast

from sqlalchemy.engine import Engine
from sqlalchemy.orm import class_mapper

from .runtime import tag_names
from .sql_doubts import doubt_about, unsettles
from .sqlalchemy_events import Watcher, mappers
from .statements import Rows, Statements, add

SHORT_VIEWS = (None, "READ COMMITTED", "AUTOCOMMIT")  # at which each statement sees what is committed


def keep(watcher: Watcher, statements: Statements) -> Statements:
    """Give SELECTs their rows from there, until the watcher stops."""
    if watcher.cache.is_on:
        Keeper(watcher, statements)
    return statements


class Keeper:
    """The listeners. What a thread has read before an answer is known by what its watcher has seen."""

    def __init__(self, watcher: Watcher, statements: Statements) -> None:
        self.watcher = watcher
        self.statements = statements
        self._engines: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()
        statements.before, statements.execute = self._before, self._execute
        watcher.listen(Engine, "do_execute", self._given)
        for name in ("do_executemany", "do_execute_no_params"):
            watcher.listen(Engine, name, lambda cursor, text, *_: statements.passed(text))

    def _given(self, cursor: Any, text: str, params: Any, context: Any) -> bool | None:
        """True where the rows of a SELECT were there already, or are there now; else it is to be executed."""
        statements, connection = self.statements, cast("Any", getattr(context, "root_connection", None))
        try:
            info = connection.info
        except (NotImplementedError, AttributeError):
            return None  # an engine is being made
        if type(info) is not dict:
            return None
        if unsettles(text):
            info["is_unsettled"] = True
        database = self._engines.setdefault(connection.engine, object())
        driver = cursor.connection if hasattr(cursor, "connection") else None

        def doubt() -> str:
            return doubt_about(context.dialect.name, driver, self.watcher.tables, self._children_of)

        if not _is_plain(connection, context) or statements.is_in_doubt(database, doubt):
            statements.passed(text)
            return None
        done: list[tuple[Any, Any]] = []

        def fetch() -> tuple[Any, Any]:
            done.append(())  # type: ignore[arg-type]
            context.dialect.do_execute(cursor, text, params, context)
            rows = [row if type(row) is tuple else tuple(row) for row in cursor.fetchall()]
            done[0] = rows, cursor.description
            return done[0]

        try:
            given = statements.rows(database, text, params, fetch)
        except Exception as error:
            if done and not done[0]:
                raise  # it is the database's
            statements.failed(error)
            given = done[0] if done else None
        if given is None:
            state = self.watcher.connection_state(connection)
            if statements.scope.get() is None:
                statements.outside(text, params)
                if state.began is not None:
                    add(state.reads, statements.tags(text, params))
            return None
        context.cursor = Rows(*given, cursor)
        return True

    def _execute(self, database: Any, text: str, params: Any) -> list[Any]:
        """On the connection that this thread has open, if any: the pool may have no other."""
        engine = next(engine for engine, name in list(self._engines.items()) if name is database)
        for state in self.watcher.here.connections:
            connection = state.connection()
            if connection is not None and connection.engine is engine and not connection.closed:
                return _rows(connection, text, params)
        with engine.connect() as connection:
            return _rows(connection, text, params)

    def _before(self) -> tuple[float | None, list[Any]]:
        """Since when what this thread holds of the database was read, and what that is."""
        reads = [connection.reads for connection in self.watcher.here.connections]
        for session in list(self.watcher.here.sessions):
            if self.watcher.state_of(session).kept_since is not None:  # what it holds, nobody knows any more
                reads.append(dict.fromkeys(self.watcher.tables))
            for mapper_class, key, *_ in list(session.identity_map.keys()):
                for table in filter(None, map(self.watcher.watched, class_mapper(mapper_class).tables)):
                    tags = tag_names((table, key[0])) - {table} if len(key) == 1 else None
                    reads.append({table: None if tags is None else frozenset({*tags, f"{table}:*"})})
        return self.watcher.snapshot_began(), reads

    def _children_of(self, name: str) -> set[str]:
        """The tables of which rows go with those of another, as far as it is declared."""
        self.watcher.metadata |= {mapper.local_table.metadata for mapper in mappers()}
        parents = [t for m in self.watcher.metadata for t in m.tables.values() if t.name == name]
        return {tag for parent in parents for tag in self.watcher.tags_of_children(parent, "ondelete")}


def _is_plain(connection: Any, context: Any) -> bool:
    """Whether a statement gives what is committed when it is executed, to whoever asks, and all at once."""
    dialect, options = context.dialect, {**connection.get_execution_options(), **context.execution_options}
    level = options.get("isolation_level") or getattr(dialect, "_on_connect_isolation_level", None)
    level = level or getattr(dialect, "isolation_level", None)  # 1.3
    return not (
        connection.info.get("is_unsettled")
        or getattr(context, "_is_server_side", False)
        or options.get("stream_results")
        or options.get("yield_per")
        or (level and level.upper().replace("_", " ") not in SHORT_VIEWS)
        or connection.engine.pool.dispatch.checkout  # somebody may say SET there
    )


def _rows(connection: Any, text: str, params: Any) -> list[Any]:
    result = getattr(connection, "exec_driver_sql", connection.execute)(text, params)  # 1.4
    return [tuple(row) for row in result]
