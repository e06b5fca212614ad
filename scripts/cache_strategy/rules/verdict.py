"""What the hook says about an event: nothing, a denial with its reason, a question, or a warning."""

from __future__ import annotations

import os

from cache_strategy.rules._base import ERROR, WARNING
from cache_strategy.rules.event import all_changes_of, check_file, command_of, shown_path
from cache_strategy.rules.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules._rule_file import PatternRule
    from cache_strategy.rules.event import Event
    from cache_strategy.rules.settings import Settings

    Answer = dict[str, object]

# More than this nobody reads at once.
SHOWN = 3
# Source: text for the model beyond about 10,000 characters is moved into a file; the advice is to keep below 1,000.
LONGEST = 2_000


def verdict_on(
    event: "Event",
    project: str,
    rules: "Sequence[PatternRule]" = (),
    config: str = "",
    noted: str = "",
    *,
    judged: bool = True,
) -> "Answer | None":
    """
    The hook's answer as the client reads it; None when the call passes in silence.

    `project` is the folder of the session's project; "" means the event's `cwd`. `rules` are the user's own, `config`
    the user's folder of the client, `noted` a file beside which it is remembered what was said of broken rules. Without
    `judged` the safety rules are not asked.
    """
    name = str(event.get("hook_event_name") or "PreToolUse")
    folder = project or str(event.get("cwd") or "")
    session = Session(event, folder)
    findings, notes = _judged(event, folder, config, session) if judged and name == "PreToolUse" else ([], [])
    errors = [finding for finding in findings if finding.severity == ERROR]
    warnings = _untold([finding for finding in findings if finding.severity == WARNING], session)
    fired = _fired_patterns(event, rules, {finding.name for finding in errors}, [config, folder])
    blocks = [text for action, text, _ in fired if action == "block"]
    questions = [text for action, text, _ in fired if action == "ask"]
    said = [text for action, text, _ in fired if action == "warn"]
    seen = [text for action, text, hookify in fired if action == "warn" and not hookify]
    if errors:
        thing = "command" if event.get("tool_name") == "Bash" else "edit"
        blocks.insert(0, reason_for(errors, thing))
    if blocks:
        doubled = any(action == "block" and hookify for action, _, hookify in fired)
        return _blocked(name, "deny", "\n\n".join(blocks), doubled)
    if questions:
        return _blocked(name, "ask", "\n\n".join(questions))
    if warnings or said or notes:
        told = _lines(warnings)
        return _warned(name, "\n\n".join([*told, *said]), "\n\n".join([*told, *seen, *notes]))
    if name in ("SessionStart", "UserPromptSubmit") and rules:
        from cache_strategy.rules.pattern import notice_of

        notice = notice_of(rules, noted, always=name == "SessionStart")
        return {"systemMessage": notice} if notice else None
    return None


def _judged(event: "Event", project: str, config: str, session: Session) -> "tuple[list[Finding], list[str]]":
    """What a call would bring, as the settings want it told, and lines for the user about the settings, each once a session."""
    from cache_strategy.rules import check_command
    from cache_strategy.rules.settings import read_settings

    data = os.environ.get("CLAUDE_PLUGIN_DATA") or ""
    settings = read_settings(project, config)
    notes = [f"optimize: {problem}" for problem in settings.problems]
    command = command_of(event)
    found = check_command(command) if command else []
    for path, before, after in all_changes_of(event):
        shown = shown_path(path, project)
        left_out = settings.leaves_out(shown)
        if left_out is not None:
            notes.append(
                f"optimize: {left_out.place} leaves {left_out.name} out; edits there are not judged."
            )
            continue
        # The hook after calls runs beside the session, and after a command nobody tells what was there before.
        session.keep(path, before)
        found += check_file(shown, before, after, project, data)
    kept, dropped = settings.applied(found)
    notes += [
        f"optimize: {setting.place} turns {setting.name} off; {f.path} would be told."
        for f, setting in dropped
    ]
    return kept, session.untold(notes)


def _untold(warnings: "list[Finding]", session: Session) -> "list[Finding]":
    """The warnings that this session has not heard yet: each once for a rule and a file."""
    rows = [f"told {finding.path} {finding.name}" for finding in warnings]
    new = set(session.untold(rows))
    return [finding for finding, row in zip(warnings, rows) if row in new]  # noqa: B905 - Python 3.9


