"""
How a project and its user set the guard: which rules are off, their severity, which paths are left out.

Read from `[tool.cache-strategy]` in pyproject.toml, then `.claude/cache-strategy.toml`, then the user's own folder of the
client; later files win rule by rule. Hook and linter read the same few forms of TOML with the same lines of code, for Python
3.9 has no tomllib: strings, lists of strings, and the table of severities. Anything else in our table is a problem with its line,
and changes nothing.
"""

from __future__ import annotations

import os

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cache_strategy.rules._base import Finding

SEVERITIES = ("error", "warning", "info", "off")
FILE = "cache-strategy.toml"
_TABLE = "tool.cache-strategy"
_LISTS = ("off", "exclude")
_HEAD = regex(r"\[\[?\s*([^\]]+?)\s*\]?\]\s*(?:#.*)?$")
_PAIR = regex(r"([\w-]+|\"[^\"]*\"|'[^']*')\s*=\s*(.*)$")
_STRING = regex(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
_LIMIT = 1_000_000
_LONGEST_LIST = 300
_MOST_STARS = 6


class Setting:
    """One of them: `key` is "off", "exclude" or "severity"; `name` a rule or a path; `place` is FILE:LINE."""

    __slots__ = ("key", "name", "place", "value")

    def __init__(self, key: str, name: str, value: str, place: str) -> None:
        self.key = key
        self.name = name
        self.value = value
        self.place = place


class Settings:
    """What applies, by rule and by path; `problems` are lines for a person, each with its file and line."""

    def __init__(self, settings: "Iterable[Setting]" = (), problems: "Iterable[str]" = ()) -> None:
        self.settings = list(settings)
        self.problems = list(problems)
        self._severity = {s.name: s for s in self.settings if s.key != "exclude"}

    def leaves_out(self, path: str) -> "Setting | None":
        """What leaves a path out (from the project's folder, forward slashes)."""
        return next((s for s in self.settings if s.key == "exclude" and _covers(s.name, path)), None)

    def of_rule(self, finding: "Finding") -> "Setting | None":
        return self._severity.get(finding.name) or self._severity.get(finding.rule)

    def applied(self, findings: "Iterable[Finding]") -> "tuple[list[Finding], list[tuple[Finding, Setting]]]":
        """The findings with the severities that are set, and those that are off, each with what turns it off."""
        kept, dropped = [], []
        for finding in findings:
            setting = self.of_rule(finding)
            if setting is None:
                kept.append(finding)
            elif setting.value == "off":
                dropped.append((finding, setting))
            else:
                kept.append(finding._replace(severity=setting.value))
        return kept, dropped

    def weakening(self, severities: "dict[str, str]") -> "list[str]":
        """What a project says to make the guard say less, with the places; `severities` are those of the rules by name and code."""
        rank = {name: number for number, name in enumerate(SEVERITIES)}
        told = []
        for s in self.settings:
            if os.path.isabs(s.place):
                continue  # the user's own
            if s.key == "exclude":
                told.append(f"leaves out {s.name} ({s.place})")
            elif s.value == "off":
                told.append(f"turns {s.name} off ({s.place})")
            elif rank[s.value] > rank[severities.get(s.name, "error")]:
                told.append(f"makes {s.name} {s.value} ({s.place})")
        return told


def read_settings(project: str, config: str = "") -> Settings:
    """The settings of a project, then those of the user, whose folder is `config`; files that are not there say nothing."""
    found: "list[Setting]" = []
    problems: "list[str]" = []
    files = [
        (os.path.join(project, "pyproject.toml"), "pyproject.toml", _TABLE),
        (os.path.join(project, ".claude", FILE), f".claude/{FILE}", ""),
    ]
    if config and os.path.abspath(config) != os.path.abspath(os.path.join(project, ".claude")):
        files.append((os.path.join(config, FILE), os.path.join(config, FILE), ""))
    for path, shown, table in files:
        try:
            with open(path, "rb") as file:
                data = file.read(_LIMIT)
        except (OSError, ValueError):
            continue
        if b"cache-strategy" in data or not table:
            _read(data.decode("utf-8-sig", "replace"), shown, table, found, problems)
    return Settings(found, problems)


def unknown_rules(settings: Settings, known: "Sequence[str]") -> "list[str]":
    """A line for every setting that names a rule that there is not."""
    named = [s for s in settings.settings if s.key != "exclude" and s.name not in known]
    return [f"{s.place}: {s.name} is no rule; cache-strategy explain names them." for s in named]


def _read(text: str, shown: str, table: str, found: "list[Setting]", problems: "list[str]") -> None:
    current, quoted = "", ""
    rows = text.replace("\r\n", "\n").split("\n")
    number = 0
    while number < len(rows):
        row, line = rows[number].strip(), number + 1
        number += 1
        if quoted:
            quoted = "" if row.count(quoted) % 2 else quoted
            continue
        head = _HEAD.match(row) if row.startswith("[") else None
        if head is not None:
            current = head[1].replace('"', "").replace("'", "").replace(" ", "")
            below = current[len(table) :].lstrip(".") if table else current
            if (current == table or current.startswith(table + ".") or not table) and below not in (
                "",
                "severity",
            ):
                problems.append(
                    f"{shown}:{line}: [{current}] is no table of cache-strategy; there is [severity]."
                )
            continue
        ours = current in (table, f"{table}.severity".lstrip("."))
        if not ours:
            quoted = next((mark for mark in ('"""', "'''") if row.count(mark) % 2), "")
            continue
        if not row or row.startswith("#"):
            continue
        pair = _PAIR.match(row)
        if pair is None:
            problems.append(f"{shown}:{line}: this is no `key = value`: {row[:60]}")
            continue
        value = pair[2]
        while (
            value.startswith("[") and not _is_closed(value) and number < min(len(rows), line + _LONGEST_LIST)
        ):
            value += "\n" + rows[number].strip()
            number += 1
        _take(pair[1].strip("\"'"), value, current != table, f"{shown}:{line}", found, problems)


def _is_closed(value: str) -> bool:
    """Whether a list ends, comments and strings left out."""
    return "]" in _STRING.sub("", patterns.sub(r"(?m)#[^\n\"']*$", "", value))


def _take(
    key: str, value: str, is_severity: bool, place: str, found: "list[Setting]", problems: "list[str]"
) -> None:
    value = value.strip()
    if is_severity:
        text = _string(value)
        if text in SEVERITIES:
            found.append(Setting("severity", key, text, place))
        else:
            problems.append(
                f"{place}: {key} = {value[:40]} is no severity; write one of {', '.join(SEVERITIES)} in quotes."
            )
    elif key in _LISTS:
        inner = value[1:].rpartition("]")[0] if value.startswith("[") else None
        names = [one or other for one, other in _STRING.findall(inner or "")]
        rest = patterns.sub(r"(?m)#.*$", "", _STRING.sub("", inner or "")) if inner is not None else "x"
        if rest.replace(",", "").strip():
            problems.append(f'{place}: {key} is no list of strings; write {key} = ["…", "…"].')
            return
        if any(name.count("*") > _MOST_STARS for name in names):
            problems.append(f"{place}: {key} has a pattern with more than {_MOST_STARS} stars.")
            return
        found.extend(Setting(key, name, "off" if key == "off" else "", place) for name in names if name)
    elif key == "severity" and value.startswith("{"):
        for part in filter(None, (each.strip() for each in value.strip("{} ").split(","))):
            pair = _PAIR.match(part)
            if pair is None:
                problems.append(f"{place}: severity is no table of rules and severities.")
            else:
                _take(pair[1].strip("\"'"), pair[2], True, place, found, problems)
    else:
        problems.append(
            f"{place}: {key} is no setting of cache-strategy; there are off, exclude and severity."
        )


def _string(value: str) -> str:
    match = _STRING.match(value)
    rest = value[match.end() :].strip() if match else "x"
    return (match[1] or match[2] or "") if match and (not rest or rest.startswith("#")) else ""


def _covers(pattern: str, path: str) -> bool:
    """Whether a pattern covers a path: a folder covers what is in it, `*` any characters but a slash, `**` any."""
    pattern = pattern[2:] if pattern.startswith("./") else pattern
    if not any(mark in pattern for mark in "*?["):
        bare = pattern.rstrip("/")
        return path == bare or path.startswith(bare + "/") or bare in ("", ".")
    parts = patterns.split(r"(\*\*/?|\*|\?)", pattern)
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return bool(
        patterns.fullmatch(
            "".join(known.get(part) or patterns.escape(part) for part in parts) + "(?:/.*)?", path
        )
    )
