"""Statements of drivers and ORMs: time and tables per request, writes from their commit on."""

from __future__ import annotations

import contextvars
import re
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any

from .frames import UserCode
from .journal import Journal, current_request
from .statements import kind_and_tables
from .writes import Writes

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("cache_strategy_inside", default=False)
NEITHER = ("", "")
_NAME = re.compile(
    r'(?:SAVEPOINT|ROLLBACK(?:\s+WORK|\s+TRANSACTION)?\s+TO(?:\s+SAVEPOINT)?)\s+"?([\w$-]+)', re.IGNORECASE
)

enter = _inside.set
leave = _inside.reset
is_inside = _inside.get
"""True within a statement or an outside call that is counted already, by an ORM above its driver, say."""


class Statements:
    """
    One driver's.

    Args:
        in_transaction: whether a connection has begun one that waits for its commit.
    """

    def __init__(self, journal: Journal, code: UserCode, in_transaction: Callable[[Any], bool]) -> None:
        self._writes = Writes(journal, code)
        self._in_transaction = in_transaction
        self._pending: Any = weakref.WeakKeyDictionary()
        self.waits = False
        """Whether a write or savepoint ever waited for the end of its transaction."""

    def wrapped(
        self, original: Any, connection_of: Callable[[Any], Any], text_of: Callable[[Any, Any], Any]
    ) -> Any:
        """A method that executes a statement, counted."""

        def execute(this: Any, query: Any = None, *args: Any, **kwargs: Any) -> Any:
            if is_inside():
                return original(this, query, *args, **kwargs)
            token, clock = enter(True), perf_counter()
            try:
                result = original(this, query, *args, **kwargs)
            finally:
                leave(token)
            seconds, text = perf_counter() - clock, text_of(this, query)
            what = kind_and_tables(text)[0] if type(text) is str else NEITHER
            request = current_request()
            if what[0] == "read":
                if request is not None:
                    request.add_statement(what, seconds)
            else:
                self.executed(connection_of(this), text, seconds)
            return result

        return named_as(execute, original)

    def wrapped_async(
        self, original: Any, connection_of: Callable[[Any], Any], text_of: Callable[[Any, Any], Any]
    ) -> Any:
        """The same of a coroutine."""

        async def execute(this: Any, *args: Any, **kwargs: Any) -> Any:
            if is_inside():
                return await original(this, *args, **kwargs)
            query = args[0] if args else kwargs.get("query")
            token, clock = enter(True), perf_counter()
            try:
                result = await original(this, *args, **kwargs)
            finally:
                leave(token)
            self.executed(connection_of(this), text_of(this, query), perf_counter() - clock)
            return result

        return named_as(execute, original)

    def executed(self, connection: Any, statement: Any, seconds: float) -> None:
        """A statement that went well."""
        text = statement.decode("utf-8", "replace") if isinstance(statement, bytes) else str(statement)
        what, written = kind_and_tables(text)
        if not what[0]:
            self.command(connection, text)
            return
        request = current_request()
        if request is not None:
            request.add_statement(what, seconds)
        if written:
            in_transaction = self._in_transaction(connection)
            self._writes.note(self.pending(connection), text, written, not in_transaction)

    def command(self, connection: Any, text: str) -> None:
        """What begins or ends a transaction."""
        word = text.lstrip()[:9].upper()
        if word != "SAVEPOINT" and not self._pending.get(connection):
            return
        pending = self.pending(connection)
        if word.startswith(("COMMIT", "END")):
            self._writes.commit(pending)
        elif word.startswith("SAVEPOINT"):
            match = _NAME.match(text.lstrip())
            pending.append(match[1] if match else "")
        elif word.startswith("ROLLBACK"):
            match = _NAME.match(text.lstrip())
            self._writes.roll_back(pending, match[1] if match else None)

    def commit(self, connection: Any) -> None:
        pending = self.waits and self._pending.get(connection)
        if pending:
            self._writes.commit(pending)

    def roll_back(self, connection: Any) -> None:
        pending = self.waits and self._pending.get(connection)
        if pending:
            self._writes.roll_back(pending)

    def pending(self, connection: Any) -> list[Any]:
        found = self._pending.get(connection)
        if found is None:
            found = self._pending[connection] = []
            self.waits = True
        return found  # type: ignore[no-any-return]  # the table of lists is declared wider


def named_as(wrapper: Any, original: Any) -> Any:
    """`functools.wraps` without its dictionary."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        value = getattr(original, name, None)
        if value is not None:
            setattr(wrapper, name, value)
    wrapper.__wrapped__ = original
    return wrapper
