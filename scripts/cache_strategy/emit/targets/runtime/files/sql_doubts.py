"""What a database may do that the texts of statements do not tell: where it may, no rows are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)
# Statements after which others may mean something else on the same connection.
UNSETTLING = re.compile(
    r"(?:^|;)\s*(?:set|use|reset|discard|attach|detach|begin\s+\w*\s*isolation|start\s+transaction\s+i)\b"
    r"|\bset_config\s*\(|\bcreate\s+(?:global\s+|local\s+)?temp|\binto\s+temp(?:orary)?\s",
    re.I,
)
LOCKING = re.compile(r"\bfor\s+(?:no\s+key\s+|key\s+)?(?:update|share)\b|_lock", re.I)
WRITES = re.compile(r"\b(?:insert|update|delete|merge|truncate|alter|replace)\b", re.I)
CALLS = re.compile(r"\b(?:execute|perform|call)\b", re.I)
HARMLESS = re.compile(r"\bperform\s+pg_notify\b", re.I)
POSTGRESQL = """
SELECT 'isolation', current_setting('default_transaction_isolation'), ''
UNION ALL SELECT 'replica', '', '' WHERE pg_is_in_recovery()
UNION ALL SELECT 'view', relname::text, '' FROM pg_class WHERE relkind IN ('v', 'm', 'f') AND oid >= 16384
UNION ALL SELECT 'policy', relname::text, '' FROM pg_class WHERE relrowsecurity
UNION ALL SELECT 'rule', tablename::text, '' FROM pg_rules WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
UNION ALL SELECT 'trigger', c.relname::text, p.prosrc FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal
UNION ALL SELECT 'cascade', p.relname::text, c.relname::text FROM pg_constraint k
    JOIN pg_class p ON p.oid = k.confrelid JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')
UNION ALL SELECT 'collation', c.relname::text, '' FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation k ON k.oid = a.attcollation
    WHERE c.oid >= 16384 AND to_jsonb(k)->>'collisdeterministic' = 'false'
"""
SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"


def unsettles(text: str) -> bool:
    """Whether later statements of the connection may mean something else after this one."""
    return UNSETTLING.search(COMMENTS.sub(" ", text)) is not None


def doubt_about(
    vendor: str, driver: Any, tables: Collection[str], children: Callable[[str], Collection[str]]
) -> str:
    """
    Why a database is not to be trusted to give the same rows until somebody is heard to write; "" where nothing speaks against it.

    Args:
        driver: the driver's connection.
        children: the tables that are known to change along when rows of one are deleted.
    """
    if vendor not in ("postgresql", "sqlite"):
        return f"{vendor} compares texts and numbers in its own way"
    try:
        cursor = driver.cursor()
        cursor.execute(POSTGRESQL if vendor == "postgresql" else SQLITE)
        facts = cursor.fetchall()
        cursor.close()
        return next(_doubts(facts, {table.lower() for table in tables}, children), "")
    except Exception as error:
        return f"its catalogue cannot be read: {error!r}"


def _doubts(
    facts: Iterable[Any], watched: set[str], children: Callable[[str], Collection[str]]
) -> Iterator[str]:
    for kind, name, more in facts:
        is_watched = str(name).lower() in watched
        if kind == "isolation" and name != "read committed":
            yield f"transactions are {name}"
        elif kind == "replica":
            yield "it follows another one, with a delay"
        elif kind in ("view", "policy", "rule", "collation") and is_watched:
            yield f"{name} has a {kind}" if kind != "view" else f"{name} is no table"
        elif kind == "trigger" and _may_write(str(more), watched):
            yield f"a trigger of {name} writes"
        elif kind == "cascade" and str(more).lower() in watched - set(map(str.lower, children(str(name)))):
            yield f"rows of {more} go with those of {name}, and the models do not say so"


def _may_write(source: str, tables: Collection[str]) -> bool:
    """Whether what a trigger does may change one of these tables."""
    body = HARMLESS.sub(" ", re.split(r"\bbegin\b", source, maxsplit=1, flags=re.I)[-1])
    names = set(re.findall(r"\w+", body.lower()))
    return CALLS.search(body) is not None or (
        WRITES.search(body) is not None and not names.isdisjoint(tables)
    )
