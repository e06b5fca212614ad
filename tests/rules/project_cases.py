"""
Cases of rules that need a project: several files in one text, each begun by a line `# its/path`.

The last one is edited: its lines are marked as in `case_files`. The others are written down and indexed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from cache_strategy.rules import Finding, check_change
from cache_strategy.rules.index.build import refresh
from cache_strategy.rules.index.store import load_index
from rules.case_files import versions_of, without_expectations

FOLDER = Path(__file__).resolve().parent / "project"


class ProjectCase(NamedTuple):
    """`files` are the project as it is; `expected` holds (line from 1, severity, rule name) of `path` as it will be."""

    title: str
    files: dict[str, str]
    path: str
    after: str
    expected: frozenset[tuple[int, str, str]]


def project_case(title: str, text: str, rule_name: str) -> ProjectCase:
    """One case of a rule from its text."""
    parts = re.split(r"^# (\S+/\S+|\S+\.yaml)\n", text, flags=re.MULTILINE)
    files = dict(zip(parts[1::2], parts[2::2], strict=True))
    path = parts[-2]
    before, after = versions_of(files.pop(path))
    if before is not None and before.strip():
        files[path] = before
    after, expected = without_expectations(after, rule_name)
    return ProjectCase(title, files, path, after, expected)


def project_cases_of(rule_name: str) -> list[ProjectCase]:
    """The cases of a rule, in the order of its file; what stands before the first begins every one."""
    text = (FOLDER / f"{rule_name.replace('-', '_')}.txt").read_text(encoding="utf-8")
    start, *parts = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)
    return [
        project_case(title, start + body, rule_name)
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def findings_in(case: ProjectCase, folder: Path) -> list[Finding]:
    """What the rules say of a case's edit, in a project below `folder` with its index."""
    project = folder / "project"
    for name, text in case.files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    project.mkdir(exist_ok=True)
    refresh(str(project), str(folder / "data"))
    index = load_index(str(project), str(folder / "data"))
    return check_change(case.files.get(case.path), case.after, case.path, lambda: index)
