"""Which tables a statement in SQL may change, by its text alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

LITERALS = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
QUOTED_NAMES = re.compile(r'"[^"]*"|`[^`]*`|\[[^\]]*\]')
WORDS = re.compile(r"[a-z_]+")
LOCKS = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b", re.I)
CHANGES = re.compile(r"\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.I)
CALLS = frozenset({"call", "exec", "execute"})
READS = frozenset(
    "select values with table show explain pragma set reset begin start commit end rollback savepoint release fetch "
    "declare close listen unlisten notify lock analyze describe desc use prepare deallocate discard grant revoke refresh "
    "reindex vacuum".split()
)


class TablesInText:
    """
    The watched tables that a statement may change: all it names, unless it only reads.

    Args:
        tables: those watched, as the database has them.
        children: the watched tables that the database changes along with some that are emptied or deleted from; of every
            foreign key if True, else of those that say so.
    """

    def __init__(
        self, tables: Collection[str], children: Callable[[set[str], bool], Collection[str]]
    ) -> None:
        self._tables = tables
        self._children = children
        names = "|".join(map(re.escape, tables)) or "(?!)"
        self._names = re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)

    def __call__(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        for statement in LITERALS.sub(" ", text).split(";"):
            bare = QUOTED_NAMES.sub(" ", statement)
            words = WORDS.findall(bare.lower())
            first = words[0] if words else "select"
            if first in READS and not CHANGES.search(LOCKS.sub(" ", bare)):
                continue
            if first in CALLS:
                return frozenset(self._tables)
            if first == "create" and "table" not in words[:4]:
                continue  # a view, an index, a function: no rows change
            source = text if first == "do" else statement
            names = {name.lower() for name in self._names.findall(source)}
            named = {table for table in self._tables if table.lower() in names}
            found |= named
            if named and {"delete", "truncate", "drop", "cascade"} & set(words):
                found |= set(self._children(named, bool({"truncate", "cascade"} & set(words))))
        return frozenset(found)
