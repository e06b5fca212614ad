"""Which tables a statement changes, from its text. Conservative: what is not understood changes nothing."""

from __future__ import annotations

import functools
import re

_NAME = r'(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+)'
_TABLE = rf"({_NAME}(?:\s*\.\s*{_NAME})*)"
_FORMS = re.compile(
    r"\b(?:"
    rf"INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO\s+{_TABLE}"
    rf"|REPLACE\s+INTO\s+{_TABLE}"
    rf"|UPDATE\s+(?:OR\s+\w+\s+)?(?:ONLY\s+)?{_TABLE}(?=(?:\s+(?:AS\s+)?{_NAME})?\s+SET\b)"
    rf"|DELETE\s+FROM\s+(?:ONLY\s+)?{_TABLE}"
    rf"|MERGE\s+INTO\s+(?:ONLY\s+)?{_TABLE}"
    rf"|TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?({_NAME}(?:\s*\.\s*{_NAME})*(?:\s*,\s*{_NAME}(?:\s*\.\s*{_NAME})*)*)"
    rf"|(?:CREATE|DROP|ALTER)\s+(?:TEMP(?:ORARY)?\s+|UNLOGGED\s+)?TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?{_TABLE}"
    rf"|COPY\s+{_TABLE}(?=[^;]*?\bFROM\b)"
    r")",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"\b(?:INSERT|REPLACE|UPDATE|DELETE|MERGE|TRUNCATE|CREATE|DROP|ALTER|COPY)\b", re.IGNORECASE
)
_NOISE = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_SPACE = re.compile(r"\s+")

_SOURCE = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_SOURCES = re.compile(
    rf"(?<!DISTINCT )\b(?:FROM|JOIN)\s+(?:ONLY\s+|LATERAL\s+)?({_SOURCE}(?:(?:\s+(?:AS\s+)?\w+)?\s*,\s*{_SOURCE})*)(?![\w$])(?!\s*\()",
    re.IGNORECASE,
)
_FIRST = re.compile(rf"\s*({_SOURCE})")
_FUNCTIONS = re.compile(r"\b(?:EXTRACT|SUBSTRING|TRIM|OVERLAY|POSITION)\s*\([^()]*\)", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?:\bWITH\s+(?:RECURSIVE\s+)?|,\s*)({_NAME})\s*(?:\([^()]*\)\s*)?AS\s+(?:(?:NOT\s+)?MATERIALIZED\s+)?\(",
    re.IGNORECASE,
)
LONGEST = 20_000
NO_TABLES = ("SELECT", "UNNEST", "VALUES", "GENERATE_SERIES", "JSON")
TRANSACTION_WORDS = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")

READ_WORDS = ("SELECT", "PRAGMA", "SHOW", "EXPLAIN", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")


def tables_written(statement: str) -> tuple[str, ...]:
    """
    Tables that `statement` changes, sorted, without schema and quotes; () for a read.

    String literals and comments are never read as SQL. A SELECT that writes by calling a function, and what a
    trigger or a cascade changes, is not seen.
    """
    head = statement.lstrip()[:9].upper()
    if head.startswith(READ_WORDS) or not _WRITES.search(statement):
        return ()
    text = _LITERAL.sub("''", _NOISE.sub(" ", statement))
    found: set[str] = set()
    for match in _FORMS.finditer(text):
        for group in match.groups():
            if group:
                found.update(_last_name(name) for name in group.split(","))
    return tuple(sorted(found))


@functools.lru_cache(maxsize=2000)
def kind_and_tables(statement: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Read or write with the tables used, joined by commas, and the tables written. "" for what begins or ends a transaction."""
    written = tables_written(statement)
    if statement.lstrip()[:9].upper().startswith(TRANSACTION_WORDS):
        return ("", ""), ()
    text = _FUNCTIONS.sub("", _LITERAL.sub("''", _NOISE.sub(" ", statement[:LONGEST])))
    found = set(written)
    for match in _SOURCES.finditer(text):
        if not match[1].upper().startswith(NO_TABLES):
            found.update(
                _last_name(first[1]) for item in match[1].split(",") if (first := _FIRST.match(item))
            )
    found.difference_update(name.strip('"`[]') for name in _NAMED.findall(text))
    return ("write" if written else "read", ",".join(sorted(found))), written


def _last_name(name: str) -> str:
    parts: list[str] = re.findall(_NAME, name)
    return parts[-1].strip('"`[]')


def shortened(statement: str) -> str:
    """At most 160 characters, without literals: what people see of a statement."""
    text = _SPACE.sub(" ", _LITERAL.sub("'…'", statement)).strip()
    return text if len(text) <= 160 else text[:159] + "…"
