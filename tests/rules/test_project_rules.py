"""Rules that need the project: what they flag and what not, and that they are silent where the index is not to be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cache_strategy.rules import all_rules, check_change
from cache_strategy.rules.index.store import index_path, load_index
from rules.project_cases import FOLDER, ProjectCase, findings_in, project_cases_of

RULES = sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.txt"))
CASES = [pytest.param(case, id=f"{rule}: {case.title}") for rule in RULES for case in project_cases_of(rule)]
# What the edited file itself shows needs no other file to be fresh.
FLAGGED = [
    pytest.param(case, id=f"{rule}: {case.title}")
    for rule in RULES
    for case in project_cases_of(rule)
    if case.expected and "beside its siblings" not in case.title
]


@pytest.mark.parametrize("case", CASES)
def test_the_lines_that_must_be_flagged_are_and_no_other(case: ProjectCase, tmp_path: Path) -> None:
    found = findings_in(case, tmp_path)

    assert {(f.line, f.severity, f.name) for f in found} == set(case.expected)
    assert bool(case.expected) != case.title.startswith("clean")


@pytest.mark.parametrize("rule", RULES)
def test_there_are_at_least_as_many_clean_cases_as_flagged_ones(rule: str) -> None:
    cases = project_cases_of(rule)
    flagged = sum(bool(case.expected) for case in cases)

    assert len(cases) - flagged >= flagged > 0


def test_every_rule_about_the_project_has_its_cases() -> None:
    assert {rule.name for rule in all_rules() if rule.project_visitors} == set(RULES)


@pytest.mark.parametrize("case", FLAGGED)
def test_without_an_index_or_with_a_stale_one_they_are_silent(case: ProjectCase, tmp_path: Path) -> None:
    assert findings_in(case, tmp_path)
    project, data = tmp_path / "project", str(tmp_path / "data")
    before = case.files.get(case.path)

    assert check_change(before, case.after, case.path, None) == []
    for name in set(case.files) - {case.path}:
        os.utime(project / name, ns=(1, 1))
    assert check_change(before, case.after, case.path, lambda: load_index(str(project), data)) == []
    path = Path(index_path(str(project), data))
    for damaged in (
        b"",
        b"garbage",
        path.read_bytes()[:-40],
        b"cache-strategy index 0\n" + path.read_bytes(),
    ):
        path.write_bytes(damaged)
        assert (
            load_index(str(project), data) is None or check_change(before, case.after, case.path, None) == []
        )
