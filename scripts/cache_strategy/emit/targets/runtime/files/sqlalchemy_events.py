"""
Invalidates the cache when SQLAlchemy writes: after the commit, and only if it happened.

    sqlalchemy_events.watch(cache, {"users": "id", "order_lines": None})

Every statement that any engine of this process executes is looked at once it succeeded, so it does not matter who
writes: the unit of work, bulk operations, Core, text, DDL, ON DELETE CASCADE of a declared foreign key. Tags collect
in the transaction and get their new versions after its outermost commit; a rollback drops them. While a write is not
committed, this thread's reads of what depends on it go past the cache.

Not seen: writes by other programs, by triggers and stored functions that a SELECT calls, and through a DB-API
connection that did not come from `Connection` or `Session`. Call `cache.invalidate("table")` after those.

Works with SQLAlchemy 1.3 to 2.1.
"""

from __future__ import annotations

import functools
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import MetaData, Table, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, mapperlib, object_mapper
from sqlalchemy.pool import Pool
from sqlalchemy.sql.expression import Delete, Insert, Update

from .runtime import Cache, tag_names
from .sql_text import TablesInText
from .sqlalchemy_sql import rows_of, tables_of

T = TypeVar("T")
MAX_ROWS = 100  # assumed: a transaction that writes more rows of a table invalidates all of it
COMMIT_SECONDS = 2.0  # assumed: no commit of a connection without a session takes longer


def watch(
    cache: Cache,
    tables: Mapping[str, str | None],
    metadata: Iterable[MetaData] = (),
    columns: Iterable[str] = (),
) -> Watcher:
    """
    Invalidate `cache` at every write of these tables, from now on, through any engine of this process.

    Args:
        tables: names as the database has them, each with its primary key column, or None where no entry depends on
            single rows.
        metadata: where foreign keys are declared, besides those of mapped classes.
        columns: others by whose value entries depend on rows ("comments.article_id"), of those tables.
    """
    watcher = Watcher(cache, tables, metadata, columns)
    if cache.is_on:
        watcher.start()
    return watcher


class ConnectionState:
    """What one database connection has done in its current transaction."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.session: Callable[[], Session | None] = lambda: None
        self.connection: Callable[[], Connection | None] = lambda: None
        self.tags: set[str] = set()
        self.announced: set[str] = set()  # invalidated by a session whose commit was not the connection's
        self.committed: set[str] = set()  # being committed, without a session to say when that is done
        self.is_committing = False
        self.held_until = 0
        self.reads: dict[str, Any] = {}  # what its transaction has read outside of answers


class SessionState:
    """What one session has written in its current transaction, and what to do once it has committed."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.callbacks: list[Callable[[], None]] = []
        self.connections: list[ConnectionState] = []
        self.kept_since: float | None = None  # the oldest transaction whose objects it may still hold


