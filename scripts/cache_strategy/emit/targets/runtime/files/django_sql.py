"""Which rows a statement that Django's ORM has written changes, by its text and its parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

STATEMENT = re.compile(
    r'(?P<verb>INSERT INTO|UPDATE|DELETE FROM) ["`](?P<table>\w+)["`](?: \((?P<columns>[^()]*)\))? ?(?:SET )?'
)
PLACEHOLDERS = re.compile(r"%(?:%|s)")
WORDS = re.compile(r"[()]|\b(?:WHERE|AND|OR|RETURNING|CONFLICT|DUPLICATE)\b")
ONLY_PLACEHOLDERS = re.compile(r"VALUES \(%s(?:, %s)*\)(?:, \(%s(?:, %s)*\))*(?: RETURNING [^()]*)?\Z")
DIGITS = re.compile(r"[0-9]{32}")
UNNEST = re.compile(r"SELECT \* FROM UNNEST\(\(%s\)::\S+(?:, \(%s\)::\S+)*\)")


class Statement:
    """
    One INSERT, UPDATE or DELETE of a table; `rows` tells the primary keys of the rows that it changed.

    Args:
        text: as Django gives it to the cursor.
        key: the primary key column, or None if rows do not matter.
    """

    def __init__(self, match: re.Match[str], key: str | None) -> None:
        self.verb = match.group("verb").split()[0]
        self.table = match.group("table")
        self._rest = match.string[match.end() :]
        self._columns = [name.strip(' "`') for name in (match.group("columns") or "").split(",")]
        self._key = key
        # in a text with literals, or of several statements, nothing is where it seems to be
        self._is_plain = key is not None and not set("';\\") & set(self._rest)

    def rows(self, params: Any, many: bool, cursor: Any) -> list[object] | None:
        """None when they are not all known."""
        found = self._found(params, many, cursor) if self._is_plain else None
        # 32 digits may be a UUID as SQLite keeps it, or a number: the names of their rows differ
        return (
            None if found and any(isinstance(row, str) and DIGITS.fullmatch(row) for row in found) else found
        )

    def _found(self, params: Any, many: bool, cursor: Any) -> list[object] | None:
        if self.verb == "INSERT":
            return self._inserted(params, many, cursor)
        sets = [params] if not many else params
        if not all(isinstance(each, (list, tuple)) for each in sets):
            return None
        places = self._addressed
        return None if places is None else [each[place] for each in sets for place in places]

    def _inserted(self, params: Any, many: bool, cursor: Any) -> list[object] | None:
        if re.search(r"\bON (?:CONFLICT|DUPLICATE)\b", self._rest):
            return None  # other rows may have changed
        if self._key in self._columns:
            place, width = self._columns.index(self._key), len(self._columns)
            if UNNEST.match(self._rest) and not many and len(params) == width:
                return list(params[place])  # PostgreSQL from Django 5.2 on: a list for each column
            if not ONLY_PLACEHOLDERS.match(self._rest):
                return None
            return [row for each in (params if many else [params]) for row in each[place::width]]
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

    @functools.cached_property
    def _addressed(self) -> list[int] | None:
        """Which parameters are the primary keys in the WHERE of an UPDATE or a DELETE; None when it names none."""
        start = next((at for word, at, depth in _words(self._rest, 0) if word == "WHERE" and not depth), None)
        if start is None or re.search(rf'["`]{self._key}["`] = (?!%s\)? THEN)', self._rest[:start]):
            return None  # all rows, or the key itself changes
        if re.search(r"\bCASE\b", self._rest[start:]):
            return None
        place = rf'["`]{re.escape(self.table)}["`]\.["`]{re.escape(str(self._key))}["`]'
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
