"""What is wrong in a project's rule files, with the line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cache_strategy.hookify.masking import shown
from cache_strategy.hookify.patterns import is_slow
from cache_strategy.hookify.rule_files import (
    ACTIONS,
    FIELDS,
    RuleFile,
    examples_of,
    is_enabled,
    read_like_hookify,
    read_rule,
    rule_paths,
)
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import Example, ProblemSeverity, RuleProblem
from cache_strategy.rules import all_rules, check_change, check_command
from cache_strategy.rules.pattern import EVENTS, OPERATORS

_FIELDS_OF = {
    "bash": ("command", "description", "timeout", "run_in_background"),
    "file": (
        "file_path",
        "notebook_path",
        "new_text",
        "new_string",
        "content",
        "old_text",
        "old_string",
        "replace_all",
    ),
    "stop": ("reason", "transcript", "last_assistant_message"),
    "prompt": ("user_prompt", "prompt"),
}
"""The fields that an event has; a condition on another one is never true. `tool_name` is there on every call."""

_TOOLS_OF = {"bash": ("Bash",), "file": ("Edit", "Write", "MultiEdit", "NotebookEdit")}


def check_rules(project: Path) -> tuple[RuleProblem, ...]:
    """
    Every problem of every rule file, by file and line.

    Raises:
        CacheStrategyError: the project is no folder.
    """
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project whose rules are checked.")
    problems = [problem for path in _misnamed(project) for problem in _name_problems(path, project)]
    names: dict[str, str] = {}
    for path in rule_paths(project):
        rule = read_rule(path)
        shown_path = path.relative_to(project).as_posix()
        found = list(_Checker(rule, shown_path).problems())
        name = rule.text("name")
        if name and not rule.problem:
            if name in names:
                found.append(
                    RuleProblem(
                        path=shown_path,
                        line=rule.lines.get("name", 1),
                        severity="warning",
                        message=f"name {shown(name, 60)!r} is also that of {names[name]}; both rules fire.",
                        fix="Give one of them another name, or remove it.",
                    )
                )
            names.setdefault(name, shown_path)
        problems += found
    return tuple(sorted(problems, key=lambda p: (p.path, p.line, p.severity, p.message)))


def _misnamed(project: Path) -> list[Path]:
    """Files that look like rules and that nobody reads."""
    return [p for p in sorted((project / ".claude").glob("hookify.*.md")) if not p.name.endswith(".local.md")]


def _name_problems(path: Path, project: Path) -> Iterator[RuleProblem]:
    yield RuleProblem(
        path=path.relative_to(project).as_posix(),
        line=1,
        severity="error",
        message="is not read: rule files end in .local.md.",
        fix=f"Rename it to {path.name.removesuffix('.md')}.local.md.",
    )


class _Checker:
    """The checks of one file, each yielding its problems."""

    def __init__(self, rule: RuleFile, path: str) -> None:
        self.rule = rule
        self.path = path
        self.event = rule.text("event") or "all"

    def problems(self) -> Iterator[RuleProblem]:
        rule = self.rule
        if rule.problem:
            yield RuleProblem(
                path=self.path, line=rule.problem_line, severity="error", message=f"{rule.problem}.", fix=""
            )
            return
        yield from self._fields()
        yield from self._what()
        yield from self._reach()
        yield from self._readings()
        yield from self._examples()

    def _at(self, field: str, severity: ProblemSeverity, message: str, fix: str = "") -> RuleProblem:
        line = self.rule.lines.get(field) or self.rule.lines.get(field.partition("[")[0], 1)
        return RuleProblem(path=self.path, line=line, severity=severity, message=message, fix=fix)

    def _fields(self) -> Iterator[RuleProblem]:
        rule = self.rule
        for field in rule.fields:
            if field not in FIELDS:
                yield self._at(
                    field,
                    "warning",
                    f"field {shown(field, 40)!r} is unknown.",
                    f"The fields are {', '.join(FIELDS)}.",
                )
        if not rule.text("name"):
            yield self._at("name", "warning", "has no name; messages call it unnamed.", "Add `name:`.")
        events = rule.fields.get("event")
        for event in events if isinstance(events, list) else [self.event]:
            if event not in EVENTS:
                yield self._at(
                    "event",
                    "error",
                    f"event {shown(str(event), 40)!r} is unknown; the rule never fires.",
                    f"The events are {', '.join(EVENTS)}.",
                )
        action = rule.text("action") or "warn"
        if action not in ACTIONS:
            fix = (
                "Write block."
                if action.lower() in ("deny", "block", "stop", "error")
                else "Write warn, block or ask."
            )
            yield self._at("action", "error", f"action {shown(action, 40)!r} only warns.", fix)
        if not rule.message:
            yield self._at(
                "name", "warning", "has no message below the front matter.", "Say what to do instead."
            )

    def _what(self) -> Iterator[RuleProblem]:
        """Pattern, conditions and check: what the rule looks for."""
        rule = self.rule
        conditions = rule.fields.get("conditions")
        check = rule.text("check")
        if not rule.text("pattern") and not conditions and not check:
            field = (
                "pattern"
                if "pattern" in rule.lines
                else "conditions"
                if "conditions" in rule.lines
                else "name"
            )
            yield self._at(
                field, "error", "has nothing to look for and never fires.", "Add `pattern:` or `check:`."
            )
        if check and check not in [known.name for known in all_rules()] + [
            known.code for known in all_rules()
        ]:
            names = ", ".join(known.name for known in all_rules())
            yield self._at(
                "check", "error", f"check {shown(check, 60)!r} is no safety rule.", f"There are {names}."
            )
        if rule.text("pattern"):
            if conditions:
                yield self._at(
                    "pattern", "warning", "pattern is ignored: conditions are given.", "Remove one of them."
                )
            yield from self._pattern("pattern", rule.text("pattern"))
        if conditions is not None and not isinstance(conditions, list):
            yield self._at(
                "conditions", "error", "conditions is no list.", "Write items: `- field: command`."
            )
        for index, item in enumerate(conditions if isinstance(conditions, list) else []):
            yield from self._condition(f"conditions[{index}]", item)

    def _condition(self, where: str, item: Any) -> Iterator[RuleProblem]:
        if not isinstance(item, dict) or not item.get("field"):
            yield self._at(where, "error", "condition names no field and is never true.", "Add `field:`.")
            return
        operator = item.get("operator", "regex_match")
        pattern = item.get("pattern")
        if operator not in OPERATORS:
            yield self._at(
                where,
                "error",
                f"operator {shown(str(operator), 40)!r} is unknown; the condition is never true.",
                f"The operators are {', '.join(OPERATORS)}.",
            )
        if not pattern and not (operator == "equals" and pattern == ""):
            yield self._at(
                where,
                "error",
                "condition has no pattern: never true here, always true in the hookify plugin.",
                "Add `pattern:`.",
            )
        elif operator == "regex_match":
            yield from self._pattern(where, str(pattern))
        elif "|" in str(pattern) and operator in ("contains", "not_contains"):
            yield self._at(
                where,
                "warning",
                f"{operator} takes {shown(str(pattern), 60)!r} literally: | is no alternative.",
                "Use regex_match, or one condition per word.",
            )

    def _pattern(self, where: str, pattern: str) -> Iterator[RuleProblem]:
        try:
            compiled = re.compile(pattern, re.I)
        except (re.error, RecursionError, OverflowError) as error:
            yield self._at(
                where,
                "error",
                f"pattern is no regular expression ({error}); the rule never fires.",
                "Repair the pattern.",
            )
            return
        if is_slow(pattern):
            yield self._at(
                where, "warning", "pattern may take exponential time.", "Do not repeat a repetition."
            )
        elif compiled.search("") is not None and pattern not in ("^", ".*"):
            yield self._at(
                where,
                "warning",
                "pattern matches the empty text, so it matches always.",
                "Narrow the pattern.",
            )

    def _reach(self) -> Iterator[RuleProblem]:
        """Conditions and matchers that the rule's own event can never meet."""
        rule = self.rule
        matcher = rule.text("tool_matcher")
        tools = _TOOLS_OF.get(self.event)
        if tools and matcher and matcher != "*" and not set(matcher.split("|")) & set(tools):
            yield self._at(
                "tool_matcher",
                "error",
                f"tool_matcher {shown(matcher, 60)!r} names no tool of event {self.event}; the rule never fires.",
                f"The tools are {', '.join(tools)}, joined by | without spaces.",
            )
        equals: dict[str, str] = {}
        for index, condition in enumerate(rule.conditions()):
            field = condition.get("field", "")
            known = _FIELDS_OF.get(self.event)
            others = {name for event, names in _FIELDS_OF.items() if event != self.event for name in names}
            if known and field in others and field not in known:
                yield self._at(
                    f"conditions[{index}]",
                    "error",
                    f"field {field!r} is not there on event {self.event}; the rule never fires.",
                    f"The fields are {', '.join(known)}.",
                )
            pattern = condition.get("pattern", "")
            if condition.get("operator") == "equals" and equals.setdefault(field, pattern) != pattern:
                yield self._at(
                    f"conditions[{index}]",
                    "error",
                    f"{field} cannot equal two texts; the rule never fires.",
                    "Use one regex_match with alternatives.",
                )

    def _readings(self) -> Iterator[RuleProblem]:
        """Where the hookify plugin reads something else in the same file, or cannot do what is asked."""
        rule = self.rule
        theirs = read_like_hookify(rule.raw)
        if theirs is None:
            yield self._at(
                "name",
                "warning",
                "hookify does not see this rule: the file must begin with ---.",
                "Remove what stands before it (a byte order mark?).",
            )
            return
        for field in ("name", "event", "action", "pattern", "tool_matcher"):
            if field == "pattern" and isinstance(theirs.get(field), bool):
                yield self._at(
                    field,
                    "error",
                    "hookify reads this pattern as a truth value and stops all its rules.",
                    "Write it with more than the bare word.",
                )
            elif rule.fields.get(field, "") != theirs.get(field, "") and (
                rule.fields.get(field) or theirs.get(field)
            ):
                yield self._at(
                    field,
                    "warning",
                    f"hookify reads {field} as {shown(str(theirs.get(field, 'missing')), 60)!r}, not {shown(str(rule.fields.get(field, 'missing')), 60)!r}.",
                    "Write it on one line without quotation marks, comment or ---.",
                )
        enabled = theirs.get("enabled", True)
        if bool(enabled) != is_enabled(rule):
            yield self._at(
                "enabled",
                "warning",
                f"hookify reads this rule as {'on' if enabled else 'off'}.",
                "Write true or false, nothing else.",
            )
        if rule.fields.get("conditions") and theirs.get("conditions") != rule.fields.get("conditions"):
            yield self._at(
                "conditions",
                "warning",
                "hookify reads these conditions differently, and a condition without a pattern as always true.",
                "Write each as three lines: `- field:`, `operator:`, `pattern:`, indented by two and four.",
            )
        yield from self._beyond_hookify()

    def _beyond_hookify(self) -> Iterator[RuleProblem]:
        rule = self.rule
        simple = bool(rule.text("pattern")) and not rule.fields.get("conditions")
        if rule.text("action") == "ask":
            yield self._at("action", "info", "hookify knows no ask: it warns.")
        for index, condition in enumerate(rule.conditions()):
            if self.event == "file" and condition.get("field") in ("new_text", "new_string"):
                always = condition.get("operator") == "not_contains"
                yield self._at(
                    f"conditions[{index}]",
                    "info",
                    f"hookify sees no {condition['field']} when Write creates a file, "
                    f"so this condition is {'always' if always else 'never'} true there.",
                )
        if simple and self.event == "file":
            yield self._at(
                "pattern", "info", "hookify does not look into files that Write creates with this rule."
            )
        if (simple or rule.conditions()) and self.event == "prompt":
            yield self._at("event", "info", "hookify never fires rules about prompts.")
        if simple and self.event == "stop":
            yield self._at("pattern", "info", "hookify never fires a stop rule with a pattern.")
        if simple and self.event == "all":
            yield self._at("event", "info", "hookify fires this rule on Write only.", "Name the event.")

    def _examples(self) -> Iterator[RuleProblem]:
        """The examples are the rule's own test."""
        try:
            examples = examples_of(self.rule)
        except CacheStrategyError as error:
            yield self._at(
                "examples",
                "warning",
                str(error).partition(": ")[2],
                "Propose the rule again, or remove them.",
            )
            return
        for index, example in enumerate(examples):
            fires = _fires_on(self.rule, example)
            if fires is not None and fires != (example.expect == "match"):
                verb = "no longer stops" if example.expect == "match" else "stops"
                yield self._at(
                    f"examples[{index}]",
                    "error",
                    f"the rule {verb} this example.",
                    "Repair the rule, or remove the example if it is wrong.",
                )


def _fires_on(rule: RuleFile, example: Example) -> bool | None:
    """Whether a rule stops an example; None where the example does not say enough."""
    check = rule.text("check")
    if check and example.command:
        return any(check in (f.name, f.rule) for f in check_command(example.command))
    if check:
        if not example.after and not example.before:
            return None
        return any(
            check in (f.name, f.rule) for f in check_change(example.before, example.after, example.path)
        )
    fields = {"command": example.command, "file_path": example.path}
    if example.added:
        fields |= dict.fromkeys(("new_text", "new_string", "content"), example.added)
    pairs = [
        (c.get("field", ""), c.get("operator", "regex_match"), c.get("pattern", ""))
        for c in rule.conditions()
    ]
    if not pairs:
        pairs = [("command" if example.command else "new_text", "regex_match", rule.text("pattern"))]
    for field, operator, pattern in pairs:
        if not fields.get(field) or operator != "regex_match":
            return None
        try:
            if not re.search(pattern, fields[field], re.I):
                return False
        except (re.error, RecursionError, OverflowError):
            return None
    return True
