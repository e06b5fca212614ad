"""
Invalidates the cache when Django writes: after the commit, and only if it happened.

    django_events.watch(cache, {"articles_article": "id", "articles_article_tags": None})

Every statement that a Django connection of this process executes is looked at once it succeeded, so it does not matter
who writes: models, `update()`, bulk operations, many-to-many, deletions and what they cascade to, raw SQL, the admin,
commands, tasks. Tags collect in the transaction and get their new versions after its outermost commit, those of a
savepoint only if it was not rolled back. While a write is not committed, this thread's reads of what depends on it go
past the cache.

Not seen: writes by other programs, by triggers and stored functions, by `cursor.callproc()`, and through the driver's
own connection or cursor (`COPY`). Call `cache.invalidate("table")` after those.

Works with Django 2.2 to 6.1 and every database that it knows.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.db.models import deletion

from .django_sql import STATEMENT, Statement
from .runtime import Cache, tag_names
from .sql_text import TablesInText

T = TypeVar("T")
IN_DATABASE: Any = getattr(deletion, "DatabaseOnDelete", ())  # Django 6.1
MAX_ROWS = 100  # assumed: a transaction that writes more rows of a table invalidates all of it
COMMIT_SECONDS = 2.0  # assumed: where a write could not be understood, its commit follows within that


def watch(cache: Cache, tables: Mapping[str, str | None], columns: Iterable[str] = ()) -> Watcher:
    """
    Invalidate `cache` at every write of these tables, from now on, through any Django connection of this process.

    Args:
        tables: names as the database has them, each with its primary key column, or None where no entry depends on
            single rows.
        columns: others by whose value entries depend on rows ("comments.article_id"), of those tables.
    """
    watcher = Watcher(cache, tables, columns)
    if cache.is_on:
        watcher.start()
    return watcher


class Here(threading.local):
    """The connections on which this thread has a transaction open."""

    def __init__(self) -> None:
        self.open: set[ConnectionState] = set()


class Watcher:
    """What listens for one cache. Made by `watch`; `stop()` takes it away."""

    def __init__(self, cache: Cache, tables: Mapping[str, str | None], columns: Iterable[str] = ()) -> None:
        self.cache = cache
        self.tables = dict(tables)
        self.columns: dict[str, list[str]] = {}
        for name in columns:
            table, _, column = name.rpartition(".")
            self.columns.setdefault(table, []).append(column)
        self.here = Here()
        # Whether the rows of a statement were there already, or are there now; `django_statements` says.
        self.given: Callable[..., bool] | None = None
        self.tables_in_text = functools.lru_cache(maxsize=1000)(TablesInText(tables, self.children))
        self.statement_of = functools.lru_cache(maxsize=1000)(self._statement_of)
        self._names = {table.lower(): table for table in tables}
        self.everything = set().union(*map(self._whole, tables))
        self._states: list[ConnectionState] = []

    def start(self) -> None:
        connection_created.connect(self._connected, dispatch_uid=id(self))
        for connection in _known_connections():
            self._connected(connection)
        # where they fail, nothing is stored and nothing is read
        self.cache.snapshot_began = _or_else(self._snapshot_began, 0.0)
        self.cache.pending_tags = _or_else(self._pending_tags, self.everything)
        self.cache.after_commit = _after_commit

    def stop(self) -> None:
        self.given = None
        connection_created.disconnect(dispatch_uid=id(self))
        for state in self._states:
            state.release()

    def _connected(self, connection: Any, **_: object) -> None:
        """A connection is new, or opened again: what was open on it is gone."""
        for state in connection.execute_wrappers:
            if isinstance(state, ConnectionState) and state.watcher is self:
                state.ended(is_committed=False)
                return
        self._states.append(ConnectionState(self, connection))

    # What the cache asks.

    def _snapshot_began(self) -> float | None:
        return min((state.began for state in self._open()), default=None)

    def _pending_tags(self) -> set[str]:
        return set().union(*(state.tags() for state in self._open()))

    def _open(self) -> set[ConnectionState]:
        for state in [state for state in self.here.open if state.connection.connection is None]:
            state.ended(is_committed=False)  # it was closed
        return self.here.open

    # Statements.

    def wrote(self, sql: str, params: Any, many: bool, cursor: Any) -> set[str]:
        """The tags of a statement that was executed."""
        statement = self.statement_of(sql)
        if statement is None:
            return set().union(*map(self._whole, self.tables_in_text(sql)))
        name = self._names[statement.table.lower()]
        tags = _tags(name, statement.rows(params, many, cursor))
        for column in self.columns.get(name, ()):
            tags |= _tags(f"{name}.{column}", statement.values(column, params, many))
        if statement.verb == "DELETE":
            tags = tags.union(*map(self._whole, self.children({name}, False)))
        return tags

    def _whole(self, table: str) -> set[str]:
        """The tags of all rows of a table, by whatever they are known."""
        names = [table, *(f"{table}.{column}" for column in self.columns.get(table, ()))]
        return set().union(*map(tag_names, names))

    def bump(self, tags: set[str], hold_seconds: float = 0) -> None:
        names = {tag.partition(":")[0] for tag in tags} if len(tags) > MAX_ROWS else ()
        for name in names:
            rows = {tag for tag in tags if tag.startswith(name + ":")}
            if len(rows) > MAX_ROWS:
                tags = (tags - rows) | tag_names(name)
        self.cache.bump(tags, hold_seconds=hold_seconds)

    def _statement_of(self, sql: str) -> Statement | None:
        """What Django's ORM has written of a watched table; None for any other statement."""
        match = STATEMENT.match(sql)
        name = self._names.get(match.group("table").lower()) if match else None
        return None if match is None or name is None else Statement(match, self.tables[name])

    def children(self, names: set[str], everything: bool) -> set[str]:
        """Tables that the database itself changes along with these: TRUNCATE … CASCADE, and Django 6.1's DB_CASCADE."""
        if everything:
            return set(self.tables)
        found: set[str] = set()
        waiting = set(names)
        while waiting:
            parent = waiting.pop()
            for model in apps.get_models(include_auto_created=True) if IN_DATABASE else ():
                table = model._meta.db_table
                for field in model._meta.concrete_fields:
                    remote: Any = getattr(field, "remote_field", None)
                    rule = getattr(remote, "on_delete", None)
                    if isinstance(rule, IN_DATABASE) and remote.model._meta.db_table == parent:
                        if table not in found:
                            waiting.add(table)
                        found.add(table)
        return found & set(self.tables)