class Here(threading.local):
    """What this thread has open."""

    def __init__(self) -> None:
        self.connections: set[ConnectionState] = set()
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class Watcher:
    """The listeners of one cache. Made by `watch`; `stop()` takes them away."""

    def __init__(
        self,
        cache: Cache,
        tables: Mapping[str, str | None],
        metadata: Iterable[MetaData],
        columns: Iterable[str] = (),
    ) -> None:
        self.cache = cache
        self.tables = dict(tables)
        self.columns: dict[str, list[str]] = {}
        for name in columns:
            table, _, column = name.rpartition(".")
            self.columns.setdefault(table, []).append(column)
        self.metadata: weakref.WeakSet[MetaData] = weakref.WeakSet(metadata)
        self.here = Here()
        self.tables_in_text = functools.lru_cache(maxsize=1000)(TablesInText(tables, self._children_by_name))
        self._everything = {tag for table in tables for tag in self._tags(table, None)}
        listeners: list[tuple[Any, str, Callable[..., Any]]] = [
            (Engine, "before_cursor_execute", self._before_cursor_execute),
            (Engine, "after_cursor_execute", self._after_cursor_execute),
            (Engine, "after_execute", self._after_execute),
            (Engine, "commit", self._connection_commits),
            (Engine, "commit_twophase", self._connection_commits),
            (Engine, "rollback", self._connection_rolls_back),
            (Engine, "rollback_twophase", self._connection_rolls_back),
            (Pool, "checkin", self._connection_returns),
            (Session, "after_transaction_create", self._transaction_created),
            (Session, "after_begin", self._session_begins),
            (Session, "after_commit", self._session_committed),
            (Session, "after_transaction_end", self._transaction_ended),
        ]
        self._listeners: list[tuple[Any, str, Callable[..., Any]]] = [
            (target, name, self._harmless(function)) for target, name, function in listeners
        ]

    def start(self) -> None:
        for target, name, function in self._listeners:
            event.listen(target, name, function)
        # where they fail, nothing is stored and nothing is read
        self.cache.snapshot_began = _or_else(self.snapshot_began, 0.0)
        self.cache.pending_tags = _or_else(self._pending_tags, self._everything)
        self.cache.after_commit = self._call_after_commit

    def listen(self, target: Any, name: str, function: Callable[..., Any]) -> None:
        """One more listener, until `stop()`."""
        event.listen(target, name, function)
        self._listeners.append((target, name, function))

    def stop(self) -> None:
        for target, name, function in self._listeners:
            if event.contains(target, name, function):
                event.remove(target, name, function)

    def _harmless(self, function: Callable[..., None]) -> Callable[..., None]:
        """A listener that never stops the application's own work: where it fails, everything is invalidated."""

        def listener(*arguments: Any) -> None:
            try:
                function(*arguments)
            except Exception as error:
                warnings.warn(
                    f"{function.__name__}: {error!r}; invalidated everything instead.", RuntimeWarning, 2
                )
                # a commit that follows soon is covered, too
                self.cache.bump(self._everything, hold_seconds=COMMIT_SECONDS)

        return listener

    # What the cache asks.

    def snapshot_began(self) -> float | None:
        times = [state.began for state in self.here.connections if state.began is not None]
        for session in list(self.here.sessions):
            state = self.state_of(session)
            if state.kept_since is not None:
                if len(session.identity_map):
                    times.append(state.kept_since)
                else:
                    state.kept_since = None
        return min(times) if times else None

    def _pending_tags(self) -> set[str]:
        tags: set[str] = set()
        tags = tags.union(*(state.tags for state in self.here.connections if state.began is not None))
        for session in list(self.here.sessions):
            tags |= self.state_of(session).tags
            for instance in [*session.new, *session.dirty, *session.deleted]:
                for table in object_mapper(instance).tables:
                    tags |= self._tags(self.watched(table), None)
        return tags

    def _call_after_commit(self, session: Any, function: Callable[[], None]) -> None:
        session = getattr(session, "sync_session", session)  # AsyncSession
        session = session if isinstance(session, Session) else session()  # scoped_session
        state = self.state_of(session)
        state.callbacks.append(function)
        if not any(connection.began is not None for connection in state.connections):
            function()  # nothing is open: the commit may be over already

    def state_of(self, session: Session) -> SessionState:
        state: SessionState = session.info.setdefault(self, SessionState())
        return state

    # Sessions.

    def _transaction_created(self, session: Session, transaction: Any) -> None:
        self.here.sessions.add(session)

    def _session_begins(self, session: Session, transaction: Any, connection: Connection) -> None:
        self._transaction_created(session, transaction)
        state = self.connection_state(connection)
        state.session = weakref.ref(session)
        if state not in self.state_of(session).connections:
            self.state_of(session).connections.append(state)

    def _session_committed(self, session: Session) -> None:
        if _is_nested(session):
            return  # a savepoint was released
        state = self.state_of(session)
        tags, callbacks = state.tags, state.callbacks
        state.tags, state.callbacks = set(), []
        for connection in state.connections:
            if not connection.is_committing:  # inside a transaction of someone else's
                connection.announced |= tags
            connection.tags = set()
        self._bump(tags)
        for callback in callbacks:
            callback()

    def _transaction_ended(self, session: Session, transaction: Any) -> None:
        if transaction.parent is not None:
            return
        state = self.state_of(session)
        if not session.expire_on_commit and len(session.identity_map):
            began = [connection.began for connection in state.connections]
            state.kept_since = min(filter(None, [*began, state.kept_since, self.cache.clock()]))
        for connection in state.connections:
            connection.session = lambda: None
            if connection.is_committing:
                self._close(connection)
        state.tags, state.callbacks, state.connections = set(), [], []

    # Connections.

    def connection_state(self, connection: Connection) -> ConnectionState:
        state: ConnectionState = connection.info.setdefault(self, ConnectionState())
        return state

    def _connection_commits(self, connection: Connection, *_: object) -> None:
        # SQLAlchemy tells this just before the commit and, without a session, nothing just after it.
        state = self.connection_state(connection)
        state.is_committing = True
        unheard = state.announced if state.session() is not None else state.announced | state.tags
        state.announced = set()
        if unheard:
            state.held_until = self._bump(unheard, hold_seconds=COMMIT_SECONDS)
            state.committed |= unheard
        if state.session() is None:
            state.tags = set()
            self._close(state)

    def _connection_rolls_back(self, connection: Connection, *_: object) -> None:
        if not connection.closed:  # before 1.4; its return to the pool follows
            self._roll_back(self.connection_state(connection))

    def _roll_back(self, state: ConnectionState) -> None:
        # a commit that fails on the way may have happened
        self._bump(state.announced | state.tags if state.is_committing else state.announced)
        state.tags, state.announced = set(), set()
        self._close(state)

    def _close(self, state: ConnectionState) -> None:
        state.began, state.is_committing, state.reads = None, False, {}
        self.here.connections.discard(state)

    def _connection_returns(self, dbapi_connection: object, record: Any) -> None:
        state: ConnectionState | None = record.info.pop(self, None)
        if state is not None:
            self._finish_commit(state)
            self._roll_back(state)

    def _finish_commit(self, state: ConnectionState) -> None:
        if state.committed:
            tags, state.committed = state.committed, set()
            self._bump(tags, release=state.held_until)

    def _wrote(self, connection: Connection, tags: set[str]) -> None:
        if not tags:
            return
        if connection.closed:
            self._bump(tags)
            return  # before 2.0: `engine.execute` has committed and closed it by now
        if not connection.in_transaction() or _commits_at_once(connection):
            self._bump(tags)
        state = self.connection_state(connection)
        session = state.session()
        if session is not None:
            self.state_of(session).tags |= tags
        state.tags |= tags

    def _bump(self, tags: set[str], hold_seconds: float = 0, release: int = 0) -> int:
        for name in {tag.partition(":")[0] for tag in tags} if len(tags) > MAX_ROWS else ():
            rows = {tag for tag in tags if tag.startswith(name + ":")}
            if len(rows) > MAX_ROWS:
                tags = (tags - rows) | tag_names(name)
        return self.cache.bump(tags, hold_seconds=hold_seconds, release=release)

    # Statements.

    def _before_cursor_execute(self, connection: Connection, *_: object) -> None:
        """The first statement of a transaction is where it begins to see the database, whoever began it and how."""
        state = self.connection_state(connection)
        self._finish_commit(state)
        state.connection = weakref.ref(connection)
        if state.began is None and not _commits_at_once(connection):
            state.began = self.cache.clock()
            self.here.connections.add(state)

    def _after_execute(self, connection: Connection, statement: Any, *rest: Any) -> None:
        result = rest[-1]  # 1.4 put one more argument before it
        context = getattr(result, "context", None)
        if isinstance(statement, (Insert, Update, Delete)):
            try:
                tags = self._tags_of_statement(statement, context, result)
            except Exception as error:
                warnings.warn(f"{error!r} in {statement}; it invalidates everything.", RuntimeWarning, 2)
                tags = self._everything
            self._wrote(connection, tags)

    def _after_cursor_execute(
        self, connection: Connection, cursor: object, text: str, parameters: object, context: Any, many: bool
    ) -> None:
        compiled = getattr(context, "compiled", None)
        statement = getattr(compiled, "statement", None)
        if isinstance(statement, (Insert, Update, Delete)) and not getattr(compiled, "ctes", None):
            return  # `_after_execute` knows more
        self._wrote(connection, {t for table in self.tables_in_text(text) for t in self._tags(table, None)})

    def _tags_of_statement(self, statement: Any, context: Any, result: Any) -> set[str]:
        tags: set[str] = set()
        for written in tables_of(statement.table):
            table = written.metadata.tables.get(written.key, written)  # the ORM writes an annotated copy
            self.metadata.add(table.metadata)
            name = self.watched(table)
            for column in () if name is None else (self.tables[name], *self.columns.get(name, ())):
                is_key = column == self.tables[name or ""]
                rows = None if column is None else rows_of(statement, table, column, is_key, context, result)
                known_as = name if is_key else f"{name}.{column}"
                for row in [None] if rows is None else rows:
                    tags |= tag_names(str(known_as) if row is None else (str(known_as), row))
            if isinstance(statement, Delete):
                tags |= self.tags_of_children(table, "ondelete")
            elif isinstance(statement, Update):
                tags |= self.tags_of_children(table, "onupdate")
        return tags

    def tags_of_children(self, table: Table, action: str, everything: bool = False) -> set[str]:
        """Tags of the tables that the database changes along with this one, through declared foreign keys."""
        tags: set[str] = set()
        seen, waiting = {table.key}, [table]
        while waiting:
            parent = waiting.pop()
            for child in parent.metadata.tables.values():
                for foreign_key in child.foreign_keys:
                    what = (getattr(foreign_key, action) or "").upper()
                    if not everything and what not in ("CASCADE", "SET NULL", "SET DEFAULT"):
                        continue
                    try:
                        is_child = foreign_key.column.table is parent
                    except SQLAlchemyError:  # the parent is not declared
                        continue
                    if is_child:
                        tags |= self._tags(self.watched(child), None)
                        if child.key not in seen and (everything or what == "CASCADE"):
                            seen.add(child.key)
                            waiting.append(child)
        return tags

    def watched(self, table: Any) -> str | None:
        """The name under which a table is watched."""
        for name in (getattr(table, "fullname", None), getattr(table, "name", None)):
            if name in self.tables:
                return str(name)
        return None

    def _tags(self, table: str | None, row: object) -> set[str]:
        """Of one row by its primary key, or with None of all rows by whatever they are known."""
        names = (
            () if table is None else (table, *(f"{table}.{column}" for column in self.columns.get(table, ())))
        )
        return set().union(*(tag_names((name, row)) for name in (names if row is None else names[:1])))

    def _children_by_name(self, names: set[str], everything: bool) -> set[str]:
        self.metadata |= {mapper.local_table.metadata for mapper in mappers()}
        parents = [t for m in self.metadata for t in m.tables.values() if self.watched(t) in names]
        if {self.watched(table) for table in parents} != names:
            return set(self.tables)  # foreign keys unknown
        tags: set[str] = set()
        for parent in parents:
            tags |= self.tags_of_children(parent, "ondelete", everything)
        return tags & set(self.tables)


def _or_else(function: Callable[[], T], otherwise: T) -> Callable[[], T]:
    def call() -> T:
        try:
            return function()
        except Exception as error:
            warnings.warn(f"{error!r}; going past the cache instead.", RuntimeWarning, 2)
            return otherwise

    return call


def _commits_at_once(connection: Any) -> bool:
    """Whether the driver commits every statement."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    driver = getattr(connection.connection, "dbapi_connection", connection.connection)
    return getattr(driver, "autocommit", False) is True


def _is_nested(session: Any) -> bool:
    if hasattr(session, "in_nested_transaction"):  # 1.4
        return bool(session.in_nested_transaction())
    return bool(session.transaction is not None and session.transaction.nested)


def mappers() -> list[Any]:
    """The mappers of all mapped classes."""
    registries = list(getattr(mapperlib, "_mapper_registries", ()))  # 1.4
    return [mapper for registry in registries for mapper in registry.mappers] or list(
        getattr(mapperlib, "_mapper_registry", ())
    )