def after_the_fact(event: "Event", project: str, config: str) -> "Answer | None":
    """The hook's answer where nothing is to be stopped: a session that begins, a call that is done, the end of a turn."""
    from cache_strategy.rules.settings import read_settings

    name = event.get("hook_event_name")
    settings = read_settings(project, config)
    if name == "SessionStart":
        return _about_settings(settings)
    from cache_strategy.rules.index.store import load_index
    from cache_strategy.rules.still_open import after_call, at_stop

    index = load_index(project, os.environ.get("CLAUDE_PLUGIN_DATA") or "")
    return (after_call if name == "PostToolUse" else at_stop)(event, project, settings, index)


def joined(one: "Answer | None", other: "Answer | None") -> "Answer | None":
    """Two answers to one event as one: both texts, and what stops, stops."""
    if one is None or other is None:
        return one or other
    reasons = [str(a["reason"]) for a in (one, other) if "reason" in a]
    messages = [str(a["systemMessage"]) for a in (one, other) if "systemMessage" in a]
    answer: "Answer" = {"decision": "block", "reason": "\n\n".join(reasons)} if reasons else {}
    return {**one, **other, **answer, **({"systemMessage": "\n\n".join(messages)} if messages else {})}


def _about_settings(settings: "Settings") -> "Answer | None":
    """What the user is told of a project's settings: what is wrong in them, and what they keep the guard from saying."""
    from cache_strategy.rules import all_rules
    from cache_strategy.rules.settings import unknown_rules

    rules = all_rules() if settings.settings else []
    severities = {name: rule.severity for rule in rules for name in (rule.name, rule.code)}
    lines = [*settings.problems, *(unknown_rules(settings, list(severities)) if rules else [])]
    weaker = settings.weakening(severities)
    if weaker:
        lines.append("this project " + ", ".join(weaker))
    return {"systemMessage": "\n".join(f"optimize: {line}" for line in lines)[:LONGEST]} if lines else None


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
    event: "Event", rules: "Sequence[PatternRule]", told: "set[str]", folders: "Sequence[str]"
) -> "list[tuple[str, str, bool]]":
    """
    (action, text, whether the hookify plugin tells the user too) of the user's own rules that fire.

    A check that was told already is left out, and outside of calls what the hookify plugin says: nothing is said twice.
    """
    if not rules:
        return []
    from cache_strategy.rules.pattern import evaluate

    fired = [
        (rule, action, message)
        for rule, action, message in evaluate(rules, event)
        if not rule.check or rule.check not in told
    ]
    doubled: "set[str]" = set()
    if fired:
        from cache_strategy.rules._hookify_plugin import said_by_hookify

        doubled = said_by_hookify([rule.path for rule, _, _ in fired], event, folders)
    is_call = (event.get("hook_event_name") or "PreToolUse") == "PreToolUse"
    return [
        (action, f"[{rule.name}] {message}", rule.path in doubled)
        for rule, action, message in fired
        if is_call or rule.path not in doubled
    ]


def _blocked(name: str, decision: str, reason: str, doubled: bool = False) -> "Answer":
    reason = reason[:LONGEST]
    if name == "PreToolUse" and doubled:
        # Of two denials the client passes one reason on, and the hookify plugin's has none.
        short = "A rule of the user stopped this call."
        return _specific(
            name, permissionDecision=decision, permissionDecisionReason=short, additionalContext=reason
        )
    if name == "PreToolUse":
        return _specific(name, permissionDecision=decision, permissionDecisionReason=reason)
    if name in ("Stop", "UserPromptSubmit") and decision == "deny":
        return {"decision": "block", "reason": reason}
    return {"systemMessage": reason}


def _warned(name: str, text: str, seen: str) -> "Answer":
    """`text` for the model where it listens, `seen` for the user."""
    answer: "Answer" = {"systemMessage": seen[:LONGEST]} if seen else {}
    if text and name in ("PreToolUse", "UserPromptSubmit"):
        answer.update(_specific(name, additionalContext=text[:LONGEST]))
    return answer


def _specific(name: str, **fields: str) -> "Answer":
    return {"hookSpecificOutput": {"hookEventName": name, **fields}}
