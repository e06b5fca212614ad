"""
Materialized views of PostgreSQL that are read only while they are right.

    daily_sales = View(cache, "daily-sales", body_sql="SELECT ...", unique_key=("day",), depends_on=("orders",))

    with engine.begin() as connection: daily_sales.create(connection)      # or the same two statements in a migration
    session.execute(text(daily_sales.query(session)))                      # instead of the SELECT itself
    daily_sales.refresh(engine)                                            # from a timer; readers do it when they must

A `create_all()` that makes its tables makes the view too, and a `drop_all()` takes it away first.
The versions of the tables are noted before each refresh, so a write during the refresh makes the view old at once.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import MetaData, event, text
from sqlalchemy.exc import SQLAlchemyError

from .link import Unavailable
from .runtime import BLOCKED, Cache, Record
from .values import PLAIN_JSON

REFRESH_SECONDS = 600  # assumed: no refresh takes longer; after that another process may start one
KEPT_SECONDS = 7 * 86400  # how long it is known what a refresh has seen; later the view is refreshed again


class View:
    """
    One materialized view.

    Args:
        body_sql: the SELECT, without its ORDER BY.
        unique_key: columns that identify a row; without them a refresh locks out readers.
        depends_on: tables whose change makes the view old.
        staleness_bound_seconds: how long after a refresh the view is read although a table has changed since.
        order_by: of the query that reads it.
        view_name: in the database; the name with underscores and "_mv" at its end otherwise.
    """

    def __init__(
        self,
        cache: Cache,
        name: str,
        *,
        body_sql: str,
        unique_key: Sequence[str],
        depends_on: Sequence[str],
        staleness_bound_seconds: float = 0,
        order_by: str = "",
        view_name: str = "",
    ) -> None:
        self.cache = cache
        self.name = name
        self.body_sql = body_sql.strip().rstrip(";")
        self.unique_key = tuple(unique_key)
        self.staleness_bound_seconds = staleness_bound_seconds
        self.view_name = view_name or name.replace("-", "_") + "_mv"
        self.entry = cache.entry(
            name,
            ttl_seconds=KEPT_SECONDS,
            layers=("matview",),
            depends_on=depends_on,
            staleness_bound_seconds=staleness_bound_seconds,
        )
        order = f" ORDER BY {order_by}" if order_by else ""
        self.original_sql = _literal(f"{self.body_sql}\n{order}")
        self.view_sql = _literal(f"SELECT * FROM {_quoted(self.view_name)}{order}")
        self._tables = tuple(depends_on)
        event.listen(MetaData, "after_create", self._tables_created)
        event.listen(MetaData, "before_drop", self._tables_dropped)

    def stop(self) -> None:
        """Take the listeners away."""
        event.remove(MetaData, "after_create", self._tables_created)
        event.remove(MetaData, "before_drop", self._tables_dropped)

    def _tables_created(self, metadata: MetaData, connection: Any, **_: object) -> None:
        if not (self.cache.is_on and self._is_of(metadata, connection)):
            return
        is_there = text("SELECT to_regclass(:name)")
        if all(connection.execute(is_there, {"name": _quoted(t)}).scalar() is not None for t in self._tables):
            self.create(connection)

    def _tables_dropped(self, metadata: MetaData, connection: Any, **_: object) -> None:
        if self._is_of(metadata, connection):
            connection.execute(text(f"DROP MATERIALIZED VIEW IF EXISTS {_quoted(self.view_name)}"))

    def _is_of(self, metadata: MetaData, connection: Any) -> bool:
        return connection.dialect.name == "postgresql" and set(self._tables) <= set(metadata.tables)

    def create(self, connection: Any) -> None:
        """Create the view and its unique index where they are missing; the caller commits."""
        view = _quoted(self.view_name)
        connection.execute(
            text(_literal(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view} AS\n{self.body_sql}"))
        )
        if self.unique_key:
            index, columns = _quoted(f"{self.view_name}_key"), ", ".join(map(_quoted, self.unique_key))
            connection.execute(text(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {view} ({columns})"))

    def refresh(self, engine: Any) -> bool:
        """Bring the view up to date through a connection of its own; False when another process is doing it."""
        concurrently = "CONCURRENTLY " if self.unique_key else ""
        statement = text(f"REFRESH MATERIALIZED VIEW {concurrently}{_quoted(self.view_name)}")
        slot, link, token = self.entry.slot({}), self.cache.link, uuid.uuid4().hex
        versions = b""
        now_us = 0
        if self.cache.is_on:
            # where nobody can be asked, the database lets one refresh wait for the other
            with contextlib.suppress(Unavailable):
                now_us, _, is_mine, versions = link.note(slot, token, REFRESH_SECONDS * 1000, 1 << 60)
                if not is_mine:
                    return False
        started = time.monotonic()
        data = b""
        try:
            with engine.begin() as connection:
                connection.execute(statement)
            hard_us = now_us + KEPT_SECONDS * 1_000_000
            data = Record(versions, b"1", PLAIN_JSON, now_us, hard_us, hard_us, 0.0).to_bytes()
            return True
        finally:
            self.entry.count(computations=1, compute_ms=(time.monotonic() - started) * 1000)
            if versions:
                try:
                    link.store(slot, data, KEPT_SECONDS * 1000, token, versions, wait=True)
                except Unavailable as error:
                    self.entry.tell("error", slot, reason=str(error))

    def query(self, session: Any) -> str:
        """The SQL to run, for `text()`: from the view while that gives what the tables would, else the SELECT itself."""
        if not self.cache.is_on:
            return self.original_sql
        reason = self._why_not(session)
        if reason:
            self.entry.skipped(self.entry.slot({}), reason)
            return self.original_sql
        return self._compare(session) if self.cache.mode == "shadow" else self.view_sql

    def _why_not(self, session: Any) -> str:
        """Why the view cannot be read now; "" when it can. Refreshes it on the way if that helps."""
        bind = session.get_bind()
        if bind.dialect.name != "postgresql" or not hasattr(bind, "begin") or hasattr(bind, "in_transaction"):
            return "not an engine of PostgreSQL"  # a session inside someone's transaction sees what the view cannot
        slot, link = self.entry.slot({}), self.cache.link
        if self.entry.is_blocked(slot):
            return BLOCKED
        try:
            versions, data = link.look(slot)
            record = Record.from_bytes(data, 0.0)
            populated, isolation = self._state_of_view(session)
            if not populated:
                return f"no materialized view {self.view_name}"
            if isolation != "read committed":
                return f"isolation level {isolation}"  # its snapshot may be older than the refresh
            is_fresh = record is not None and record.versions == versions
            if record is not None and (is_fresh or self.entry.may_be_served_stale(record)):
                self.entry.count(**{"hits" if is_fresh else "stale_served": 1})
                self.entry.tell("hit", slot, record)
                return ""
            self.entry.count(misses=1)
            self.entry.tell("miss", slot)
            return "" if self.refresh(bind) else "another process is refreshing it"
        except (Unavailable, SQLAlchemyError) as error:
            return str(error)

    def _state_of_view(self, session: Any) -> tuple[bool, str]:
        found = session.execute(
            text(
                "SELECT current_setting('transaction_isolation'), (SELECT relispopulated FROM pg_class"
                " WHERE oid = to_regclass(:name) AND relkind = 'm')"
            ),
            {"name": _quoted(self.view_name)},
        ).fetchone()
        return bool(found[1]), str(found[0])

    def _compare(self, session: Any) -> str:
        """Shadow mode: the SELECT itself, after telling the listeners if the view gives other rows."""
        slot = self.entry.slot({})
        try:
            record = Record.from_bytes(self.cache.link.send(slot.ask_value, slot.redis_name), 0.0)
        except Unavailable as error:
            self.entry.tell("uncompared", slot, reason=str(error))
            return self.original_sql
        served, origin = (
            "\n".join(sorted(map(repr, session.execute(text(sql)).fetchall())))
            for sql in (self.view_sql, self.original_sql)
        )
        if record is not None:
            self.entry.compare(slot, record, served, origin)
        return self.original_sql


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(sql: str) -> str:
    """SQL in which `text()` finds no parameters."""
    return sql.replace(":", "\\:")
