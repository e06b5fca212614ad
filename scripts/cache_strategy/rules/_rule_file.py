"""One rule file of the user, `.claude/hookify.<name>.local.md`, as data, and what is wrong in it."""

from __future__ import annotations

import os
import re

from cache_strategy.syntax.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NamedTuple, Optional

    from cache_strategy.rules._frontmatter import Value

    class Condition(NamedTuple):
        field: str
        operator: str
        pattern: Optional[str]

    class Problem(NamedTuple):
        field: str
        message: str
        fix: str

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
        problems: "tuple[Problem, ...]"
else:
    # One comparison; `field` is "" for the simple `pattern`, whose field depends on the event.
    Condition = record(__name__, "Condition", "field operator pattern")
    # Why a rule cannot work as written; `field` is where, "conditions[0]" or the like, "" for the whole file.
    Problem = record(__name__, "Problem", "field message fix")
    PatternRule = record(
        __name__,
        "PatternRule",
        "name enabled events action conditions check tool_matcher message path problems",
    )

EVENTS = ("bash", "file", "stop", "prompt", "all")
OPERATORS = (
    "regex_match",
    "contains",
    "equals",
    "not_contains",
    "starts_with",
    "ends_with",
    "not_regex_match",
)
REGEX = ("regex_match", "not_regex_match")
BLOCK, ASK, WARN = "block", "ask", "warn"
REGEX_FAULTS = (re.error, RecursionError, OverflowError)
NEVER = Condition("", "none", None)

_FILE_LIMIT = 256_000
_FALSE = frozenset(("false", "no", "off", "0"))


def is_rule_file(name: str) -> bool:
    return name.startswith("hookify.") and name.endswith(".local.md") and name.isprintable()


def read_rule(path: str) -> PatternRule:
    """The rule of a file; one that cannot work is not enabled, or has a condition that is never true, and says why."""
    data, problem = rule_bytes(path)
    return broken_rule(path, problem) if problem else parse_rule(data.decode("utf-8-sig", "replace"), path)


def rule_bytes(path: str) -> "tuple[bytes, str]":
    """(content, why it cannot be read); one of them is empty."""
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        return b"", f"cannot be read ({getattr(error, 'strerror', '') or error})"
    return (b"", "is larger than 256 kB") if len(data) > _FILE_LIMIT else (data, "")


def parse_rule(text: str, path: str) -> PatternRule:
    """The rule of a text, as `read_rule`."""
    from cache_strategy.rules._frontmatter import read_frontmatter

    fields, message = read_frontmatter(text)
    if fields is None:
        return broken_rule(
            path, "has no front matter: the first line must be ---, and a line --- must close it"
        )
    problems: "list[Problem]" = []
    events = tuple(word.strip().lower() for word in _words(fields.get("event") or "all"))
    for word in events:
        if word not in EVENTS:
            unknown = f"event {word[:40]!r} is unknown; the rule never fires."
            problems.append(Problem("event", unknown, f"The events are {', '.join(EVENTS)}."))
    check = _text(fields, "check")
    conditions = tuple(_conditions(fields, problems))
    if not conditions and not check:
        place = next((key for key in ("pattern", "conditions") if key in fields), "name")
        nothing = "has nothing to look for and never fires."
        problems.append(Problem(place, nothing, "Add `pattern:` or `check:`."))
    action = _text(fields, "action", WARN).lower()
    if action not in (BLOCK, ASK, WARN):
        meant = "Write block." if action in ("deny", "stop", "error") else "Write warn, block or ask."
        problems.append(Problem("action", f"action {action[:40]!r} only warns.", meant))
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


def rule_of(fields: "list[Any]") -> PatternRule:
    """A rule from its JSON: the fields in their order, with lists for tuples."""
    name, enabled, events, action, conditions, check, matcher, message, path, problems = fields
    listed, wrong = tuple(Condition(*one) for one in conditions), tuple(Problem(*one) for one in problems)
    return PatternRule(name, enabled, tuple(events), action, listed, check, matcher, message, path, wrong)


def problems_of(rule: PatternRule) -> "list[Problem]":
    """Why a rule cannot work as written; compiles its patterns, which reading does not."""
    found = list(rule.problems)
    for index, condition in enumerate(rule.conditions):
        if condition.operator in REGEX and condition.pattern is not None:
            try:
                re.compile(condition.pattern, re.IGNORECASE)
            except REGEX_FAULTS as error:
                place = f"conditions[{index}]" if condition.field else "pattern"
                wrong = f"pattern is no regular expression ({error}); the rule never fires."
                found.append(Problem(place, wrong, "Repair the pattern."))
    if rule.check:
        from cache_strategy.rules import all_rules

        if not any(rule.check in (known.name, known.code) for known in all_rules()):
            names = ", ".join(known.name for known in all_rules())
            unknown = f"check {rule.check[:60]!r} is no safety rule."
            found.append(Problem("check", unknown, f"There are {names}."))
    return found


def broken_rule(path: str, problem: str) -> PatternRule:
    """The rule of a file that is none."""
    name = os.path.basename(path)[len("hookify.") : -len(".local.md")]
    return PatternRule(name, False, ("all",), WARN, (), "", "", "", path, (Problem("", problem + ".", ""),))


def _text(fields: "dict[str, Value]", key: str, default: str = "") -> str:
    value = fields.get(key)
    return value if isinstance(value, str) and value else default


def _words(value: "Value") -> "list[str]":
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else [str(value)]


def _conditions(fields: "dict[str, Value]", problems: "list[Problem]") -> "Iterator[Condition]":
    listed = fields.get("conditions")
    if listed and not isinstance(listed, list):
        problems.append(Problem("conditions", "conditions is no list.", "Write items: `- field: command`."))
    if not isinstance(listed, list) or not listed:
        pattern = _text(fields, "pattern")
        if pattern:
            yield Condition("", "regex_match", pattern)
        return
    for index, item in enumerate(listed):
        where = f"conditions[{index}]"
        if not isinstance(item, dict) or not item.get("field"):
            nameless = "condition names no field and is never true."
            problems.append(Problem(where, nameless, "Add `field:`."))
            yield NEVER
            continue
        operator = str(item.get("operator") or "regex_match")
        pattern_or_none = item.get("pattern")
        if operator not in OPERATORS:
            unknown = f"operator {operator[:40]!r} is unknown; the condition is never true."
            problems.append(Problem(where, unknown, f"The operators are {', '.join(OPERATORS)}."))
        if not pattern_or_none and not (operator == "equals" and pattern_or_none == ""):
            missing = "condition has no pattern: never true here, always true in the hookify plugin."
            problems.append(Problem(where, missing, "Add `pattern:`."))
            pattern_or_none = None
        yield Condition(str(item["field"]), operator, pattern_or_none)
