"""An edit of a long file is judged on what has to do with it, and judged the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cache_strategy.rules as rules
from cache_strategy.rules import _narrow
from cache_strategy.rules._edit import Edit
from cache_strategy.rules._narrow import narrowed
from rules.case_files import cases_of

FOLDER = Path(__file__).resolve().parent
# Functions that have nothing to do with any case, in both forms.
REST = "".join(
    f"\n\ndef rest_{n}(given):\n    made_of_it = given * {n}\n    return made_of_it\n\n\nclass Rest{n}:\n    size = {n}\n\n    def weigh_{n}(self):\n        return self.size\n"
    for n in range(60)
)
CHANGES = [
    pytest.param(case, id=f"{path.stem}: {case.title}")
    for path in sorted(FOLDER.glob("*.txt"))
    for case in cases_of(path.stem.replace("_", "-"))
    if case.before is not None and case.path.endswith(".py")
]


@pytest.mark.parametrize("case", CHANGES)
def test_the_cut_of_a_long_file_is_judged_as_the_whole(case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = case.before + REST, case.text + REST
    cut = narrowed(before, after)
    found = rules.check_change(before, after, case.path)
    monkeypatch.setattr(_narrow, "_SHORT", 10**9)

    assert found == rules.check_change(before, after, case.path)
    if cut is not None:
        assert len(cut[1]) < len(after) / 2 and cut[1].count("\n") == after.count("\n")
        asked = rules._rules_for("code", Edit(before, after))
        assert bool(found) == bool(rules._judge(asked, [], cut[0], cut[1], case.path, None))


def test_most_cases_are_cut() -> None:
    cut = [narrowed(case.values[0].before + REST, case.values[0].text + REST) for case in CHANGES]  # type: ignore[union-attr]  # every case of a change has one

    assert sum(each is not None for each in cut) > len(cut) * 0.6


TEXT = '''\
import x

SQL = """
def not_a_function():
"""


@decorated(
    1
)
def touched():
    return helper()


def helper():
    return 1


def user():
    return touched()


def user_of_user():
    return user()


class Shop:
    size = 1

    @property
    def touched_too(self):
        return 1

    def calls(self):
        return self.touched_too

    def other(self):
        text = """
no function
    def here
"""
        return text


def reads():
    return cache.get("a")
'''


def test_what_uses_and_what_is_used_stays_and_lines_keep_their_numbers() -> None:
    before = TEXT + REST
    cut = narrowed(
        before,
        before.replace("return helper()", "return helper() + 1").replace(
            "        return 1\n", "        return 2\n"
        ),
    )
    assert cut is not None
    tree = ast.parse(cut[1])
    kept = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]

    assert sorted(kept) == ["calls", "helper", "reads", "touched", "touched_too", "user", "user_of_user"]
    line = next(node.lineno for node in tree.body if getattr(node, "name", "") == "user_of_user")
    assert before.split("\n")[line - 1] == "def user_of_user():"


@pytest.mark.parametrize("text", ['x = """\ndef f():\n    """ + "1"\n', "'''\nclass A:\n", "def f(:\n", ""])
def test_a_cut_that_is_not_sure_is_not_made_or_does_not_matter(text: str) -> None:
    before, after = text + REST, text + REST.replace("given * 7\n", "given * 8\n")

    cut = narrowed(before, after)
    assert cut is None or cut[1].count("\n") == after.count("\n")
    assert rules.check_change(before, after, "shop/a.py") == []
