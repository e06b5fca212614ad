"""
`# cache-safety: allow[rule-name] reason`: switches a rule off for a line, for a stated reason.

The comment stands on a line of the finding or alone on the line above it. In a shell command it stands anywhere
and covers the whole command. Without a reason it allows nothing and is reported itself, and so is an unknown name.
"""

from __future__ import annotations

from cache_strategy.rules._base import REGISTER, WARNING, Finding
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARK = "cache-safety:"
_ALLOW = regex(r"#\s*cache-safety:\s*allow\s*\[([^\]]*)\]\s*(.*)")


def allows_in(comment: str) -> "tuple[frozenset[str], str] | None":
    """The rules (names or codes) that a comment allows and the reason it gives; None when it is no such comment."""
    match = _ALLOW.search(comment)
    if match is None:
        return None
    names = frozenset(name.strip() for name in match.group(1).split(",") if name.strip())
    return names, match.group(2).strip()


def suppress_text(
    findings: "Iterable[Finding]", text: str, path: str, *, only_findings: bool = False
) -> "list[Finding]":
    """
    The findings that no comment of the file allows, and one for each comment that is not a valid allow.

    `only_findings` leaves the latter out.
    """
    kept = list(findings)
    if MARK not in text:
        return kept
    invalid = []
    for line, column, comment, alone in _comments(text):
        allowed = allows_in(comment)
        if allowed is None:
            continue
        names, reason = allowed
        problem = _problem(names, reason)
        if problem:
            invalid.append(_finding(path, line, column, problem))
        if reason:
            kept = [finding for finding in kept if not _covers(finding, names, line, alone)]
    return kept if only_findings else kept + invalid


def suppress_command(findings: "Iterable[Finding]", comments: "Iterable[tuple[int, str]]") -> "list[Finding]":
    """The findings that no comment of the command allows; an allow covers the whole command."""
    kept = list(findings)
    for line, text in comments if kept else ():
        allowed = allows_in(text)
        if allowed is None:
            continue
        names, reason = allowed
        if reason:
            kept = [finding for finding in kept if finding.name not in names and finding.rule not in names]
        else:
            problem = _problem(names, reason)
            if problem is not None:
                kept.append(_finding(kept[0].path, line, 0, problem))
    return kept


def _finding(path: str, line: int, column: int, problem: "tuple[str, str]") -> Finding:
    message, fix = problem
    return Finding("CS001", "invalid-allow", WARNING, path, line, column + 1, line, message, fix)


def _covers(finding: "Finding", names: "frozenset[str]", line: int, alone: bool) -> bool:
    if finding.name not in names and finding.rule not in names:
        return False
    return finding.line <= line <= max(finding.end_line, finding.line) or (alone and line == finding.line - 1)


def _problem(names: "frozenset[str]", reason: str) -> "tuple[str, str] | None":
    """Message and fix for a comment that allows nothing; None when it is fine."""
    shown = ", ".join(sorted(names))
    if not reason:
        return (
            f"allow[{shown}] gives no reason, so it allows nothing.",
            "Write the reason after the bracket: # cache-safety: allow[rule-name] why it is safe here.",
        )
    unknown = sorted(names - {known for rule in REGISTER.values() for known in (rule.name, rule.code)})
    if unknown or not names:
        return (
            f"allow[{shown}] names no rule that there is: {', '.join(unknown) or 'the brackets are empty'}.",
            "Write the rule's name as it stands in the finding.",
        )
    return None


def _comments(text: str) -> "Iterator[tuple[int, int, str, bool]]":
    """(line, column, comment, whether nothing else is on the line) of the comments of a Python text with our mark."""
    import io
    import tokenize

    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and MARK in token.string:
                yield token.start[0], token.start[1], token.string, not token.line[: token.start[1]].strip()
    except (tokenize.TokenError, SyntaxError):
        return
