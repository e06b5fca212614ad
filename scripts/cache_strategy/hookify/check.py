"""What is wrong in a project's rule files, with the line."""

import re
from collections.abc import Iterator
from pathlib import Path

from cache_strategy.hookify.masking import plain, shown
from cache_strategy.hookify.patterns import is_slow
from cache_strategy.hookify.rule_files import (
    FIELDS,
    RuleFile,
    examples_of,
    read_rule_file,
    rule_paths,
    shown_path,
)
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import Example, ProblemSeverity, RuleProblem
from cache_strategy.rules import check_change
from cache_strategy.rules._hookify_plugin import read_like_hookify
from cache_strategy.rules._rule_file import REGEX, REGEX_FAULTS, problems_of
from cache_strategy.rules.pattern import evaluate

_FIELDS_OF = {
    "bash": "command description timeout run_in_background".split(),
    "file": "file_path notebook_path added_code new_text new_string content old_text old_string replace_all".split(),
    "stop": "reason transcript commands_since_edit last_assistant_message".split(),
    "prompt": "user_prompt prompt".split(),
}
"""The fields that an event has; a condition on another one is never true. `tool_name` is there on every call."""

_SIMPLE_RULES = {
    "file": "does not look into files that Write creates with this rule",
    "stop": "never fires a stop rule with a pattern",
    "all": "fires this rule on Write only",
}
"""What the hookify plugin makes of a rule with a bare pattern, per event."""

_TOOLS_OF = {"bash": ("Bash",), "file": ("Edit", "Write", "MultiEdit", "NotebookEdit")}


def check_rules(project: Path) -> tuple[RuleProblem, ...]:
    """
    Every problem of every rule file, by file and line.

    Raises:
        CacheStrategyError: the project is no folder.
    """
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project whose rules are checked.")
    found = [
        RuleProblem(
            path=shown_path(path, project),
            line=1,
            severity="error",
            message="is not read: rule files end in .local.md.",
            fix=f"Rename it to {path.name.removesuffix('.md')}.local.md.",
        )
        for path in (project / ".claude").glob("hookify.*.md")
        if not path.name.endswith(".local.md")
    ]
    names: dict[str, str] = {}
    for path in rule_paths(project):
        checker = _Checker(read_rule_file(path), shown_path(path, project), names)
        found += checker.problems()
    return tuple(sorted(found, key=lambda p: (p.path, p.line, p.severity, p.message)))


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
        for field, message, fix in problems_of(rule.parsed):
            yield self._error(field, plain(message), fix)
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
        if not rule.parsed.message:
            yield self._warning("name", "has no message below the front matter.", "Say what to do instead.")

    def _what(self) -> Iterator[RuleProblem]:
        """Patterns and literals that do more or less than they seem to."""
        rule = self.rule
        if rule.text("pattern") and rule.conditions():
            ignored = "pattern is ignored: conditions are given."
            yield self._warning("pattern", ignored, "Remove one of them.")
        for index, condition in enumerate(rule.parsed.conditions):
            where = f"conditions[{index}]" if condition.field else "pattern"
            pattern, operator = condition.pattern or "", condition.operator
            if pattern and operator in REGEX:
                yield from self._pattern(where, pattern)
            elif "|" in pattern and operator in ("contains", "not_contains"):
                literal = f"{operator} takes {shown(pattern, 60)!r} literally: | is no alternative."
                yield self._warning(where, literal, "Use regex_match, or one condition per word.")

    def _pattern(self, where: str, pattern: str) -> Iterator[RuleProblem]:
        try:
            compiled = re.compile(pattern, re.I)
        except REGEX_FAULTS:
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
        """Where the hookify plugin reads something else in the same file."""
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
                other = f"hookify reads {field} as {quoted[0]!r}, not {quoted[1]!r}."
                yield self._warning(
                    field, other, "Write it on one line without quotation marks, comment or ---."
                )
        enabled = theirs.get("enabled", True)
        if bool(enabled) != rule.parsed.enabled:
            state = f"hookify reads this rule as {'on' if enabled else 'off'}."
            yield self._warning("enabled", state, "Write true or false, nothing else.")
        if rule.fields.get("conditions") and theirs.get("conditions") != rule.fields.get("conditions"):
            other = "hookify reads these conditions differently, and one without a pattern as always true."
            fix = "Write each as three lines: `- field:`, `operator:`, `pattern:`, indented by two and four."
            yield self._warning("conditions", other, fix)
        for field, cannot in self._beyond_hookify():
            yield self._at(field, "info", cannot)

    def _beyond_hookify(self) -> Iterator[tuple[str, str]]:
        """(field, what the hookify plugin cannot do with it)."""
        event, conditions = self.event, self.rule.conditions()
        simple = bool(self.rule.text("pattern")) and not self.rule.fields.get("conditions")
        if self.rule.text("action") == "ask":
            yield "action", "hookify knows no ask: it warns."
        for index, condition in enumerate(conditions):
            where, field, operator = f"conditions[{index}]", condition.get("field"), condition.get("operator")
            if field in ("added_code", "commands_since_edit") or operator == "not_regex_match":
                yield where, "hookify never finds this condition true."
            if event == "file" and field in ("new_text", "new_string"):
                fires = "always" if operator == "not_contains" else "never"
                yield where, f"hookify sees no {field} when Write creates a file: this is {fires} true there."
        if (simple or conditions) and event == "prompt":
            yield "event", "hookify never fires rules about prompts."
        if simple and event in _SIMPLE_RULES:
            yield "pattern", f"hookify {_SIMPLE_RULES[event]}."

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
    """Whether the guard's engine stops an example with a rule; None where the example does not say enough."""
    check = rule.text("check")
    if check and not example.command:
        if not (example.before or example.after):
            return None
        found = check_change(example.before, example.after, example.path)
        return any(check in (finding.name, finding.rule) for finding in found)
    edit = {"file_path": example.path, "old_string": "", "new_string": example.added}
    given = {"command": example.command} if example.command else edit
    event = {"tool_name": "Bash" if example.command else "Edit", "tool_input": given}
    return bool(evaluate([rule.parsed._replace(enabled=True)], event))
