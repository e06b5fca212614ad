"""What the hook says about an event: nothing, a denial with its reason, a question, or a warning."""

from __future__ import annotations

import os

from cache_strategy.rules import check_change, check_command
from cache_strategy.rules._base import ERROR, WARNING
from cache_strategy.rules.event import changes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules.event import Event

# More than this is not read by anybody. Source: hook texts beyond about 10,000 characters become a file.
SHOWN = 3


def check_event(event: "Event") -> "list[Finding]":
    """What a tool call would bring: findings of the command, or of every file that it changes."""
    if event.get("tool_name") == "Bash":
        given = event.get("tool_input")
        command = given.get("command") if isinstance(given, dict) else None
        return check_command(command, str(event.get("cwd") or "")) if isinstance(command, str) else []
    return [
        finding for path, before, after in changes_of(event) for finding in check_change(before, after, path)
    ]


def verdict_on(event: "Event", project: str) -> "dict[str, object] | None":
    """The hook's answer as the client reads it; None when the call passes in silence."""
    if event.get("hook_event_name", "PreToolUse") != "PreToolUse":
        return None
    findings = check_event(event)
    folder = project or str(event.get("cwd") or "")
    errors = [finding for finding in findings if finding.severity == ERROR]
    warnings = [finding for finding in findings if finding.severity == WARNING]
    if errors:
        thing = "command" if event.get("tool_name") == "Bash" else "edit"
        return _specific(
            permissionDecision="deny", permissionDecisionReason=reason_for(errors, thing, folder)
        )
    if warnings:
        text = "\n".join(_lines(warnings, folder))
        return {**_specific(additionalContext=text), "systemMessage": text}
    return None


def reason_for(findings: "Sequence[Finding]", thing: str, folder: str) -> str:
    """The text that reaches the model: what, where, how to fix it, how to allow it."""
    name = findings[0].name
    where = "at the end of the command" if thing == "command" else "on that line"
    return "\n".join(
        [
            f"optimize stopped this {thing}: it would make caching unsafe.",
            *_lines(findings, folder),
            f"If it is safe here, say why {where}: # cache-safety: allow[{name}] REASON",
        ]
    )


def _lines(findings: "Sequence[Finding]", folder: str) -> "list[str]":
    lines = []
    for finding in findings[:SHOWN]:
        place = f"{_shown_path(finding.path, folder)}:{finding.line}: " if finding.path != "<command>" else ""
        lines.append(f"{place}[{finding.name}] {finding.message}\nFix: {finding.fix}")
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN} more.")
    return lines


def _shown_path(path: str, folder: str) -> str:
    try:
        shown = os.path.relpath(path, folder) if folder else path
    except ValueError:
        return path
    return path if shown.startswith("..") else shown


def _specific(**fields: str) -> "dict[str, object]":
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **fields}}
