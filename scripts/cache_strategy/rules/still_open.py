"""
After the fact: what is still unsafe in the files that the session changed, against the files as they were before it.

PostToolUse tells what has not been told (two harmless edits can make an unsafe one), Stop sums up: what must not stay is given back
to the model once, what may stay and what was allowed is told to the user once.
"""

from __future__ import annotations

import os

from cache_strategy.rules._base import ERROR, WARNING
from cache_strategy.rules.event import command_of, read_text, shown_path
from cache_strategy.rules.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules.event import Event
    from cache_strategy.rules.index.store import ProjectIndex
    from cache_strategy.rules.settings import Settings

SHOWN = 5


def before_of(event: "Event") -> "tuple[str, str | None] | None":
    """(path, text as it was, None for a new file) of the file that a file tool has changed, as the client tells it."""
    given, told = event.get("tool_input"), event.get("tool_response")
    if not isinstance(given, dict) or not isinstance(told, dict):
        return None
    path = given.get("file_path")
    text = told.get("originalFile", given)
    if (
        not isinstance(path, str)
        or not path.endswith((".py", ".pyi"))
        or not (text is None or isinstance(text, str))
    ):
        return None
    cwd = event.get("cwd")
    return os.path.join(cwd if isinstance(cwd, str) else "", path), text


def open_findings(
    session: Session,
    project: str,
    settings: "Settings",
    index: "ProjectIndex | None",
    only: "list[str] | None" = None,
) -> "tuple[list[Finding], list[str]]":
    """What the session's changes leave unsafe, and the lines that it allowed; `only` of some files."""
    from cache_strategy.rules import check_change

    found: "list[Finding]" = []
    allowed: "list[str]" = []
    for path, name in session.kept().items():
        now = read_text(path) if only is None or path in only else None
        shown = shown_path(path, project)
        if now is None or settings.leaves_out(shown):
            continue
        before = session.text(name)
        before = before.replace("\r\n", "\n") if before is not None else None
        found += check_change(before, now, shown, lambda: index)
        allowed += _allows_brought(before or "", now, shown)
    return settings.applied(found)[0], allowed


def after_call(
    event: "Event", project: str, settings: "Settings", index: "ProjectIndex | None"
) -> "dict[str, Any] | None":
    """What to say after a call: what the session leaves unsafe in the file and has not been told."""
    session = Session(event, project)
    changed = before_of(event)
    if not session.folder:
        return None
    if changed is not None:
        session.keep(*changed)
        paths = [changed[0]]
    else:
        command = command_of(event)
        paths = [path for path in session.kept() if os.path.basename(path) in command] if command else []
    found, _ = open_findings(session, project, settings, index, paths)
    rows = {f"told {f.path} {f.name}": f for f in found if f.severity in (ERROR, WARNING)}
    new = [rows[row] for row in session.untold(rows)]
    if not new:
        return None
    text = "\n".join(
        ["optimize: after this edit caching is unsafe, seen over all edits of this session:", *_lines(new)]
    )
    return {
        "systemMessage": text,
        "hookSpecificOutput": {"hookEventName": "PostToolUse", "additionalContext": text},
    }


def at_stop(
    event: "Event", project: str, settings: "Settings", index: "ProjectIndex | None"
) -> "dict[str, Any] | None":
    """What to say at the end of a turn."""
    session = Session(event, project)
    if not session.folder or not session.kept():
        return None
    found, allowed = open_findings(session, project, settings, index)
    errors = [finding for finding in found if finding.severity == ERROR]
    warnings = [finding for finding in found if finding.severity == WARNING]
    rows = [f"stop {f.path} {f.name} {f.message}" for f in errors + warnings] + [
        f"stop {row}" for row in allowed
    ]
    if not session.untold(rows):
        return None
    parts = []
    if errors:
        parts += [
            f"{_many(len(errors), 'unsafe caching change')} of this session still open:",
            *_lines(errors),
        ]
    if warnings:
        parts += [f"{_many(len(warnings), 'warning')} about caching still open:", *_lines(warnings)]
    if allowed:
        parts += [f"{_many(len(allowed), 'line')} allowed with a reason:", *allowed[:SHOWN]]
    text = "optimize: " + "\n".join(parts)
    if errors and event.get("stop_hook_active") is not True:
        return {"decision": "block", "reason": text}
    return {"systemMessage": text}


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" + "s" * (count > 1)


def _lines(findings: "list[Finding]") -> "list[str]":
    rows = [f"  {f.path}:{f.line}: [{f.name}] {f.message} Fix: {f.fix}" for f in findings[:SHOWN]]
    return rows + [f"  and {len(findings) - SHOWN} more."] * (len(findings) > SHOWN)


def _allows_brought(before: str, now: str, path: str) -> "list[str]":
    from cache_strategy.rules._suppress import MARK, allows_in

    had = {row.strip() for row in before.split("\n") if MARK in row}
    rows = []
    for number, row in enumerate(now.split("\n"), start=1):
        allow = allows_in(row) if MARK in row and row.strip() not in had else None
        if allow is not None and allow[1]:
            rows.append(f"  {path}:{number}: allow[{', '.join(sorted(allow[0]))}] {allow[1]}")
    return rows
