"""SQL in strings: which tables a statement reads and writes. sqlglot is imported when the first one is read."""

import re
from dataclasses import astuple, dataclass
from typing import Any

PLACEHOLDER = "unknown_part_"
"""Stands in SQL text where the program puts a value that is not known; as a table's name it becomes "?"."""

_BEGINS = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*|\()*(select|insert|update|delete|with|merge|replace|truncate|"
                     r"create|alter|drop|refresh|copy|call|explain)\b", re.IGNORECASE | re.DOTALL)  # fmt: skip
_PARAMETER = re.compile(r"(?<![:\w])[:@]\w+|%\(\w+\)s|%s|(?<!\?)\?(?![?|&])|\$\d+")
_QUOTED = re.compile(
    r"(?P<string>\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|(?P<dollars>\$(?:[A-Za-z_]\w*)?\$).*?(?P=dollars))"
    r'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/',
    re.DOTALL,
)
"""What may hold quotes and semicolons that mean nothing: strings, quoted names, comments."""
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Statement:
    """
    One SQL statement. `verb` is select, insert, update, delete or ddl; `reads` and `writes` are table names.

    `parameters` says whether it has bind parameters or parts put in by the program.
    """

    verb: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    aggregate: bool = False
    joins: int = 0
    parameters: bool = False


_cache: dict[str, Statement | None] = {}


def kept() -> dict[str, tuple[object, ...] | None]:
    """Every statement that was read, as plain data, for `know`."""
    return {text: None if found is None else astuple(found) for text, found in _cache.items()}


def know(statements: dict[str, tuple[Any, ...] | None]) -> None:
    _cache.update((text, None if found is None else Statement(*found)) for text, found in statements.items())


def looks_like_sql(text: str) -> bool:
    return _BEGINS.match(text) is not None and " " in text.strip()


def read_statement(text: str) -> Statement | None:
    """What a text of SQL does; None where it is no SQL statement. Several statements are taken together."""
    if text not in _cache:
        _cache[text] = _read(text)
    return _cache[text]


def is_one_select(text: str) -> bool:
    """Whether a text as PostgreSQL gets it is exactly one SELECT that writes nothing; False where that is not sure."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except (SqlglotError, RecursionError, ValueError):
        return False
    writes = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.DDL, exp.Into, exp.Command, exp.Lock)
    return len(trees) == 1 and isinstance(trees[0], exp.Query) and trees[0].find(*writes) is None


def parameters_of(text: str) -> int:
    """The highest $1, $2 … outside strings."""
    return max((int(number) for number in re.findall(r"\$(\d+)", _without_strings(text))), default=0)


def _without_strings(text: str) -> str:
    def emptied(match: "re.Match[str]") -> str:
        return "''" if match["string"] else match[0] if match[0].startswith('"') else " "

    return _QUOTED.sub(emptied, text)


def _read(text: str) -> Statement | None:
    if len(text) > _LONGEST or not looks_like_sql(text):
        return None
    bare = _without_strings(text)
    parameters = bool(_PARAMETER.search(bare)) or PLACEHOLDER in text
    parsed = _parsed(_PARAMETER.sub("NULL", bare) if parameters else bare)
    if parsed is None:
        return _by_words(text, parameters)
    reads: set[str] = set()
    writes: set[str] = set()
    verb = "select"
    aggregate = False
    joins = 0
    for tree in parsed:
        verb_here = _collect(tree, reads, writes)
        verb = verb_here if verb == "select" else verb
        aggregate = aggregate or _aggregates(tree)
        joins += _joins(tree)
    return Statement(verb, _names(reads), _names(writes), aggregate, joins, parameters)


def _names(found: set[str]) -> tuple[str, ...]:
    return tuple(sorted({"?" if PLACEHOLDER in name else name for name in found if name}))


def _parsed(text: str) -> "list[Any] | None":
    import logging

    import sqlglot
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    for dialect in ("postgres", "mysql", None):
        try:
            trees = [tree for tree in sqlglot.parse(text, dialect=dialect) if tree is not None]
        except (SqlglotError, RecursionError, ValueError):
            continue
        if trees and not any(type(tree).__name__ == "Command" for tree in trees):
            return trees
    return None


def _collect(tree: Any, reads: set[str], writes: set[str]) -> str:
    from sqlglot import exp

    named = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    verb = "select"
    for node in tree.walk():
        target = None
        if isinstance(node, exp.Insert | exp.Merge):
            verb, target = "insert", node.this
        elif isinstance(node, exp.Update):
            verb, target = "update", node.this
        elif isinstance(node, exp.Delete):
            verb, target = "delete", node.this
        elif isinstance(node, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
            verb = "ddl"
            targets = node.expressions if isinstance(node, exp.TruncateTable) else [node.this]
            for found in targets:
                table = found.find(exp.Table) if found is not None else None
                if table is not None:
                    writes.add(table.name)
                    table.set("written", True)
        if target is not None:
            table = target if isinstance(target, exp.Table) else target.find(exp.Table)
            if table is not None:
                writes.add(table.name)
                table.set("written", True)
    for table in tree.find_all(exp.Table):
        if table.name and table.name not in named and not table.args.get("written"):
            reads.add(table.name)
    return verb


def _aggregates(tree: Any) -> bool:
    from sqlglot import exp

    return any(True for _ in tree.find_all(exp.AggFunc, exp.Group))


def _joins(tree: Any) -> int:
    from sqlglot import exp

    return sum(1 for _ in tree.find_all(exp.Join))


_TABLE_WORD = re.compile(
    r"\b(from|join|into|update|table)\s+(?:only\s+|if\s+(?:not\s+)?exists\s+)?([\w.\"`]+)", re.IGNORECASE
)
_NO_TABLES = frozenset("select set lateral unnest generate_series values only".split())


def _by_words(text: str, parameters: bool) -> Statement:
    first = _BEGINS.match(text)
    verb = first.group(1).lower() if first else "select"
    reads: set[str] = set()
    writes: set[str] = set()
    for word, name in _TABLE_WORD.findall(_without_strings(text)):
        table = name.replace('"', "").replace("`", "").rpartition(".")[2]
        if not table or table.lower() in _NO_TABLES:
            continue
        is_write = word.lower() in ("into", "update", "table") or (verb == "delete" and not writes)
        (writes if is_write else reads).add(table)
    known = {"select": "select", "with": "select", "insert": "insert", "update": "update", "delete": "delete"}
    aggregate = re.search(r"\b(count|sum|avg|min|max)\s*\(|\bgroup\s+by\b", text, re.IGNORECASE) is not None
    joins = len(re.findall(r"\bjoin\b", text, re.IGNORECASE))
    return Statement(known.get(verb, "ddl"), _names(reads), _names(writes), aggregate, joins, parameters)
