"""Rule files, `.claude/hookify.<name>.local.md`: as the guard reads them, with the lines of their fields and the examples."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cache_strategy.hookify.find import config_folder
from cache_strategy.model.document import from_data
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import Example
from cache_strategy.rules._frontmatter import read_frontmatter
from cache_strategy.rules._rule_file import PatternRule, broken_rule, parse_rule, rule_bytes

FIELDS = ("name", "enabled", "event", "action", "pattern", "conditions", "tool_matcher", "check", "examples")

_FENCE = re.compile(r"---[ \t]*\r?\Z")
_KEY = re.compile(r"(?P<indent>\s*)(?P<dash>-\s+)?(?P<key>[A-Za-z_][\w-]*)\s*:(?:\s|\Z)")


@dataclass(slots=True)
class RuleFile:
    """
    A rule file: its whole text, the rule that the guard reads in it, and where its fields stand.

    `fields` is the front matter: texts, lists of texts, lists of mappings. `lines` is the line (from 1) of each field,
    and of "conditions[0]" and the like. `problem` says why it is no rule at all, at `problem_line`.
    """

    path: Path
    raw: str
    parsed: PatternRule
    fields: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    problem_line: int = 1

    def text(self, key: str) -> str:
        """A field's text, "" where it is missing or no text."""
        value = self.fields.get(key)
        return value if isinstance(value, str) else ""

    def conditions(self) -> list[Mapping[str, str]]:
        """The conditions that are mappings."""
        listed = self.fields.get("conditions")
        return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def rule_paths(project: Path) -> list[Path]:
    """The rule files of a project and of the user, each in name order."""
    folders = dict.fromkeys((project / ".claude", config_folder()))
    return [path for folder in folders for path in sorted(folder.glob("hookify.*.local.md"))]


def stem_of(path: Path) -> str:
    """The name in a rule file's own name."""
    return path.name.removeprefix("hookify.").removesuffix(".local.md")


def shown_path(path: Path, project: Path) -> str:
    """From the project's folder where it is below it."""
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)


def read_rule_file(path: Path) -> RuleFile:
    """A rule file; what is wrong with it stands in `problem`."""
    data, problem = rule_bytes(str(path))
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem, line = "is not UTF-8", data.count(b"\n", 0, error.start) + 1
        return RuleFile(path, "", broken_rule(str(path), problem), problem=problem, problem_line=line)
    if problem:
        return RuleFile(path, "", broken_rule(str(path), problem), problem=problem)
    return rule_file(path, raw)


def rule_file(path: Path, raw: str) -> RuleFile:
    """The rule file of a text."""
    fields, _ = read_frontmatter(raw.removeprefix("\ufeff"))
    rule = RuleFile(path, raw, parse_rule(raw.removeprefix("\ufeff"), str(path)))
    if fields is None:
        rule.problem = rule.parsed.problems[0].message.rstrip(".")
        return rule
    rule.fields = dict(fields)
    section, item = "", -1
    for number, line in enumerate(_head(raw), 2):
        match = _KEY.match(line)
        if match and not match["indent"] and not match["dash"]:
            section, item = match["key"], -1
            rule.lines.setdefault(section, number)
        elif line.strip().startswith("-") and section:
            item += 1
            rule.lines.setdefault(f"{section}[{item}]", number)
    return rule


def _head(raw: str) -> list[str]:
    """The lines of the front matter."""
    lines = raw.split("\n")
    end = next((n for n, line in enumerate(lines[1:], 1) if _FENCE.match(line)), len(lines))
    return lines[1:end]


def examples_of(rule: RuleFile) -> tuple[Example, ...]:
    """
    The examples that a rule carries.

    Raises:
        CacheStrategyError: they are no YAML, or have a field that an example has not.
    """
    if "examples" not in rule.lines:
        return ()
    where = f"{rule.path.name}:{rule.lines['examples']}"
    head = _head(rule.raw)[rule.lines["examples"] - 2 :]
    end = next(
        (n for n, line in enumerate(head[1:], 1) if line[:1].strip() and not line.startswith("-")), len(head)
    )
    try:
        data = yaml.safe_load("\n".join(head[:end]))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = getattr(error, "problem", None) or "unreadable"
        raise CacheStrategyError(f"{where}: examples are no YAML ({problem}); quote their texts.") from None
    listed = data.get("examples") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise CacheStrategyError(f"{where}: examples is no list; write items that begin with `- expect:`.")
    return tuple(from_data(Example, item, f"{where}: examples[{n}]") for n, item in enumerate(listed))
