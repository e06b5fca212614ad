"""The rules about configurations over a file, or over a file as it is and as it will be."""

from __future__ import annotations

from cache_strategy.rules._config import ConfigFile, kind_of
from cache_strategy.rules._embedded import embedded_in
from cache_strategy.rules._suppress import allows_in
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cache_strategy.rules._base import Finding, Rule

    Found = list[Finding]

# The name of the rule that these codes were made of: what people allowed by it stays allowed.
_OLD_NAME = "unsafe-cache-config"
_OLD_CODES = frozenset("CS201 CS202 CS203 CS204 CS205 CS206 CS207".split())
_COMMENT = regex(r"(?:#|//|--|/\*)\s*(cache-safety:.*?)(?:\*/)?\s*$")


def check_config(
    before: "str | None",
    after: str,
    path: str,
    rules_for: "Callable[[str], list[Rule]]",
    brought: "Callable[[Found, str, Found, str], Found]",
) -> "Found":
    """
    What a configuration says that is unsafe; with `before` only what the change brings or takes away.

    `rules_for` gives the rules of a folder that can matter; `brought` leaves out what was there before.
    """
    found: "Found" = []
    older = _readings(path, before, after) if before is not None else {}
    for kind, new in _readings(path, after, before or "").items():
        # The rules about SQL look at Python files, too, and lie with them.
        rules = [rule for rule in rules_for("code" if kind == "sql" else "config") if rule.kinds() & {kind}]
        more = _allowed(_visit(rules, new), new)
        old = older.get(kind)
        if before is not None and old is not None:
            more = brought(more, after, _allowed(_visit(rules, old), old), before) if more else more
            lost = [
                f
                for rule in rules
                for kinds, visit in rule.config_changes
                if kind in kinds
                for f in visit(old, new)
            ]
            told = {(finding.rule, finding.line) for finding in lost}
            more = [f for f in more if (f.rule, f.line) not in told] + _allowed(lost, new)
        told = {(finding.rule, finding.line) for finding in found}
        found += [f for f in more if (f.rule, f.line) not in told]
    return [finding._replace(path=path) for finding in found]


def _readings(path: str, text: str, other: str) -> "dict[str, ConfigFile]":
    """What a file configures, by kind: itself, and what stands inside it."""
    kind = kind_of(path, text)
    return {**({kind: ConfigFile(text, path, kind)} if kind else {}), **embedded_in(path, text, other)}


def _visit(rules: "Iterable[Rule]", file: ConfigFile) -> "Found":
    return [
        f
        for rule in rules
        for kinds, visit in rule.config_visitors
        if file.kind in kinds
        for f in visit(file)
    ]


def _allowed(findings: "Found", file: ConfigFile) -> "Found":
    """The findings that no comment on their line or on the line above allows for a reason."""
    kept = []
    lines = file.text.split("\n")
    for finding in findings:
        known = {finding.name, finding.rule} | ({_OLD_NAME} if finding.rule in _OLD_CODES else set())
        rows = lines[max(0, finding.line - 2) : finding.line]
        comments = [found[1] for row in rows for found in [_COMMENT.search(row[-500:])] if found]
        allowed = [
            allows for comment in comments for allows in [allows_in("# " + comment)] if allows and allows[1]
        ]
        if not any(known & names for names, _ in allowed):
            kept.append(finding)
    return kept
