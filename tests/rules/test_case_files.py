"""Every case file: the lines that must be flagged are, and no other line is."""

from __future__ import annotations

import pytest
from case_files import FOLDER, Case, cases_of

from cache_strategy.rules import check_change, check_command, check_text, rule_named

RULES = sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.txt"))
CASES = [pytest.param(rule, case, id=f"{rule}: {case.title}") for rule in RULES for case in cases_of(rule)]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_lines_that_must_be_flagged_are_and_no_other(rule: str, case: Case) -> None:
    if rule_named(rule).command_visitors:
        found = check_command(case.text)
    elif case.before is not None:
        found = check_change(case.before, case.text, case.path)
    else:
        found = check_text(case.text, case.path)

    assert {(f.line, f.severity, f.name) for f in found} == set(case.expected)
    if case.title.startswith("clean"):
        assert not case.expected


@pytest.mark.parametrize("rule", RULES)
def test_there_are_at_least_as_many_clean_cases_as_flagged_ones(rule: str) -> None:
    cases = cases_of(rule)
    flagged = sum(any(name == rule for _, _, name in case.expected) for case in cases)

    assert len(cases) - flagged >= flagged > 0


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule_named(rule).command_visitors])
def test_a_flagged_text_is_flagged_as_a_new_file_and_silent_once_it_is_there(rule: str) -> None:
    for case in cases_of(rule):
        if case.before is None and case.expected:
            assert check_change(None, case.text, case.path), case.title
            later = case.text + ("\n\nLATER = 1\n" if case.path.endswith(".py") else "\n")
            assert check_change(case.text, later, case.path) == [], case.title
