"""
Case files: texts with the expected findings written on the line.

`=== title` begins a case. A case is one text, or a change whose parts follow `--- before` and `--- after`. A line
that ends in `# error: rule-name` (several may follow each other) must get exactly those findings; every other line
must get none. The expectations are cut off before the text is judged. A title that begins with "clean" says that
nothing is expected.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent

_EXPECTED = re.compile(r"\s*# (error|warning|info): ([a-z-]+)(?=\s*(?:#|$))")


class Case(NamedTuple):
    """`before` is None for a text; `expected` holds (line from 1, severity, rule name)."""

    title: str
    before: str | None
    text: str
    expected: frozenset[tuple[int, str, str]]


def cases_of(rule_name: str) -> list[Case]:
    """The cases of a rule, in the order of its file."""
    text = (FOLDER / f"{rule_name.replace('-', '_')}.txt").read_text(encoding="utf-8")
    cases = []
    for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        title, _, body = block.partition("\n")
        parts = re.split(r"^--- (?:before|after)\n", body, flags=re.MULTILINE)
        before = parts[1] if len(parts) == 3 else None
        after, expected = without_expectations(parts[-1])
        cases.append(Case(title, before, after, expected))
    return cases


def without_expectations(text: str) -> tuple[str, frozenset[tuple[int, str, str]]]:
    """The text as the rule sees it, and what it must find."""
    expected = set()
    lines = []
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        expected.update((number, severity, rule) for severity, rule in _EXPECTED.findall(line))
        lines.append(_EXPECTED.sub("", line))
    return "\n".join(lines) + "\n", frozenset(expected)
