"""Django's database layer: statements of every backend; writes from the commit of the outermost block that is no test's."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..databases import Statements, named_as
from ..frames import UserCode
from ..journal import Journal

MODULE = "django.db.backends.utils django.db.backends.base.base"


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """The cursors in one module, the transactions in the other, with the same lists of what waits."""
    django: Any = module
    statements = _statements(journal, code)
    if hasattr(django, "CursorWrapper"):
        kind = django.CursorWrapper
        for method in ("_execute", "_executemany"):
            setattr(
                kind,
                method,
                statements.wrapped(getattr(kind, method), lambda cursor: cursor.db, lambda _, query: query),
            )
        return
    base = django.BaseDatabaseWrapper

    def after(method: str, then: Any) -> None:
        original = getattr(base, method, None)
        if original is None:
            return

        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            then(self, *args)
            return result

        setattr(base, method, named_as(wrapped, original))

    def released(connection: Any, *_: Any) -> None:
        if not _waits(connection):
            statements.commit(connection)

    after("_commit", statements.commit)
    after("_rollback", statements.roll_back)
    after("savepoint_commit", released)


_made: list[Statements] = []


def _statements(journal: Journal, code: UserCode) -> Statements:
    if not _made:
        _made.append(Statements(journal, code, _waits))
    return _made[0]


def _waits(connection: Any) -> bool:
    """A test case wraps each test in a block that is always rolled back: what is in it counts as if it were not there."""
    blocks = getattr(connection, "atomic_blocks", ())
    return any(not getattr(block, "_from_testcase", False) for block in blocks) or (
        not blocks and not getattr(connection, "autocommit", True)
    )
