"""The lines of the patch that belong to one entry."""

import ast
import difflib
import re
from collections.abc import Iterable, Iterator

from cache_strategy.model.change import Change, ChangeSet
from cache_strategy.model.contract import Contract, Entry

MOST_LINES = 60
DEFINITIONS = "caching/entries.py"


def implementation_of(entry: Entry, contract: Contract, changes: ChangeSet | None) -> str:
    """How the entry stands in the generated module, and the lines of the application that use it; "" without a patch."""
    if changes is None:
        return ""
    definitions = next((c for c in changes.changes if c.path.endswith(DEFINITIONS)), None)
    ids = [e.id.replace("-", "_") for e in contract.entries]
    parts = [_definition(definitions, entry, ids)] if definitions else []
    for change in changes.changes:
        if change.before is not None and entry.id in change.entries and change.path.endswith(".py"):
            parts.append(_edited(change, entry, ids))
    lines = "\n\n".join(p for p in parts if p).splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "# … the rest stands in .cache-strategy/changes.patch"]
    return "\n".join(lines)


def _owner(name: str, ids: Iterable[str]) -> str:
    """The entry whose object this is: products_response_http belongs to products_response."""
    return max((i for i in ids if name == i or name.startswith(i + "_")), key=len, default="")


def _definition(change: Change, entry: Entry, ids: list[str]) -> str:
    lines = change.after.splitlines()
    found = []
    for node in ast.parse(change.after).body:
        names = []
        if isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.FunctionDef):
            names = [node.name]
        if any(_owner(name, ids) == entry.id.replace("-", "_") for name in names):
            found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return f"# {change.path}\n" + "\n\n".join(found) if found else ""


def _edited(change: Change, entry: Entry, ids: list[str]) -> str:
    hunks = [h for h in _hunks(change) if _is_about(h, entry, ids)]
    return f"# {change.path}\n" + "\n".join(line for hunk in hunks for line in hunk) if hunks else ""


def _hunks(change: Change) -> Iterator[list[str]]:
    before, after = (change.before or "").splitlines(), change.after.splitlines()
    hunk: list[str] = []
    for line in difflib.unified_diff(before, after, n=1, lineterm=""):
        if line.startswith("@@"):
            if hunk:
                yield hunk
            hunk = [line]
        elif hunk:
            hunk.append(line)
    if hunk:
        yield hunk


def _is_about(hunk: list[str], entry: Entry, ids: list[str]) -> bool:
    added = "\n".join(line for line in hunk if line.startswith("+"))
    names = {_owner(name, ids) for name in re.findall(r"\bcaches\.(\w+)", added)}
    tags = set(re.findall(r"""\.invalidate\(["']([^"']+)["']""", added))
    return entry.id.replace("-", "_") in names or bool(tags & set(entry.tags))
