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
    "bash": "command description timeout run_in_background".split(),
    "file": "file_path notebook_path new_text new_string content old_text old_string replace_all".split(),
    "stop": "reason transcript last_assistant_message".split(),
    "prompt": "user_prompt prompt".split(),
}
"""The fields that an event has; a condition on another one is never true. `tool_name` is there on every call."""

_TOOLS_OF = {"bash": ("Bash",), "file": ("Edit", "Write", "MultiEdit", "NotebookEdit")}

_REGEX_FAULTS = (re.error, RecursionError, OverflowError)


def check_rules(project: Path) -> tuple[RuleProblem, ...]:
    """
    Every problem of every rule file, by file and line.

    Raises:
        CacheStrategyError: the project is no folder.
    """
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project whose rules are checked.")
    problems = [_unread(path, project) for path in sorted((project / ".claude").glob("hookify.*.md"))]
    found = [problem for problem in problems if problem is not None]
    names: dict[str, str] = {}
    for path in rule_paths(project):
        checker = _Checker(read_rule(path), path.relative_to(project).as_posix(), names)
        found += checker.problems()
    return tuple(sorted(found, key=lambda p: (p.path, p.line, p.severity, p.message)))


def _unread(path: Path, project: Path) -> RuleProblem | None:
    """A file that looks like a rule and that nobody reads."""
    if path.name.endswith(".local.md"):
        return None
    return RuleProblem(
        path=path.relative_to(project).as_posix(),
        line=1,
        severity="error",
        message="is not read: rule files end in .local.md.",
        fix=f"Rename it to {path.name.removesuffix('.md')}.local.md.",
    )


