"""
Gives SELECTs of Django their rows from what is kept, while an answer is made.

    statements = django_statements.keep(watcher, Statements(cache, watcher.tables, watcher.columns))

Executed as ever are those of server-side cursors, of isolation levels that see more than each statement's own moment, on
connections on which somebody has said SET, and under another `execute_wrapper`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections

from .django_events import ConnectionState, Watcher
from .sql_doubts import doubt_about, unsettles
from .statements import Before, Rows, Statements


def keep(watcher: Watcher, statements: Statements) -> Statements:
    """Give SELECTs their rows from there, until the watcher stops."""
    if watcher.cache.is_on:
        keeper = Keeper(watcher, statements)
        watcher.given = keeper.given
    return statements


class Here(threading.local):
    """The request that this thread answers: what it reads before its view is asked may be in the answer."""

    def __init__(self) -> None:
        self.request: Before | None = None

    def begin(self, **_: object) -> None:
        self.request = Before()

    def end(self, **_: object) -> None:
        self.request = None


class Keeper:
    """Asked about every statement of a watcher's connections before it is executed."""

    def __init__(self, watcher: Watcher, statements: Statements) -> None:
        self.watcher = watcher
        self.statements = statements
        self.here = Here()
        self._unsettled: weakref.WeakSet[Any] = weakref.WeakSet()
        statements.request = lambda: self.here.request
        statements.execute = self._execute
        request_started.connect(self.here.begin, dispatch_uid=id(self.here), weak=False)
        request_finished.connect(self.here.end, dispatch_uid=id(self.here), weak=False)

    @staticmethod
    def _execute(database: Any, text: str, params: Any) -> list[Any]:
        with connections[database[0]].cursor() as cursor:
            cursor.execute(text, params)
            return list(cursor.fetchall())

    def given(
        self,
        state: ConnectionState,
        execute: Callable[..., Any],
        sql: Any,
        params: Any,
        many: bool,
        context: Any,
    ) -> bool:
        """Whether the rows of a SELECT were there already, or are there now; else it is to be executed."""
        statements, wrapper, connection, text = (
            self.statements,
            context["cursor"],
            state.connection,
            str(sql),
        )
        if unsettles(text):
            self._unsettled.add(state)
        settings = connection.settings_dict
        names = (str(settings.get(name)) for name in ("NAME", "HOST", "PORT", "USER"))
        database = (connection.alias, *names, getattr(connection, "schema_name", None))

        def doubt() -> str:
            driver, tables = connection.connection, self.watcher.tables
            return doubt_about(
                connection.vendor, driver, tables, lambda name: self.watcher.children({name}, False)
            )

        if many or not self._is_plain(state, wrapper) or statements.is_in_doubt(database, doubt):
            statements.passed(text)
            return False
        before, nothing = wrapper.cursor, connection.features.empty_fetchmany_value
        done: list[bool] = []

        def fetch() -> tuple[Any, Any]:
            done.append(False)
            execute(sql, params, False, context)
            rows = before.fetchall(), before.description
            wrapper.cursor = Rows(*rows, before, nothing)
            done[0] = True
            return rows

        try:
            rows = statements.rows(database, text, params, fetch)
        except Exception as error:
            if done == [False]:
                raise  # it is the database's
            statements.failed(error)
            return bool(done)
        if rows is None:
            if statements.scope.get() is None:
                statements.outside(text, params)
            return False
        if wrapper.cursor is before:
            wrapper.cursor = Rows(*rows, before, nothing)
        return True

    def _is_plain(self, state: ConnectionState, wrapper: Any) -> bool:
        """Whether a statement gives what is committed when it is executed, to whoever asks, and all at once."""
        level = state.connection.settings_dict.get("OPTIONS", {}).get("isolation_level")
        is_short = level in (None, 1) or getattr(level, "name", "") == "READ_COMMITTED"  # of psycopg2: 1
        return (
            is_short
            and state not in self._unsettled
            and not getattr(getattr(wrapper, "cursor", None), "name", None)  # a server's cursor
            and all(isinstance(one, ConnectionState) for one in state.connection.execute_wrappers)
        )
