"""`# cache-safety: allow[rule-name] reason`: who may switch a rule off, where, and that a reason is given."""

from __future__ import annotations

import re

from cache_strategy.rules._base import WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ALLOW = re.compile(r"#\s*cache-safety:\s*allow\s*\[([^\]]*)\]\s*(.*)")


def allows_in(comment: str) -> "tuple[frozenset[str], str] | None":
    """The rules (names or codes) that a comment allows and the reason it gives; None when it is no such comment."""
    match = _ALLOW.search(comment)
    if match is None:
        return None
    names = frozenset(name.strip() for name in match.group(1).split(",") if name.strip())
    return names, match.group(2).strip()


def suppress_command(findings: "Iterable[Finding]", comments: "Iterable[tuple[int, str]]") -> "list[Finding]":
    """The findings that no comment of the command allows; an allow covers the whole command."""
    kept = list(findings)
    for line, text in comments:
        allowed = allows_in(text)
        if allowed is None:
            continue
        names, reason = allowed
        if reason:
            kept = [finding for finding in kept if finding.name not in names and finding.rule not in names]
        elif kept:
            kept.append(missing_reason(line, names)._replace(path=kept[0].path))
    return kept


def missing_reason(line: int, names: "frozenset[str]") -> Finding:
    shown = ", ".join(sorted(names)) or "nothing"
    return Finding(
        "CS001",
        "allow-without-reason",
        WARNING,
        "",
        line,
        1,
        line,
        f"allow[{shown}] gives no reason, so it allows nothing.",
        "Write the reason after the bracket: # cache-safety: allow[rule-name] why it is safe here.",
    )
