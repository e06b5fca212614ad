"""aiosql: functions whose SQL stands in files, told by the comment before each statement."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import sql
from cache_strategy.profile.files import text_of
from cache_strategy.profile.orms import raw_sql
from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import PLAIN, UNKNOWN, Value, Values, many, text_in

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_QUERIES = ("aiosql.from_path()", "aiosql.from_str()")
# Source: aiosql 10, "Defining SQL Queries": the marks behind a name say what is returned.
_NAMED = re.compile(
    r"^[ \t]*--[ \t]*name[ \t]*:[ \t]*([\w-]+)(?:\([^)]*\))?[ \t]*([\^$!#*<@]*)[^\n]*\n", re.MULTILINE
)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`queries.get_user(connection, …)`."""
    if path == "aiosql.from_str":
        _statements(frame).update(_named(text_in(arguments.get(0, "sql")) or ""))
        return None
    if not path.startswith(_QUERIES):
        return None
    mark, text = _statements(frame).get(path.rpartition(".")[2], ("", ""))
    statement = sql.read_statement(text)
    if statement is None:
        frame.note_read(("?",), arguments.node)
        return UNKNOWN
    raw_sql.note(frame, statement, text, arguments.node)
    return PLAIN if mark else many(PLAIN)


def _statements(frame: "Frame") -> dict[str, tuple[str, str]]:
    """(mark, SQL) by the function's name: of every SQL file of the repository."""
    kept = frame.analysis.notes.setdefault("aiosql", {})
    if "statements" not in kept:
        kept["statements"] = found = {}
        for folder, folders, files in os.walk(str(frame.analysis.notes["templates"]["repo"])):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "node_modules")
            for path in (Path(folder, name) for name in sorted(files) if name.endswith(".sql")):
                try:
                    if not path.is_symlink():
                        found.update(_named(text_of(path)))
                except OSError:
                    continue
    statements: dict[str, tuple[str, str]] = kept["statements"]
    return statements


def _named(text: str) -> dict[str, tuple[str, str]]:
    parts = _NAMED.split(text)
    return {
        name.replace("-", "_"): (mark, body.strip().rstrip(";"))
        for name, mark, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


orm = Orm(__name__, packages=("aiosql",), structural=frozenset(_QUERIES), call=call)
