"""
CS207 blocking-refresh

What it does
    Flags REFRESH MATERIALIZED VIEW without CONCURRENTLY in SQL files and in the SQL of Python code, and one with
    CONCURRENTLY for a view that has no unique index, which always fails. Files that create, fill or drop the view, and
    migrations, may block.

Why is this bad
    Without CONCURRENTLY everybody who reads the view waits until the refresh is done.

Example
    from django.db import connection
    def refresh_totals():
        with connection.cursor() as cursor:
            cursor.execute("REFRESH MATERIALIZED VIEW totals")

Use instead
    from django.db import connection
    def refresh_totals():
        with connection.cursor() as cursor:
            cursor.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY totals")

Known problems
    A view that nobody reads at night may well be refreshed so: allow the line. Names that are put together at run time
    are not read.

Source
    https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html; 3 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, Rule
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS207", severity="warning", keywords=("materialized view",))

_NAME = r"((?:[\w$]+|\"[^\"]+\")(?:\.(?:[\w$]+|\"[^\"]+\"))?)"
_REFRESH = regex(
    rf"\bREFRESH\s+MATERIALIZED\s+VIEW\s+(CONCURRENTLY\s+)?(?!CONCURRENTLY\b){_NAME}(\s+WITH\s+NO\s+DATA)?",
    patterns.I,
)
_CHANGES = regex(
    rf"\b(CREATE|DROP|ALTER)\s+MATERIALIZED\s+VIEW\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?{_NAME}", patterns.I
)
_UNIQUE = regex(rf"\bCREATE\s+UNIQUE\s+INDEX\s[^;]{{0,200}}?\bON\s+(?:ONLY\s+)?{_NAME}", patterns.I)
_COMMENT = regex(r"--[^\n]*|/\*[\s\S]*?(?:\*/|\Z)")
_ONCE = regex(
    r"migrat|alembic|/versions/|(?:^|/)v\d[\d.]*__|initial|create|setup|install|schema|seed|fill|bootstrap|dump|fixture|test",
    patterns.I,
)
_RUNS = frozenset(
    "execute executemany text raw exec_driver_sql run_sql RunSQL fetch fetchval fetchrow SQL".split()
)
_FIX = "Give the view a unique index and refresh it CONCURRENTLY."


@rule.config("sql")
def visit_sql(file: "ConfigFile") -> "Iterator[Finding]":
    text = _COMMENT.sub(lambda found: "\n" * found.group().count("\n"), file.text)
    changed = {_bare(found[2]): found[1].upper() for found in _CHANGES.finditer(text)}
    unique = {_bare(found[1]) for found in _UNIQUE.finditer(text)}
    for found in _REFRESH.finditer(text):
        name = _bare(found[2])
        line = text.count("\n", 0, found.start()) + 1
        if found[1] and changed.get(name) == "CREATE" and name not in unique:
            message = f"{found[2]} has no unique index, so REFRESH ... CONCURRENTLY fails each time."
            yield rule.finding(
                (line, 0, line), message, fix=f"CREATE UNIQUE INDEX ON {found[2]} (its key).", severity=ERROR
            )
        elif not found[1] and not found[3] and name not in changed and not _ONCE.search(file.path):
            yield rule.finding((line, 0, line), _message(found[2]), fix=_FIX)


@rule.visit(ast.Constant)
def visit_text(node: "ast.Constant", module: "IndexedModule") -> "Iterator[Finding]":
    if not isinstance(node.value, str) or _ONCE.search(module.path):
        return
    found = _REFRESH.match(node.value.lstrip())
    holder = module.parent(node)
    while isinstance(holder, (ast.JoinedStr, ast.BinOp)):
        holder = module.parent(holder)
    if found and not found[1] and not found[3] and isinstance(holder, ast.Call):
        called = getattr(holder.func, "attr", "") or getattr(holder.func, "id", "")
        if called in _RUNS:
            yield rule.finding(node, _message(found[2]), fix=_FIX)


def _message(name: str) -> str:
    return f"REFRESH MATERIALIZED VIEW {name}: all readers of the view wait until the refresh is done."


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"').lower()
