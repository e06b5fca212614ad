"""
The user's own rules, `.claude/hookify.<name>.local.md` of a project and of the user: which of them fire on an event.

They are decided as hookify does. Where hookify's behaviour is a fault, this engine does what the rule's author meant:
rules about files see what Write writes, text that an edit keeps does not count, rules about other events stay out of
tools they do not name. Beyond hookify: `action: ask`, `check: <safety rule>`, which fires when that rule of ours finds
something, the operator `not_regex_match`, and the fields `added_code` and `commands_since_edit`.

Source: hookify 0.1.0 of anthropics/claude-code, its rule loader and its rule engine.
"""

from __future__ import annotations

import os
import re
import time

from cache_strategy.rules._operands import operands_of
from cache_strategy.rules._rule_file import (
    OPERATORS,
    REGEX,
    REGEX_FAULTS,
    WARN,
    Problem,
    is_rule_file,
    problems_of,
    read_rule,
    rule_of,
)
from cache_strategy.rules._trust import is_foreign
from cache_strategy.rules.event import FILE_TOOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cache_strategy.rules._operands import Operand
    from cache_strategy.rules._rule_file import Condition, PatternRule
    from cache_strategy.rules.event import Event

__all__ = [
    "evaluate",
    "kept_rules",
    "kind_of",
    "load_files",
    "load_rules",
    "notice_of",
    "problems_of",
    "why_silent",
]

# Processor seconds for the patterns of one event; one that backtracks without end must not stop the session. Assumed.
_BUDGET_SECONDS = 1.0
_SHOWN = 10
_FOREIGN = "came with the repository and stays off until you approve it: /optimize:hookify-configure."
_TOO_SLOW = "The pattern of this rule takes too long and was not applied; simplify it."


class TooSlow(Exception):
    """A pattern used up its share of the time."""


def load_rules(project_dir: str) -> "list[PatternRule]":
    """
    The rule files of a project, in the order of their names, disabled and broken ones included.

    A folder that is not there holds no rules.
    """
    folder = os.path.join(project_dir, ".claude")
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []
    return load_files([os.path.join(folder, name) for name in names if is_rule_file(name)])


def load_files(paths: "Sequence[str]", config: str = "") -> "list[PatternRule]":
    """
    These rule files, in this order.

    `config` is the user's folder of the client: rules in it are the user's own. One that came with a repository is off
    until it was approved, and says so in `problems`.
    """
    return [_trusted(read_rule(path), config) for path in paths]


def kept_rules(kept: "Iterable[Any]", config: str) -> "list[PatternRule]":
    """Rules as `load_files` gave them, from their JSON; one that has become the repository's since then is off."""
    return [_trusted(rule_of(fields), config) for fields in kept]


def _trusted(rule: "PatternRule", config: str) -> "PatternRule":
    if rule.enabled and config and os.path.dirname(rule.path) != config and is_foreign(rule.path, config):
        return rule._replace(enabled=False, problems=(Problem("", _FOREIGN, ""), *rule.problems))
    return rule


def notice_of(rules: "Sequence[PatternRule]", noted: str, *, always: bool) -> str:
    """
    What the user should know of rules that cannot work, one line each; "" where all can.

    The same is said once: it is remembered beside the file `noted`. Without one, or with `always`, it is not.
    """
    lines = [
        f"{os.path.basename(rule.path)}: {problem.message} {problem.fix}".rstrip()
        for rule in rules
        for problem in problems_of(rule)
    ]
    text = "\n".join(["optimize: rules that do not work as written:", *lines[:_SHOWN]]) if lines else ""
    news = bool(noted) and _is_news(text, noted + ".told")
    return text if always or news else ""


