"""The rules about configurations over a file, or over a file as it is and as it will be."""

from __future__ import annotations

from cache_strategy.rules._config import ConfigFile, kind_of
from cache_strategy.rules._suppress import allows_in
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cache_strategy.rules._base import Finding, Rule

    Found = list[Finding]

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
    kind = kind_of(path, after)
    if not kind:
        return []
    # The rules about SQL look at Python files, too, and lie with them.
    rules = [rule for rule in rules_for("code" if kind == "sql" else "config") if rule.kinds() & {kind}]
    if not rules:
        return []
    new = ConfigFile(after, path, kind)
    found = _allowed(_visit(rules, new), new)
    if before is not None and kind_of(path, before) == kind:
        old = ConfigFile(before, path, kind)
        found = brought(found, after, _allowed(_visit(rules, old), old), before) if found else found
        lost = [
            f
            for rule in rules
            for kinds, visit in rule.config_changes
            if kind in kinds
            for f in visit(old, new)
        ]
        told = {(finding.rule, finding.line) for finding in lost}
        found = [f for f in found if (f.rule, f.line) not in told] + _allowed(lost, new)
    return [finding._replace(path=path) for finding in found]


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
    for finding in findings:
        rows = file.rows[max(0, finding.line - 2) : finding.line]
        comments = [found[1] for row in rows for found in [_COMMENT.search(row[-500:])] if found]
        allowed = [
            allows for comment in comments for allows in [allows_in("# " + comment)] if allows and allows[1]
        ]
        if not any({finding.name, finding.rule} & names for names, _ in allowed):
            kept.append(finding)
    return kept
