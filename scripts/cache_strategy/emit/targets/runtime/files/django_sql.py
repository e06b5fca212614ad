"""Which rows a statement that Django's ORM has written changes, and what columns hold in them, by its text and its parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

STATEMENT = re.compile(
    r'(?P<verb>INSERT (?:OR IGNORE |IGNORE )?INTO|UPDATE|DELETE FROM) ["`](?P<table>\w+)["`](?: \((?P<columns>[^()]*)\))? ?(?:SET )?'
)
PLACEHOLDERS = re.compile(r"%(?:%|s)")
WORDS = re.compile(r"[()]|\b(?:WHERE|AND|OR|RETURNING|CONFLICT|DUPLICATE)\b")
ONLY_PLACEHOLDERS = re.compile(
    r"VALUES \(%s(?:, %s)*\)(?:, \(%s(?:, %s)*\))*(?: ON CONFLICT DO NOTHING)?(?: RETURNING [^()]*)?\Z"
)
DIGITS = re.compile(r"[0-9]{32}")
UNNEST = re.compile(r"SELECT \* FROM UNNEST\(\(%s\)::\S+(?:, \(%s\)::\S+)*\)")


class Statement:
    """
    One INSERT, UPDATE or DELETE of a table, with the primary keys and the values of the rows that it changed.

    Args:
        match: of `STATEMENT`, in the text as Django gives it to the cursor.
        key: the primary key column, or None if rows do not matter.
    """

    def __init__(self, match: re.Match[str], key: str | None) -> None:
        self.verb = match.group("verb").split()[0]
        self.table = match.group("table")
        self._rest = match.string[match.end() :]
        self._columns = [name.strip(' "`') for name in (match.group("columns") or "").split(",")]
        self._key = key
        self._ignores = "IGNORE" in match.group("verb") or "DO NOTHING" in self._rest
        # in a text with literals, or of several statements, nothing is where it seems to be
        self._is_plain = not set("';\\") & set(self._rest)
        self._places = functools.lru_cache(maxsize=None)(self._addressed)

    def rows(self, params: Any, many: bool, cursor: Any) -> list[object] | None:
        """Their primary keys; None when they are not all known."""
        if self._key is None or not self._is_plain or (self.verb == "INSERT" and self._ignores):
            return None
        found = self.values(self._key, params, many)
        if found is None and self.verb == "INSERT" and self._key not in self._columns:
            found = self._numbered(params, many, cursor)
        # 32 digits may be a UUID as SQLite keeps it, or a number: the names of their rows differ
        return (
            None if found and any(isinstance(row, str) and DIGITS.fullmatch(row) for row in found) else found
        )

    def values(self, column: str, params: Any, many: bool) -> list[object] | None:
        """What a column held or holds in them; None when that is not all known."""
        sets = params if many else [params]
        if not self._is_plain or not all(isinstance(each, (list, tuple)) for each in sets):
            return None
        if self.verb != "INSERT":
            places = self._places(column)
            return None if places is None else [each[place] for each in sets for place in places]
        if column not in self._columns or re.search(
            r"\bON (?:CONFLICT DO UPDATE|CONFLICT ?\(|DUPLICATE)", self._rest
        ):
            return None  # other rows may have changed
        place, width = self._columns.index(column), len(self._columns)
        if UNNEST.match(self._rest) and not many and len(params) == width:
            return list(params[place])  # PostgreSQL from Django 5.2 on: a list for each column
        if not ONLY_PLACEHOLDERS.match(self._rest):
            return None
        return [value for each in sets for value in each[place::width]]

    def _numbered(self, params: Any, many: bool, cursor: Any) -> list[object] | None:
        """The keys that the database gave."""
        if re.search(r"\bON (?:CONFLICT|DUPLICATE)\b", self._rest):
            return None
        driver: Any = getattr(cursor, "cursor", None)
        returned = self._rest.partition(" RETURNING ")[2].split(",")
        names = [name.rpartition(".")[2].strip(' "`') for name in returned]
        if self._key in names and hasattr(driver, "scroll") and not many:
            found = driver.fetchall()
            if found:
                driver.scroll(0, mode="absolute")
            return [row[names.index(self._key)] for row in found]
        last = getattr(driver, "lastrowid", None)
        is_one = not many and len(params or ()) == len(self._columns)
        return [last] if is_one and isinstance(last, int) and last > 0 else None

    def _addressed(self, column: str) -> list[int] | None:
        """Which parameters are a column's values in the WHERE of an UPDATE or a DELETE; None when it names none."""
        start = next((at for word, at, depth in _words(self._rest, 0) if word == "WHERE" and not depth), None)
        name = re.escape(column)
        if start is None or re.search(rf'["`]{name}["`] = (?!%s\)? THEN)', self._rest[:start]):
            return None  # all rows, or the column itself changes
        if re.search(r"\bCASE\b", self._rest[start:]):
            return None
        place = rf'["`]{re.escape(self.table)}["`]\.["`]{name}["`]'
        for at, condition in _conjuncts(self._rest, start + len("WHERE"), len(self._rest)):
            match = re.fullmatch(rf"\s*{place} (?:= %s|IN \((%s(?:, %s)*)\))\s*", condition)
            if match:
                before = PLACEHOLDERS.findall(self._rest[:at]).count("%s")
                return list(range(before, before + condition.count("%s")))
        return None


def _words(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Brackets and words that part conditions, each with its place and how deep in brackets it stands."""
    depth = 0
    for match in WORDS.finditer(text, start):
        depth -= match[0] == ")"
        yield match[0], match.start(), depth
        depth += match[0] == "("


def _conjuncts(text: str, start: int, end: int) -> Sequence[tuple[int, str]]:
    """The conditions of a WHERE that must all hold, each with its place; none if one of several is enough."""
    words = [(word, at) for word, at, depth in _words(text[:end], start) if depth == 0]
    cut = next((at for word, at in words if word == "RETURNING"), end)
    words = [(word, at) for word, at in words if at < cut]
    if any(word == "OR" for word, _ in words):
        return []
    whole = text[start:cut]
    if not any(word == "AND" for word, _ in words):
        inner = whole.strip()
        is_wrapped = (
            inner.startswith("(") and [word for word, _ in words] == ["(", ")"] and inner.endswith(")")
        )
        if is_wrapped:
            first = start + whole.index("(") + 1
            return _conjuncts(text, first, start + whole.rindex(")"))
        return [(start, whole)]
    ands = [at for word, at in words if word == "AND"]
    pieces: list[tuple[int, str]] = []
    for left, right in zip([start, *(at + len("AND") for at in ands)], [*ands, cut]):  # noqa: B905 (Python 3.8)
        pieces += _conjuncts(text, left, right)
    return pieces
