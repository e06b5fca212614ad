"""
Case files: texts with the expected findings written on the line.

What stands before the first case begins every case. `=== title` begins a case, `==== title` one that begins with
nothing. A line that begins with `-` is only in the file as it was, one with `+` only in the file as it will be;
without such lines the case is a text. A line that ends in `# error`, or in `# error: rule-name` for another rule than
the file's (several may follow each other), must get exactly those findings; every other line must get none. The
expectations are cut off before the text is judged. A title that begins with "clean" says that nothing is expected; one
that ends in `(default.vcl)` names the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from cache_strategy.rules import rule_named
from cache_strategy.rules._base import Rule

FOLDER = Path(__file__).resolve().parent
PATHS = {"nginx": "nginx.conf", "vcl": "default.vcl", "hcl": "main.tf", "redis": "redis.conf"}

_EXPECTED = re.compile(r"\s*# (error|warning|info)(?:: ([a-z-]+))?(?=\s*(?:#|$))", re.MULTILINE)


class Case(NamedTuple):
    """`before` is None for a text; `expected` holds (line from 1, severity, rule name)."""

    title: str
    path: str
    before: str | None
    text: str
    expected: frozenset[tuple[int, str, str]]


def path_of(rule: Rule) -> str:
    """The file that a rule's examples are taken for."""
    if rule.node_visitors or rule.change_visitors:
        return "shop/views.py"
    kinds = [
        kind
        for visitors in (rule.config_visitors, rule.config_changes)
        for kinds, _ in visitors
        for kind in kinds
    ]
    return PATHS[kinds[0]] if kinds else "shop/views.py"


def cases_of(rule_name: str) -> list[Case]:
    """The cases of a rule, in the order of its file."""
    text = (FOLDER / f"{rule_name.replace('-', '_')}.txt").read_text(encoding="utf-8")
    start, *parts = re.split(r"^(====?) (.*)\n", text, flags=re.MULTILINE)
    cases = []
    for mark, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        before, after = versions_of(body if mark == "====" else start + body)
        named = re.search(r"\((\S*(?:\.\w+|_headers))\)$", title)
        path = named[1] if named else path_of(rule_named(rule_name))
        cases.append(Case(title, path, before, *without_expectations(after, rule_name)))
    return cases


def versions_of(text: str) -> tuple[str | None, str]:
    """The file as it was (None where no line is marked) and as it will be."""
    lines = text.rstrip("\n").split("\n")
    if not any(line.startswith(("-", "+")) for line in lines):
        return None, text
    before, after = (
        "\n".join(line.removeprefix(own) for line in lines if not line.startswith(other)) + "\n"
        for own, other in ("-+", "+-")
    )
    return _EXPECTED.sub("", before), after


def without_expectations(text: str, own: str) -> tuple[str, frozenset[tuple[int, str, str]]]:
    """The text as the rule sees it, and what it must find."""
    expected = set()
    lines = []
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        expected.update((number, severity, rule or own) for severity, rule in _EXPECTED.findall(line))
        lines.append(_EXPECTED.sub("", line))
    return "\n".join(lines) + "\n", frozenset(expected)