class _Checker:
    """The checks of one file, each yielding its problems. `names` are those of the files before, with their files."""

    def __init__(self, rule: RuleFile, path: str, names: dict[str, str]) -> None:
        self.rule = rule
        self.path = path
        self.names = names
        self.event = rule.text("event") or "all"

    def problems(self) -> Iterator[RuleProblem]:
        rule = self.rule
        if rule.problem:
            yield RuleProblem(
                path=self.path, line=rule.problem_line, severity="error", message=f"{rule.problem}."
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

    def _error(self, field: str, message: str, fix: str) -> RuleProblem:
        return self._at(field, "error", message, fix)

    def _warning(self, field: str, message: str, fix: str) -> RuleProblem:
        return self._at(field, "warning", message, fix)

    def _fields(self) -> Iterator[RuleProblem]:
        rule = self.rule
        for field in rule.fields:
            if field not in FIELDS:
                known = f"The fields are {', '.join(FIELDS)}."
                yield self._warning(field, f"field {shown(field, 40)!r} is unknown.", known)
        name = rule.text("name")
        if not name:
            yield self._warning("name", "has no name; messages call it unnamed.", "Add `name:`.")
        elif name in self.names:
            twice = f"name {shown(name, 60)!r} is also that of {self.names[name]}; both rules fire."
            yield self._warning("name", twice, "Give one of them another name, or remove it.")
        else:
            self.names[name] = self.path
        events = rule.fields.get("event")
        for event in events if isinstance(events, list) else [self.event]:
            if event not in EVENTS:
                unknown = f"event {shown(str(event), 40)!r} is unknown; the rule never fires."
                yield self._error("event", unknown, f"The events are {', '.join(EVENTS)}.")
        action = rule.text("action") or "warn"
        if action not in ACTIONS:
            meant = action.lower() in ("deny", "block", "stop", "error")
            fix = "Write block." if meant else "Write warn, block or ask."
            yield self._error("action", f"action {shown(action, 40)!r} only warns.", fix)
        if not rule.message:
            yield self._warning("name", "has no message below the front matter.", "Say what to do instead.")

    def _what(self) -> Iterator[RuleProblem]:
        """Pattern, conditions and check: what the rule looks for."""
        rule = self.rule
        conditions, check, pattern = rule.fields.get("conditions"), rule.text("check"), rule.text("pattern")
        if not (pattern or conditions or check):
            field = next((f for f in ("pattern", "conditions") if f in rule.lines), "name")
            nothing = "has nothing to look for and never fires."
            yield self._error(field, nothing, "Add `pattern:` or `check:`.")
        if check and not any(check in (known.name, known.code) for known in all_rules()):
            names = ", ".join(known.name for known in all_rules())
            yield self._error(
                "check", f"check {shown(check, 60)!r} is no safety rule.", f"There are {names}."
            )
        if pattern and conditions:
            yield self._warning("pattern", "pattern is ignored: conditions are given.", "Remove one of them.")
        if pattern:
            yield from self._pattern("pattern", pattern)
        if conditions is not None and not isinstance(conditions, list):
            yield self._error("conditions", "conditions is no list.", "Write items: `- field: command`.")
        for index, item in enumerate(conditions if isinstance(conditions, list) else []):
            yield from self._condition(f"conditions[{index}]", item)

    def _condition(self, where: str, item: Any) -> Iterator[RuleProblem]:
        if not isinstance(item, dict) or not item.get("field"):
            yield self._error(where, "condition names no field and is never true.", "Add `field:`.")
            return
        operator = item.get("operator", "regex_match")
        pattern = item.get("pattern")
        if operator not in OPERATORS:
            unknown = f"operator {shown(str(operator), 40)!r} is unknown; the condition is never true."
            yield self._error(where, unknown, f"The operators are {', '.join(OPERATORS)}.")
        if not pattern and not (operator == "equals" and pattern == ""):
            missing = "condition has no pattern: never true here, always true in the hookify plugin."
            yield self._error(where, missing, "Add `pattern:`.")
        elif operator == "regex_match":
            yield from self._pattern(where, str(pattern))
        elif "|" in str(pattern) and operator in ("contains", "not_contains"):
            literal = f"{operator} takes {shown(str(pattern), 60)!r} literally: | is no alternative."
            yield self._warning(where, literal, "Use regex_match, or one condition per word.")

    def _pattern(self, where: str, pattern: str) -> Iterator[RuleProblem]:
        try:
            compiled = re.compile(pattern, re.I)
        except _REGEX_FAULTS as error:
            wrong = f"pattern is no regular expression ({error}); the rule never fires."
            yield self._error(where, wrong, "Repair the pattern.")
            return
        if is_slow(pattern):
            yield self._warning(where, "pattern may take exponential time.", "Do not repeat a repetition.")
        elif compiled.search("") is not None and pattern not in ("^", ".*"):
            always = "pattern matches the empty text, so it matches always."
            yield self._warning(where, always, "Narrow the pattern.")

    def _reach(self) -> Iterator[RuleProblem]:
        """Conditions and matchers that the rule's own event can never meet."""
        matcher = self.rule.text("tool_matcher")
        tools = _TOOLS_OF.get(self.event)
        if tools and matcher and matcher != "*" and not set(matcher.split("|")) & set(tools):
            none = f"tool_matcher {shown(matcher, 60)!r} names no tool of event {self.event}; the rule never fires."
            fix = f"The tools are {', '.join(tools)}, joined by | without spaces."
            yield self._error("tool_matcher", none, fix)
        known = _FIELDS_OF.get(self.event)
        equals: dict[str, str] = {}
        for index, condition in enumerate(self.rule.conditions()):
            where, field = f"conditions[{index}]", condition.get("field", "")
            pattern = condition.get("pattern", "")
            if known and field not in known and any(field in names for names in _FIELDS_OF.values()):
                absent = f"field {field!r} is not there on event {self.event}; the rule never fires."
                yield self._error(where, absent, f"The fields are {', '.join(known)}.")
            if condition.get("operator") == "equals" and equals.setdefault(field, pattern) != pattern:
                both = f"{field} cannot equal two texts; the rule never fires."
                yield self._error(where, both, "Use one regex_match with alternatives.")

    def _readings(self) -> Iterator[RuleProblem]:
        """Where the hookify plugin reads something else in the same file, or cannot do what is asked."""
        rule = self.rule
        theirs = read_like_hookify(rule.raw)
        if theirs is None:
            unseen = "hookify does not see this rule: the file must begin with ---."
            yield self._warning("name", unseen, "Remove what stands before it (a byte order mark?).")
            return
        for field in ("name", "event", "action", "pattern", "tool_matcher"):
            read, meant = theirs.get(field, ""), rule.fields.get(field, "")
            if field == "pattern" and isinstance(read, bool):
                stops = "hookify reads this pattern as a truth value and stops all its rules."
                yield self._error(field, stops, "Write it with more than the bare word.")
            elif meant != read and (meant or read):
                quoted = [shown(str(fields.get(field, "missing")), 60) for fields in (theirs, rule.fields)]
                yield self._warning(
                    field,
                    f"hookify reads {field} as {quoted[0]!r}, not {quoted[1]!r}.",
                    "Write it on one line without quotation marks, comment or ---.",
                )
        enabled = theirs.get("enabled", True)
        if bool(enabled) != is_enabled(rule):
            state = f"hookify reads this rule as {'on' if enabled else 'off'}."
            yield self._warning("enabled", state, "Write true or false, nothing else.")
        if rule.fields.get("conditions") and theirs.get("conditions") != rule.fields.get("conditions"):
            yield self._warning(
                "conditions",
                "hookify reads these conditions differently, and a condition without a pattern as always true.",
                "Write each as three lines: `- field:`, `operator:`, `pattern:`, indented by two and four.",
            )
        yield from self._beyond_hookify()

    def _beyond_hookify(self) -> Iterator[RuleProblem]:
        rule = self.rule
        conditions = rule.conditions()
        simple = bool(rule.text("pattern")) and not rule.fields.get("conditions")
        if rule.text("action") == "ask":
            yield self._at("action", "info", "hookify knows no ask: it warns.")
        for index, condition in enumerate(conditions):
            if self.event == "file" and condition.get("field") in ("new_text", "new_string"):
                fires = "always" if condition.get("operator") == "not_contains" else "never"
                unseen = f"hookify sees no {condition['field']} when Write creates a file, so this condition is {fires} true there."
                yield self._at(f"conditions[{index}]", "info", unseen)
        if simple and self.event == "file":
            unseen = "hookify does not look into files that Write creates with this rule."
            yield self._at("pattern", "info", unseen)
        if (simple or conditions) and self.event == "prompt":
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
            said = str(error).partition(": ")[2]
            yield self._warning("examples", said, "Propose the rule again, or remove them.")
            return
        for index, example in enumerate(examples):
            fires = _fires_on(self.rule, example)
            if fires is not None and fires != (example.expect == "match"):
                verb = "no longer stops" if example.expect == "match" else "stops"
                fix = "Repair the rule, or remove the example if it is wrong."
                yield self._error(f"examples[{index}]", f"the rule {verb} this example.", fix)


def _fires_on(rule: RuleFile, example: Example) -> bool | None:
    """Whether a rule stops an example; None where the example does not say enough."""
    check = rule.text("check")
    if check:
        if not (example.command or example.after or example.before):
            return None
        found = (
            check_command(example.command)
            if example.command
            else check_change(example.before, example.after, example.path)
        )
        return any(check in (finding.name, finding.rule) for finding in found)
    fields = {"command": example.command, "file_path": example.path}
    fields |= dict.fromkeys(("new_text", "new_string", "content"), example.added)
    pairs = [
        (c.get("field", ""), c.get("operator", "regex_match"), c.get("pattern", ""))
        for c in rule.conditions()
    ]
    simple = ("command" if example.command else "new_text", "regex_match", rule.text("pattern"))
    for field, operator, pattern in pairs or [simple]:
        if not fields.get(field) or operator != "regex_match":
            return None
        try:
            if not re.search(pattern, fields[field], re.I):
                return False
        except _REGEX_FAULTS:
            return None
    return True
