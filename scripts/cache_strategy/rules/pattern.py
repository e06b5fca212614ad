"""
The user's own rules: `.claude/hookify.<name>.local.md`, read and decided as hookify does.

A file is a frontmatter (name, enabled, event, action, pattern or conditions, tool_matcher) and the message below
it. Where hookify's behaviour is a fault, this engine does what the rule's author meant: rules about files see what
Write writes, text that an edit keeps does not count, rules about other events stay out of tools they do not name.
Beyond hookify: `action: ask`, and `check: <safety rule>`, which fires when that rule of ours finds something.

Source: hookify 0.1.0 of anthropics/claude-code, its rule loader and its rule engine.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple

from cache_strategy.rules._frontmatter import Value, read_frontmatter
from cache_strategy.rules._operands import operands_of
from cache_strategy.rules.event import FILE_TOOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NamedTuple, Optional

    from cache_strategy.rules._operands import Operand
    from cache_strategy.rules.event import Event

    class Condition(NamedTuple):
        field: str
        operator: str
        pattern: Optional[str]

    class PatternRule(NamedTuple):
        name: str
        enabled: bool
        events: "tuple[str, ...]"
        action: str
        conditions: "tuple[Condition, ...]"
        check: str
        tool_matcher: str
        message: str
        path: str
        problems: "tuple[str, ...]"
else:
    # One comparison; `field` is "" for the simple `pattern`, whose field depends on the event.
    Condition = namedtuple("Condition", "field operator pattern")
    # One file. `problems` are the reasons why it cannot work as written, one line each.
    PatternRule = namedtuple(
        "PatternRule", "name enabled events action conditions check tool_matcher message path problems"
    )

EVENTS = ("bash", "file", "stop", "prompt", "all")
OPERATORS = ("regex_match", "contains", "equals", "not_contains", "starts_with", "ends_with")
BLOCK, ASK, WARN = "block", "ask", "warn"

_FILE_LIMIT = 256_000
# Processor seconds for all patterns of one event; a pattern that backtracks without end must not stop the session. Assumed.
_BUDGET_SECONDS = 0.5
_FALSE = frozenset(("false", "no", "off", "0"))


class TooSlow(Exception):
    """The patterns of an event used up their time."""


def load_rules(project_dir: str) -> "list[PatternRule]":
    """
    The rule files of a project, in the order of their names, disabled and broken ones included.

    A file that cannot work is a rule with `enabled` false, or with a condition that is never true, and says why in
    `problems`. A folder that is not there holds no rules.
    """
    folder = os.path.join(project_dir, ".claude")
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []
    return [
        _read_rule(os.path.join(folder, name))
        for name in names
        if name.startswith("hookify.") and name.endswith(".local.md")
    ]


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
    for rule in rules:
        if not rule.enabled or not _is_about(rule, kind, event):
            continue
        try:
            with _Budget():
                message = _fires(rule, kind, event)
        except TooSlow:
            fired.append(
                (rule, WARN, "The pattern of this rule takes too long and was not applied; simplify it.")
            )
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


def _read_rule(path: str) -> PatternRule:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_LIMIT)
    except (OSError, ValueError) as error:
        return _broken(path, f"cannot be read: {getattr(error, 'strerror', '') or error}.")
    fields, message = read_frontmatter(data.decode("utf-8-sig", "replace"))
    if fields is None:
        return _broken(path, "has no frontmatter: the first line must be ---, and a line --- must close it.")
    problems: "list[str]" = []
    events = tuple(word.strip().lower() for word in _words(fields.get("event") or "all"))
    problems += [
        f'event "{word}" is unknown; there are {", ".join(EVENTS)}.' for word in events if word not in EVENTS
    ]
    check = _text(fields, "check")
    conditions = tuple(_conditions(fields, problems))
    if not conditions and not check:
        problems.append("has neither a pattern nor conditions nor a check, so it never fires.")
    action = _text(fields, "action", "warn").lower()
    if action not in (BLOCK, ASK, WARN):
        problems.append(f'action "{action}" only warns; there are block, ask and warn.')
        action = WARN
    return PatternRule(
        _text(fields, "name", "unnamed"),
        _text(fields, "enabled", "true").lower() not in _FALSE,
        events,
        action,
        conditions,
        check,
        _text(fields, "tool_matcher"),
        message,
        path,
        tuple(problems),
    )


def _broken(path: str, problem: str) -> PatternRule:
    name = os.path.basename(path)[len("hookify.") : -len(".local.md")]
    return PatternRule(name, False, ("all",), WARN, (), "", "", "", path, (problem,))


def _text(fields: "dict[str, Value]", key: str, default: str = "") -> str:
    value = fields.get(key)
    return value if isinstance(value, str) and value else default


def _words(value: "Value") -> "list[str]":
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else [str(value)]


def _conditions(fields: "dict[str, Value]", problems: "list[str]") -> "Iterator[Condition]":
    listed = fields.get("conditions")
    if not isinstance(listed, list) or not listed:
        pattern = _text(fields, "pattern")
        if pattern:
            yield _checked(Condition("", "regex_match", pattern), problems)
        return
    for item in listed:
        if not isinstance(item, dict):
            problems.append(f'condition "{item}" has no field.')
            yield Condition("", "none", None)
            continue
        pattern_or_none = item.get("pattern")
        yield _checked(
            Condition(
                str(item.get("field") or ""),
                str(item.get("operator") or "regex_match"),
                pattern_or_none if isinstance(pattern_or_none, str) else None,
            ),
            problems,
        )


def _checked(condition: Condition, problems: "list[str]") -> Condition:
    if condition.operator not in OPERATORS:
        problems.append(f'operator "{condition.operator}" is unknown; there are {", ".join(OPERATORS)}.')
    if condition.pattern is None:
        problems.append("a condition has no pattern, so it is never true.")
    return condition


def problems_of(rule: PatternRule) -> "list[str]":
    """Why a rule cannot work as written, one line each; compiles its patterns, which loading does not."""
    found = list(rule.problems)
    for condition in rule.conditions:
        if condition.operator == "regex_match" and condition.pattern is not None:
            try:
                re.compile(condition.pattern, re.IGNORECASE)
            except (re.error, RecursionError, OverflowError) as error:
                found.append(f'pattern "{condition.pattern}" is no regular expression: {error}.')
    if rule.check:
        from cache_strategy.rules import all_rules

        if not any(rule.check in (known.name, known.code) for known in all_rules()):
            found.append(
                f'check "{rule.check}" is no safety rule; {", ".join(known.name for known in all_rules())} are.'
            )
    return found


def _is_about(rule: PatternRule, kind: str, event: "Event") -> bool:
    if kind not in rule.events and "all" not in rule.events:
        return False
    if not rule.tool_matcher or rule.tool_matcher == "*":
        return True
    return event.get("tool_name") in rule.tool_matcher.split("|")


def _fires(rule: PatternRule, kind: str, event: "Event") -> "str | None":
    """The message when a rule fires, else None."""
    if not rule.conditions and not rule.check:
        return None
    if not all(_is_true(condition, kind, event) for condition in rule.conditions):
        return None
    if not rule.check:
        return rule.message
    from cache_strategy.rules.event import check_event

    found = [finding for finding in check_event(event) if rule.check in (finding.name, finding.rule)]
    if not found:
        return None
    texts = [f"[{finding.name}] {finding.message}\nFix: {finding.fix}" for finding in found[:3]]
    return "\n".join(filter(None, [rule.message, *texts]))


def _is_true(condition: Condition, kind: str, event: "Event") -> bool:
    pattern, operator = condition.pattern, condition.operator
    if pattern is None or operator not in OPERATORS:
        return False
    operands = operands_of(condition.field, kind, event)
    if not operands:
        return False
    if operator == "not_contains":
        return all(pattern not in operand.text for operand in operands)
    if operator == "regex_match":
        try:
            compiled = re.compile(pattern, re.IGNORECASE)
        except (re.error, RecursionError, OverflowError):
            return False
        return any(_matches(compiled, operand) for operand in operands)
    return any(_compares(operator, pattern, operand) for operand in operands)


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
    """Raises TooSlow inside the block once its processor time is used up; without such a timer it does nothing."""

    def __enter__(self) -> None:
        self.earlier: object = None
        try:
            import _signal  # type: ignore[import-not-found]  # `signal` without its enums

            self.earlier = _signal.signal(_signal.SIGVTALRM, self.stop)
            _signal.setitimer(_signal.ITIMER_VIRTUAL, _BUDGET_SECONDS)
        except (ImportError, AttributeError, ValueError):
            self.earlier = None

    def __exit__(self, *raised: object) -> None:
        if self.earlier is not None:
            import _signal

            _signal.setitimer(_signal.ITIMER_VIRTUAL, 0)
            _signal.signal(_signal.SIGVTALRM, self.earlier)

    @staticmethod
    def stop(number: int, frame: object) -> None:
        raise TooSlow
