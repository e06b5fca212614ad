"""
Rule files, `.claude/hookify.<name>.local.md`: as the guard reads them, with the lines of their fields, and as the
hookify plugin reads them.

Source for the plugin's reading: its behaviour on 107 inputs (hookify 0.1.0).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cache_strategy.model.document import from_data
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import Example
from cache_strategy.rules._frontmatter import read_frontmatter

FIELDS = ("name", "enabled", "event", "action", "pattern", "conditions", "tool_matcher", "check", "examples")
ACTIONS = ("warn", "block", "ask")
OFF = ("false", "no", "off", "0")

_SIZE_LIMIT = 256_000
_FENCE = re.compile(r"---[ \t]*\r?\Z")
_KEY = re.compile(r"(?P<indent>\s*)(?P<dash>-\s+)?(?P<key>[A-Za-z_][\w-]*)\s*:(?:\s|\Z)")


@dataclass(slots=True)
class RuleFile:
    """
    A rule file.

    `fields` is the front matter as the guard reads it: texts, lists of texts, lists of mappings. `lines` is the line
    (from 1) of each field, and of "conditions[0]" and the like. `problem` says why it could not be read. `raw` is the
    whole text.
    """

    path: Path
    raw: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    message: str = ""
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
    """The rule files of a project, in name order."""
    return sorted((project / ".claude").glob("hookify.*.local.md"))


def read_rule(path: Path) -> RuleFile:
    """A rule file; what is wrong with it stands in `problem`."""
    rule = RuleFile(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_SIZE_LIMIT + 1)
    except OSError as error:
        rule.problem = f"cannot be read ({error.strerror})"
        return rule
    if len(data) > _SIZE_LIMIT:
        rule.problem = "is larger than 256 kB"
        return rule
    try:
        rule.raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        rule.problem = "is not UTF-8"
        rule.problem_line = data.count(b"\n", 0, error.start) + 1
        return rule
    parse_rule(rule)
    return rule


def parse_rule(rule: RuleFile) -> None:
    """Fills in a rule from its `raw` text."""
    fields, rule.message = read_frontmatter(rule.raw.removeprefix("\ufeff"))
    if fields is None:
        rule.problem = "has no front matter: the first line must be ---, and a line --- must close it"
        return
    rule.fields = dict(fields)
    section, item = "", -1
    for number, line in enumerate(_head(rule.raw), 2):
        match = _KEY.match(line)
        if match and not match["indent"] and not match["dash"]:
            section, item = match["key"], -1
            rule.lines.setdefault(section, number)
        elif line.strip().startswith("-") and section:
            item += 1
            rule.lines.setdefault(f"{section}[{item}]", number)


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


def read_like_hookify(raw: str) -> dict[str, Any] | None:
    """
    The front matter as the hookify plugin's line reader understands it; None where it sees no rule.

    1 the text begins with `---` and is cut at the first two `---` wherever they stand; 2 a line without indentation is
    `key: value`, cut at its first colon, quotation marks stripped, only true and false become booleans; 3 an empty value
    begins a list; 4 an item with colon and comma is cut at its commas; 5 an item with a colon begins a mapping that goes
    on in lines indented by more than two.
    """
    if not raw.startswith("---"):
        return None
    parts = raw.split("---", 2)
    if len(parts) < 3:
        return None
    fields: dict[str, Any] = {}
    items: list[Any] | None = None
    mapping: dict[str, str] | None = None
    for line in parts[1].split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0 and ":" in line and not bare.startswith("-"):
            items = mapping = None
            key, value = (part.strip() for part in line.split(":", 1))
            if value:
                fields[key] = _scalar(value)
            else:
                fields[key] = items = []
        elif bare.startswith("-") and items is not None:
            text = bare[1:].strip()
            mapping = None
            if ":" in text and "," in text:
                items.append(dict(_pair(part) for part in text.split(",") if ":" in part))
            elif ":" in text:
                mapping = dict([_pair(text)])
                items.append(mapping)
            else:
                items.append(_unquoted(text))
        elif indent > 2 and mapping is not None and ":" in line:
            mapping.update([_pair(bare)])
    return fields


def _pair(text: str) -> tuple[str, str]:
    key, value = text.split(":", 1)
    return key.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    return value.strip('"').strip("'")


def _scalar(value: str) -> str | bool:
    value = _unquoted(value)
    return value.lower() == "true" if value.lower() in ("true", "false") else value


def is_enabled(rule: RuleFile) -> bool:
    """Whether a rule is on, as the guard sees it."""
    return rule.text("enabled").lower() not in OFF
