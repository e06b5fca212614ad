"""What every safety rule keeps: its page, its page's examples, its words in the gate, no surprise on any file."""

from __future__ import annotations

import ast
import random
import re
import runpy
import sysconfig
import textwrap
from pathlib import Path

import pytest

from cache_strategy.rules import all_rules, check_change, check_command, check_text, explain, rule_named
from cache_strategy.rules._base import Rule
from rules.case_files import path_of, versions_of
from rules.project_cases import findings_in, project_case

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "scripts" / "cache_strategy"
SECTIONS = ["What it does", "Why is this bad", "Example", "Use instead", "Known problems", "Source"]
RULES = [pytest.param(rule, id=rule.name) for rule in all_rules()]
# Found while allows are read, so it has no case file of its own: the cases of the other rules hold it.
WITHOUT_CASES = {"invalid-allow"}


def sections_of(page: str) -> dict[str, str]:
    """The parts of a page by heading, without their indentation."""
    parts = re.split(r"^(\S.*)$", page.partition("\n")[2], flags=re.MULTILINE)
    return {
        title: textwrap.dedent(body).strip("\n") for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def findings_of(rule: Rule, example: str, folder: Path) -> list[str]:
    """The names of the rules that flag an example: a command, a text, a change whose lines are marked, a project."""
    if rule.project_visitors:
        return [finding.name for finding in findings_in(project_case("", example, rule.name), folder)]
    if rule.command_visitors:
        return [finding.name for finding in check_command(example)]
    before, after = versions_of(example)
    path = path_of(rule)
    if before is not None:
        return sorted({finding.name for finding in check_change(before, after, path)})
    return [finding.name for finding in check_text(after, path)]


@pytest.mark.parametrize("rule", RULES)
def test_the_page_has_its_parts_in_order(rule: Rule) -> None:
    page = explain(rule.name)

    assert page.partition("\n")[0] == f"{rule.code} {rule.name}"
    sections = sections_of(page)
    assert list(sections) == SECTIONS
    assert all(sections.values())


@pytest.mark.parametrize("rule", RULES)
def test_the_example_of_the_page_is_flagged_and_the_remedy_is_not(rule: Rule, tmp_path: Path) -> None:
    sections = sections_of(explain(rule.code))

    assert findings_of(rule, sections["Example"] + "\n", tmp_path / "1") == [rule.name]
    assert findings_of(rule, sections["Use instead"] + "\n", tmp_path / "2") == []


@pytest.mark.parametrize("rule", RULES)
def test_the_file_states_the_rule_and_the_name_is_the_files(rule: Rule) -> None:
    assert re.fullmatch(r"CS\d{3}", rule.code)
    assert rule.name == rule.module.rpartition(".")[2].replace("_", "-")
    assert rule.severity in ("error", "warning", "info")
    assert rule_named(rule.code) is rule


def test_codes_are_used_once() -> None:
    codes = [rule.code for rule in all_rules()]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("rule", RULES)
def test_the_gate_of_the_hook_lets_every_keyword_through(rule: Rule) -> None:
    guard = runpy.run_path(str(ROOT / "hooks" / "judge.py"))
    gates = [guard["CONFIGURES"]] if rule.kinds() else []
    if rule.node_visitors or rule.change_visitors or not gates:
        gates.append(guard["GATE"])

    assert rule.keywords or rule.project_visitors  # the words of a project are those of its index
    for keyword in rule.keywords:
        assert keyword == keyword.lower()
        assert all(any(word in keyword.encode() for word in gate) for gate in gates), keyword


@pytest.mark.parametrize(
    "rule", [rule for rule in all_rules() if rule.name not in WITHOUT_CASES], ids=lambda r: r.name
)
def test_there_is_a_case_file(rule: Rule) -> None:
    folder = ROOT / "tests" / "rules" / ("project" if rule.project_visitors else "")
    assert (folder / f"{rule.name.replace('-', '_')}.txt").exists()


def test_a_rule_without_cases_is_named_here() -> None:
    assert {rule.name for rule in all_rules()} >= WITHOUT_CASES


def test_an_unknown_rule_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(KeyError, match="removed-invalidation"):
        explain("no-such-rule")


def test_no_rule_raises_on_files_that_parse_nor_on_changes_of_them() -> None:
    library = Path(sysconfig.get_path("stdlib"))
    chosen = random.Random(7).sample(sorted(library.glob("*.py")), 60) + sorted(PACKAGE.rglob("*.py"))
    for path in chosen:
        text = path.read_text(encoding="utf-8", errors="replace")
        bait = "from flask import session\ncache = 1\n"
        check_text(bait + text, "shop/views.py")
        for mutilated in some_lines_removed(text, seed=len(text)):
            check_change(bait + text, bait + mutilated, "shop/views.py")
            check_change(bait + mutilated, bait + text, "shop/views.py")


def some_lines_removed(text: str, seed: int) -> list[str]:
    """Texts without some of the statements of functions."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    bodies = [
        node.body for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and len(node.body) > 1
    ]
    lines = text.split("\n")
    chance = random.Random(seed)
    texts = []
    for body in chance.sample(bodies, min(3, len(bodies))):
        gone = chance.choice(body)
        texts.append("\n".join(lines[: gone.lineno - 1] + lines[(gone.end_lineno or gone.lineno) :]))
    return texts


@pytest.mark.parametrize(
    "path",
    sorted([*PACKAGE.glob("rules/**/*.py"), *PACKAGE.glob("syntax/*.py"), *ROOT.glob("hooks/*.py")]),
    ids=str,
)
def test_what_the_hook_imports_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
