"""Every format of the linter writes every finding and every unread file, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.lint import LintResult, lint, render
from cache_strategy.lint.formats import load_formats
from cache_strategy.model.evidence import Unread
from cache_strategy.rules import Finding, all_rules
from lint.sarif_schema import problems_of

FORMATS = sorted(load_formats())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(
    lambda t: t.replace("\\", "/")
)
FINDINGS = st.builds(
    lambda rule, path, line, column, more, message, fix: Finding(
        rule.code, rule.name, rule.severity, path, line, column, line + more, message, fix
    ),
    st.sampled_from(all_rules()),
    PATHS,
    st.integers(1, 10**6),
    st.integers(1, 500),
    st.integers(0, 9),
    TEXTS,
    TEXTS,
)
RESULTS = st.lists(st.tuples(FINDINGS, TEXTS), max_size=4).flatmap(
    lambda pairs: st.builds(
        lambda unread: LintResult(
            findings=tuple(finding for finding, _ in pairs),
            lines=tuple(line for _, line in pairs),
            unread=tuple(unread),
            files=len(pairs),
        ),
        st.lists(st.builds(lambda path, reason: Unread(path=path, reason=reason), PATHS, TEXTS), max_size=2),
    )
)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(result=RESULTS)
def test_every_result_is_written_as_text_that_ends_a_line_and_can_be_encoded(name: str, result: LintResult):
    text = render(result, name)

    assert text.endswith("\n")
    text.encode("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_every_finding_and_every_unread_file_is_named(name: str, tmp_path: Path):
    (tmp_path / "a page.py").write_text(
        "from shop import cache\n\n\n@cache.cached()\ndef page():\n    return request.user\n"
    )
    (tmp_path / "broken.py").write_text("def broken(:\n")

    text = unquote(render(lint([tmp_path], diff=None, root=tmp_path), name))

    assert "a page.py" in text and "CS101" in text and "request.user" in text
    assert "broken.py" in text and "syntax error" in text


@settings(max_examples=60, deadline=None)
@given(result=RESULTS)
def test_json_is_schema_1_and_loses_nothing(result: LintResult):
    data = json.loads(render(result, "json"))

    assert data["schema"] == 1
    assert [Finding(**finding) for finding in data["findings"]] == list(result.findings)
    assert [(item["path"], item["reason"]) for item in data["unread"]] == [
        (u.path, u.reason) for u in result.unread
    ]


@settings(max_examples=60, deadline=None)
@given(result=RESULTS)
def test_sarif_points_every_result_at_its_rule_and_its_place(result: LintResult):
    data = json.loads(render(result, "sarif"))

    assert data["version"] == "2.1.0"
    (run,) = data["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in all_rules()]
    for finding, written in zip(result.findings, run["results"], strict=True):
        assert rules[written["ruleIndex"]]["id"] == written["ruleId"] == finding.rule
        assert written["level"] in ("error", "warning", "note") and written["message"]["text"]
        place = written["locations"][0]["physicalLocation"]
        region = place["region"]
        assert 1 <= region["startLine"] <= region["endLine"] and region["startColumn"] >= 1
        uri = place["artifactLocation"]["uri"]
        assert uri.isascii() and " " not in uri and unquote(uri.removeprefix("file://")) == finding.path
    assert problems_of(data) == []
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == len(result.unread)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), "2.0.0"),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
        (
            ("runs", 0, "results", 0, "locations", 0, "physicalLocation", "artifactLocation", "uri"),
            "a page.py",
        ),
        (("runs", 0, "results", 0, "colour"), "red"),
        (("runs", 0, "tool"), {"driver": {}}),
        (("runs", 0, "results", 0, "ruleIndex"), "1"),
    ],
)
def test_the_schema_of_sarif_refuses_what_is_no_sarif(
    place: tuple[str | int, ...], value: object, tmp_path: Path
):
    (tmp_path / "page.py").write_text(
        "import functools\n\n\n@functools.lru_cache\nasync def page():\n    pass\n"
    )
    data = json.loads(render(lint([tmp_path], diff=None, root=tmp_path), "sarif"))
    assert problems_of(data) == []

    holder = data
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value

    assert problems_of(data)