def _is_news(text: str, path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
    except (OSError, ValueError):
        before = ""
    if text != before:
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except (OSError, ValueError):
            return False
    return text != before


def evaluate(rules: "Sequence[PatternRule]", event: "Event") -> "list[tuple[PatternRule, str, str]]":
    """
    (rule, action, message) of the rules that fire on a hook event, in the order of the rules.

    `action` is "block", "ask" or "warn"; the message is the rule's own, with the finding below it for a `check`. A
    PostToolUse event fires nothing: what there was to say was said before the call. A rule whose pattern takes too
    long counts as not fired and says so as a warning.
    """
    kind = kind_of(event)
    if kind is None:
        return []
    fired = []
    seen: "dict[str, list[Operand]]" = {}
    budget = _Budget(_BUDGET_SECONDS)
    for rule in rules:
        if not rule.enabled or not _is_about(rule, kind, event):
            continue
        try:
            with budget:
                message = _fires(rule, kind, event, seen)
        except TooSlow:
            fired.append((rule, WARN, _TOO_SLOW))
            continue
        if message is not None:
            fired.append((rule, rule.action, message))
    return fired


def kind_of(event: "Event") -> "str | None":
    """ "bash", "file", "stop", "prompt", "other" for another tool, or None where no rule is asked."""
    name = event.get("hook_event_name") or "PreToolUse"
    if name in ("Stop", "SubagentStop"):
        return None if event.get("stop_hook_active") is True else "stop"
    if name == "UserPromptSubmit":
        return "prompt"
    if name != "PreToolUse":
        return None
    tool = event.get("tool_name")
    return "bash" if tool == "Bash" else "file" if tool in FILE_TOOLS else "other"


def why_silent(rule: "PatternRule", event: "Event") -> str:
    """Why a rule does not fire on an event: the first thing that keeps it; "" where it fires."""
    kind = kind_of(event)
    if kind is None:
        return "no rule is asked on this event"
    if not rule.enabled:
        return rule.problems[0].message if rule.problems else "it is off"
    if not _is_about(rule, kind, event):
        asked = f"{'|'.join(rule.events)} {rule.tool_matcher}".strip()
        return f"it is about {asked}, this is {kind} {event.get('tool_name') or ''}".strip()
    for condition in rule.conditions:
        operands = operands_of(condition.field, kind, event)
        if not _is_true(condition, operands):
            field = condition.field or "the text"
            has = "is not there" if not operands else f"is {operands[0].text[:200]!r}"
            return f"{field} {has}: not {condition.operator} {condition.pattern!r}"
    return "" if evaluate([rule], event) else f"the safety check {rule.check} finds nothing"


def _is_about(rule: "PatternRule", kind: str, event: "Event") -> bool:
    if kind not in rule.events and "all" not in rule.events:
        return False
    if not rule.tool_matcher or rule.tool_matcher == "*":
        return True
    return event.get("tool_name") in rule.tool_matcher.split("|")


def _fires(rule: "PatternRule", kind: str, event: "Event", seen: "dict[str, list[Operand]]") -> "str | None":
    """The message when a rule fires, else None; `seen` keeps the texts of the event's fields for the next rule."""
    if not rule.conditions and not rule.check:
        return None
    for condition in rule.conditions:
        if condition.field not in seen:
            seen[condition.field] = operands_of(condition.field, kind, event)
        if not _is_true(condition, seen[condition.field]):
            return None
    if not rule.check:
        return rule.message
    from cache_strategy.rules.event import check_event

    found = [finding for finding in check_event(event) if rule.check in (finding.name, finding.rule)]
    if not found:
        return None
    texts = [f"[{finding.name}] {finding.message}\nFix: {finding.fix}" for finding in found[:3]]
    return "\n".join(filter(None, [rule.message, *texts]))


def _is_true(condition: "Condition", operands: "list[Operand]") -> bool:
    pattern, operator = condition.pattern, condition.operator
    if pattern is None or operator not in OPERATORS or not operands:
        return False
    if operator == "not_contains":
        return all(pattern not in operand.text for operand in operands)
    if operator not in REGEX:
        return any(_compares(operator, pattern, operand) for operand in operands)
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except REGEX_FAULTS:
        return False
    if operator == "not_regex_match":
        return all(compiled.search(operand.text) is None for operand in operands)
    return any(_matches(compiled, operand) for operand in operands)


def _matches(pattern: "re.Pattern[str]", operand: "Operand") -> bool:
    """Whether a pattern is found, and not only in text that was there before."""
    if pattern.search(operand.text) is None:
        return False
    if not operand.replaced or all(pattern.search(sign) for sign in "a0("):
        return True  # a pattern for any text means the edit itself
    kept: "dict[str, int]" = {}
    for found in pattern.finditer(operand.replaced):
        kept[found.group()] = kept.get(found.group(), 0) + 1
    for found in pattern.finditer(operand.text):
        if not kept.get(found.group()):
            return True
        kept[found.group()] -= 1
    return False


def _compares(operator: str, pattern: str, operand: "Operand") -> bool:
    text = operand.text
    if operator == "contains":
        return pattern in text and (not pattern or text.count(pattern) > operand.replaced.count(pattern))
    if operator == "equals":
        return text == pattern
    return text.startswith(pattern) if operator == "starts_with" else text.endswith(pattern)


class _Budget:
    """
    Raises TooSlow inside the block once a quarter of the processor time that is left is used up.

    So a slow rule never takes the time of those after it. Without such a timer (Windows) it does nothing.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.earlier: object = None

    def __enter__(self) -> None:
        self.began = time.process_time()
        try:
            import _signal  # type: ignore[import-not-found]  # `signal` without its enums

            self.earlier = _signal.signal(_signal.SIGVTALRM, self.stop)
            _signal.setitimer(_signal.ITIMER_VIRTUAL, self.left / 4)
        except (ImportError, AttributeError, ValueError):
            self.earlier = None

    def __exit__(self, *raised: object) -> None:
        self.left = max(0.02, self.left - (time.process_time() - self.began))
        if self.earlier is not None:
            import _signal

            _signal.setitimer(_signal.ITIMER_VIRTUAL, 0)
            _signal.signal(_signal.SIGVTALRM, self.earlier)

    @staticmethod
    def stop(number: int, frame: object) -> None:
        raise TooSlow