class ConnectionState:
    """
    What one database connection has done in its open transaction.

    It stands among the connection's `execute_wrappers`, and before those of its methods that begin and end a transaction:
    `transaction.on_commit` would do for commits, but tests count what is registered there.
    """

    def __init__(self, watcher: Watcher, connection: Any) -> None:
        self.watcher = watcher
        self.connection = connection
        self.began: float = 0.0
        self._tags: list[tuple[frozenset[str], set[str]]] = []  # under which savepoints, what
        # first: what others put there for a while is taken from the end
        connection.execute_wrappers.insert(0, self)
        self._methods: dict[str, functools.partial[None]] = {}
        for name in ("commit", "rollback", "set_autocommit", "savepoint_rollback"):
            self._methods[name] = functools.partial(getattr(self, "_" + name), getattr(connection, name))
            setattr(connection, name, self._methods[name])

    def release(self) -> None:
        """Give the connection back as it was; a method that someone else has wrapped meanwhile stays."""
        if self in self.connection.execute_wrappers:
            self.connection.execute_wrappers.remove(self)
        for name, method in self._methods.items():
            if self.connection.__dict__.get(name) is method:
                setattr(self.connection, name, method.args[0])
        self.ended(is_committed=False)

    def tags(self) -> set[str]:
        return set().union(*(tags for _, tags in self._tags))

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self.watcher.cache.is_on:
            return execute(sql, params, many, context)
        connection = self.connection
        is_open = connection.in_atomic_block or not connection.autocommit
        if is_open and self not in self.watcher.here.open:
            # the first statement is where a transaction begins to see the database
            self.began = self.watcher.cache.clock()
            self.watcher.here.open.add(self)
        given = self.watcher.given
        if given is not None and given(self, execute, sql, params, many, context):
            return None
        result = execute(sql, params, many, context)
        try:
            tags = self.watcher.wrote(str(sql), params, many, context["cursor"])
        except Exception as error:  # the application's own work goes on
            warnings.warn(f"{error!r} in {sql}; it invalidates everything.", RuntimeWarning, stacklevel=2)
            tags = self.watcher.everything
        if tags and not is_open:
            self.watcher.bump(tags)
        elif tags:
            savepoints = frozenset(filter(None, connection.savepoint_ids))
            if not self._tags or self._tags[-1][0] != savepoints:
                self._tags.append((savepoints, set()))
            self._tags[-1][1].update(tags)
        return result

    def ended(self, is_committed: bool) -> None:
        tags, self._tags = self.tags(), []
        self.watcher.here.open.discard(self)
        if tags and is_committed:
            self.watcher.bump(tags)

    def _commit(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except Exception:
            self.watcher.bump(self.tags())  # it may have happened
            raise
        self.ended(is_committed=True)

    def _rollback(self, rollback: Callable[[], None]) -> None:
        rollback()
        self.ended(is_committed=False)

    def _set_autocommit(self, set_it: Callable[..., None], autocommit: bool, *args: Any, **more: Any) -> None:
        set_it(autocommit, *args, **more)
        if autocommit:
            self.ended(is_committed=True)  # what is still open is committed by some databases

    def _savepoint_rollback(self, roll_back: Callable[[str], None], sid: str) -> None:
        roll_back(sid)
        self._tags = [(savepoints, tags) for savepoints, tags in self._tags if sid not in savepoints]


def row_finder(cache: Cache, table: str, column: str, ttl_seconds: int = 86400) -> Callable[[Any], Any]:
    """
    A function that gives the primary key of the row in which a unique column has a value; None where there is none.

    It is kept until a write may have changed it, `table.column` being watched. No row has None: that gives "".
    """
    entry = cache.entry(
        f"{table}-by-{column}", ttl_seconds=ttl_seconds, depends_on=(f"{table}.{column}:{{value}}",)
    )

    def find(value: Any) -> Any:
        if value is None or not cache.is_on:
            return ""  # without caches nobody asks for keys
        model = next(
            model for model in apps.get_models(include_auto_created=True) if model._meta.db_table == table
        )
        field = next(field for field in model._meta.concrete_fields if field.column == column)
        rows = model._base_manager.filter(**{field.attname: value}).order_by().values_list("pk", flat=True)
        try:
            return entry.get_or_compute({"value": value}, lambda: next(iter(rows[:1]), None))
        except (TypeError, ValueError):  # no value of such a column
            return None

    return find


def _tags(name: str, values: Iterable[object] | None) -> set[str]:
    return tag_names(name) if values is None else set().union(*(tag_names((name, value)) for value in values))


def _known_connections() -> list[Any]:
    """Those of this thread that were used already; others tell when they connect."""
    try:
        return list(connections.all(initialized_only=True))  # Django 4.1
    except TypeError:
        return list(connections.all())


def _after_commit(using: Any, function: Callable[[], None]) -> None:
    """`using`: the alias of a database, None for the default one."""
    transaction.on_commit(function, using=using)


def _or_else(function: Callable[[], T], otherwise: T) -> Callable[[], T]:
    def call() -> T:
        try:
            return function()
        except Exception as error:
            warnings.warn(f"{error!r}; going past the cache instead.", RuntimeWarning, 2)
            return otherwise

    return call
