"""What the hook says about an event: nothing, a denial with its reason, a question, or a warning."""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, WARNING
from cache_strategy.rules.event import check_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules.event import Event
    from cache_strategy.rules._rule_file import PatternRule

    Answer = dict[str, object]

# More than this nobody reads at once.
SHOWN = 3
# Source: text for the model beyond about 10,000 characters is moved into a file; the advice is to keep below 1,000.
LONGEST = 2_000


def verdict_on(
    event: "Event", project: str, rules: "Sequence[PatternRule]" = (), noted: str = ""
) -> "Answer | None":
    """
    The hook's answer as the client reads it; None when the call passes in silence.

    `project` is the folder of the session's project; "" means the event's `cwd`. `rules` are the user's own, `noted` a
    file beside which it is remembered what was said of broken ones.
    """
    name = str(event.get("hook_event_name") or "PreToolUse")
    folder = project or str(event.get("cwd") or "")
    findings = check_event(event, folder) if name == "PreToolUse" else []
    errors = [finding for finding in findings if finding.severity == ERROR]
    warnings = [finding for finding in findings if finding.severity == WARNING]
    fired = _fired_patterns(event, rules, {finding.name for finding in errors})
    blocks = [text for action, text in fired if action == "block"]
    questions = [text for action, text in fired if action == "ask"]
    said = [text for action, text in fired if action == "warn"]
    if errors:
        thing = "command" if event.get("tool_name") == "Bash" else "edit"
        blocks.insert(0, reason_for(errors, thing))
    if blocks:
        return _blocked(name, "deny", "\n\n".join(blocks))
    if questions:
        return _blocked(name, "ask", "\n\n".join(questions))
    if warnings or said:
        return _warned(name, "\n\n".join([*_lines(warnings), *said]))
    return None


def reason_for(findings: "Sequence[Finding]", thing: str) -> str:
    """The text that reaches the model: what, where, how to fix it, how to allow it."""
    name = findings[0].name
    where = "at the end of the command" if thing == "command" else "on that line"
    return "\n".join(
        [
            f"optimize stopped this {thing}: it would make caching unsafe.",
            *_lines(findings),
            f"If it is safe here, say why {where}: # cache-safety: allow[{name}] REASON",
        ]
    )


def _lines(findings: "Sequence[Finding]") -> "list[str]":
    lines = []
    for finding in findings[:SHOWN]:
        place = "" if finding.path == "<command>" else f"{finding.path}:{finding.line}: "
        lines.append(f"{place}[{finding.name}] {finding.message}\nFix: {finding.fix}")
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN} more.")
    return lines


def _fired_patterns(
    event: "Event", rules: "Sequence[PatternRule]", told: "set[str]"
) -> "list[tuple[str, str]]":
    """(action, text) of the user's own rules that fire; a check that was told already is left out."""
    if not rules:
        return []
    from cache_strategy.rules.pattern import evaluate

    return [
        (action, f"[{rule.name}] {message}")
        for rule, action, message in evaluate(rules, event)
        if not rule.check or rule.check not in told
    ]


def _blocked(name: str, decision: str, reason: str) -> "Answer":
    reason = reason[:LONGEST]
    if name == "PreToolUse":
        return _specific(name, permissionDecision=decision, permissionDecisionReason=reason)
    if name in ("Stop", "UserPromptSubmit") and decision == "deny":
        return {"decision": "block", "reason": reason}
    return {"systemMessage": reason}


def _warned(name: str, text: str) -> "Answer":
    text = text[:LONGEST]
    if name in ("PreToolUse", "UserPromptSubmit"):
        return {**_specific(name, additionalContext=text), "systemMessage": text}
    return {"systemMessage": text}


def _specific(name: str, **fields: str) -> "Answer":
    return {"hookSpecificOutput": {"hookEventName": name, **fields}}
