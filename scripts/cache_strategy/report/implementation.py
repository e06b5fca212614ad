"""The lines of the patch that belong to one entry."""

import ast
import difflib

from cache_strategy.model.change import Change, ChangeSet
from cache_strategy.model.contract import Entry

MOST_LINES = 40


def implementation_of(entry: Entry, changes: ChangeSet | None) -> str:
    """How the entry stands in the generated module, and the edited lines of the application; "" without a patch."""
    if changes is None:
        return ""
    parts = []
    for change in changes.changes:
        if change.path.endswith("caching/entries.py"):
            parts.append(_definition(change, entry.id.replace("-", "_")))
        elif change.before is not None and entry.id in change.entries and change.path.endswith(".py"):
            parts.append(_edited(change))
    lines = "\n\n".join(p for p in parts if p).splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "# … the rest stands in .cache-strategy/changes.patch"]
    return "\n".join(lines)


def _definition(change: Change, name: str) -> str:
    lines = change.after.splitlines()
    found = []
    for node in ast.parse(change.after).body:
        names = (
            [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        )
        if any(n == name or n.startswith(name + "_") for n in names):
            found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return f"# {change.path}\n" + "\n".join(found) if found else ""


def _edited(change: Change) -> str:
    before, after = (change.before or "").splitlines(), change.after.splitlines()
    hunks = [
        line
        for line in difflib.unified_diff(before, after, n=1, lineterm="")
        if not line.startswith(("---", "+++"))
    ]
    return f"# {change.path}\n" + "\n".join(hunks)
