"""
What the contract, `cache-strategy.yaml`, bounds: read line by line, for the hook has no YAML.

It understands the form that `plan` writes and people keep: one list item per entry, its fields below it, lists in either
form. What it cannot tell is left out.
"""

from __future__ import annotations

from cache_strategy.rules.index.facts import Fact
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Iterator

NAME = "cache-strategy.yaml"
_ENTRY = regex(r"(?P<in>\s*)-\s+id:\s*(?P<id>\S+)")
_FIELD = regex(r"\s*(?:-\s+)?(?P<name>\w+):\s*(?P<value>.*)$")
_TABLE = regex(r"\btable:\s*['\"]?([\w.]+)")


def entries_of(text: str) -> "list[Fact]":
    """
    Per entry: `entry`, named by the target function, with its longest lifetime in seconds as the detail and the entry's
    id as the place; `depends`, named by a table.
    """
    found: "list[Fact]" = []
    for line, name, block in _blocks(text):
        fields: "dict[str, str]" = {}
        for row in block:
            field = _FIELD.match(row.split(" #")[0])
            if field:
                fields.setdefault(field["name"], field["value"].strip().strip("'\""))
        path, _, function = fields.get("target", "").partition(":")
        limit = _limit(fields, "\n".join(block))
        if function and limit:
            found.append(Fact("entry", function.rpartition(".")[2], line, name, f"{path} {function} {limit}"))
        section = patterns.search(r"depends_on:(.*?)(?=\n\s*\w+:|\Z)", "\n".join(block), patterns.S)
        for table in sorted(set(_TABLE.findall(section[1] if section else ""))):
            found.append(Fact("depends", table, line, name, function))
    return found


def _blocks(text: str) -> "Iterator[tuple[int, str, list[str]]]":
    """(line, id, its lines) of every entry."""
    rows = text.split("\n")
    starts = [
        (number, entry) for number, entry in ((n, _ENTRY.match(row)) for n, row in enumerate(rows)) if entry
    ]
    for position, (number, entry) in enumerate(starts):
        end = starts[position + 1][0] if position + 1 < len(starts) else len(rows)
        block = [rows[number]]
        for row in rows[number + 1 : end]:
            if (
                row.strip()
                and len(row) - len(row.lstrip()) <= len(entry["in"])
                and not row.lstrip().startswith("#")
            ):
                break
            block.append(row)
        yield number + 1, entry["id"].strip("'\""), block


def _limit(fields: "dict[str, str]", block: str) -> "int | None":
    """
    The longest lifetime that keeps the contract: the staleness bound where time alone makes the entry fresh, else the
    larger of the bound and the lifetime that was agreed.
    """
    numbers = {
        name: int(float(fields[name]))
        for name in ("ttl_seconds", "staleness_bound_seconds")
        if patterns.fullmatch(r"\d+(?:\.\d+)?", fields.get(name, ""))
    }
    if not numbers:
        return None
    bound = numbers.get("staleness_bound_seconds", 0)
    if patterns.search(r"how:\s*(?:event|write-through|tag)\b", block) or not bound:
        return max(numbers.get("ttl_seconds", 0), bound) or None
    return bound
