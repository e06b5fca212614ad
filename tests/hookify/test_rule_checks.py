from __future__ import annotations

import pytest

from cache_strategy import hookify
from cache_strategy.hookify.rule_files import read_like_hookify
from cache_strategy.model.errors import CacheStrategyError

GOOD = "---\nname: no-rm\nenabled: true\nevent: bash\naction: block\npattern: rm\\s+-rf\n---\n\nUse trash.\n"


@pytest.fixture
def problems(tmp_path):
    """problems(text, name="r") -> [(line, severity, message)] of a project with that one rule."""

    def check(text: str | bytes, name: str = "hookify.r.local.md") -> list[tuple[int, str, str]]:
        folder = tmp_path / ".claude"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return [(p.line, p.severity, p.message) for p in hookify.check_rules(tmp_path)]

    return check


def test_a_rule_that_is_right_has_no_problem(problems):
    assert problems(GOOD) == []


def rule(*lines: str, message: str = "Use trash.") -> str:
    return "\n".join(("---", *lines, "---", "", message, ""))


BROKEN = [
    ("no front matter", "just text\n", 1, "has no front matter"),
    ("open front matter", "---\nname: r\npattern: rm\n", 1, "has no front matter"),
    ("not UTF-8", b"---\nname: r\nevent: bash\npattern: \xff\n---\nm\n", 4, "is not UTF-8"),
    ("bad regex", rule("name: r", "event: bash", "pattern: rm ("), 4, "pattern is no regular expression"),
    ("unknown event", rule("name: r", "event: shell", "pattern: rm"), 3, "event 'shell' is unknown"),
    (
        "unknown action",
        rule("name: r", "event: bash", "action: deny", "pattern: rm"),
        4,
        "action 'deny' only warns",
    ),
    ("nothing to look for", rule("name: r", "event: bash"), 2, "has nothing to look for"),
    ("empty pattern", rule("name: r", "event: bash", "pattern:"), 4, "has nothing to look for"),
    (
        "unknown check",
        rule("name: r", "event: file", "check: no-such"),
        4,
        "check 'no-such' is no safety rule",
    ),
    (
        "unknown operator",
        rule(
            "name: r",
            "event: bash",
            "conditions:",
            "  - field: command",
            "    operator: matches",
            "    pattern: rm",
        ),
        5,
        "operator 'matches' is unknown",
    ),
    (
        "no pattern in a condition",
        rule("name: r", "event: bash", "conditions:", "  - field: command", "    operator: contains"),
        5,
        "condition has no pattern",
    ),
    (
        "a field that the event lacks",
        rule(
            "name: r",
            "event: bash",
            "conditions:",
            "  - field: new_text",
            "    operator: contains",
            "    pattern: x",
        ),
        5,
        "field 'new_text' is not there on event bash",
    ),
    (
        "two texts at once",
        rule(
            *("name: r", "event: bash", "conditions:"),
            *("  - field: command", "    operator: equals", "    pattern: a"),
            *("  - field: command", "    operator: equals", "    pattern: b"),
        ),
        8,
        "command cannot equal two texts",
    ),
    (
        "a tool of another event",
        rule("name: r", "event: bash", "pattern: rm", "tool_matcher: Write|Edit"),
        5,
        "tool_matcher 'Write|Edit' names no tool of event bash",
    ),
    (
        "an example that is not stopped",
        rule("name: r", "event: bash", "pattern: rm", "examples:", "  - expect: match", '    command: "ls"'),
        6,
        "the rule no longer stops this example",
    ),
    (
        "an example that is stopped",
        rule("name: r", "event: bash", "pattern: rm", "examples:", "  - expect: pass", '    command: "rm x"'),
        6,
        "the rule stops this example",
    ),
    (
        "truth value as pattern",
        rule("name: r", "event: bash", "pattern: true"),
        4,
        "hookify reads this pattern as a truth",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_what_does_not_work_is_an_error_with_its_line(problems, text, line, message):
    found = [(at, said) for at, severity, said in problems(text) if severity == "error"]

    assert [at for at, said in found if said.startswith(message)] == [line], found


SURPRISING = [
    (
        "pattern beside conditions",
        rule(
            "name: r",
            "event: bash",
            "pattern: rm",
            "conditions:",
            "  - field: command",
            "    operator: contains",
            "    pattern: ls",
        ),
        4,
        "pattern is ignored",
    ),
    (
        "alternatives in a literal",
        rule(
            "name: r",
            "event: stop",
            "conditions:",
            "  - field: transcript",
            "    operator: not_contains",
            "    pattern: npm test|pytest",
        ),
        5,
        "not_contains takes",
    ),
    ("slow", rule("name: r", "event: bash", "pattern: (a+)+$"), 4, "pattern may take exponential time"),
    ("always", rule("name: r", "event: bash", "pattern: rm|"), 4, "pattern matches the empty text"),
    (
        "unknown field",
        rule("name: r", "event: bash", "patern: x", "pattern: rm"),
        4,
        "field 'patern' is unknown",
    ),
    ("no message", rule("name: r", "event: bash", "pattern: rm", message=""), 2, "has no message"),
    ("no name", rule("event: bash", "pattern: rm"), 1, "has no name"),
    (
        "three dashes",
        rule("name: r", "event: bash", "pattern: push ---?force", "action: block"),
        5,
        "hookify reads action as 'missing'",
    ),
    (
        "quoted escape",
        rule("name: r", "event: bash", 'pattern: "rm\\\\s+-rf"'),
        4,
        "hookify reads pattern as",
    ),
    (
        "off with a comment",
        rule("name: r", "enabled: false # for now", "event: bash", "pattern: rm"),
        3,
        "hookify reads this rule as on",
    ),
    (
        "off in another word",
        rule("name: r", "enabled: no", "event: bash", "pattern: rm"),
        3,
        "hookify reads this rule as on",
    ),
    (
        "list without indentation",
        rule(
            "name: r",
            "event: bash",
            "conditions:",
            "- field: command",
            "  operator: regex_match",
            "  pattern: rm",
        ),
        4,
        "hookify reads these conditions differently",
    ),
    ("block text", rule("name: r", "event: bash", "pattern: |", "  rm"), 4, "hookify reads pattern as '|'"),
    (
        "comma in one line",
        rule(
            "name: r",
            "event: bash",
            "conditions:",
            "  - field: command, operator: regex_match, pattern: a{2,4}",
        ),
        4,
        "hookify reads these conditions differently",
    ),
    (
        "byte order mark",
        "\ufeff" + rule("name: r", "event: bash", "pattern: rm"),
        2,
        "hookify does not see this rule",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "message"), [case[1:] for case in SURPRISING], ids=[case[0] for case in SURPRISING]
)
def test_what_surprises_or_hookify_reads_differently_is_a_warning_with_its_line(
    problems, text, line, message
):
    found = [(at, said) for at, severity, said in problems(text) if severity == "warning"]

    assert [at for at, said in found if said.startswith(message)] == [line], problems(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            rule("name: r", "event: file", "pattern: rm"),
            "hookify does not look into files that Write creates",
        ),
        (rule("name: r", "event: prompt", "pattern: rm"), "hookify never fires rules about prompts"),
        (rule("name: r", "event: stop", "pattern: rm"), "hookify never fires a stop rule with a pattern"),
        (rule("name: r", "event: all", "pattern: rm"), "hookify fires this rule on Write only"),
        (rule("name: r", "event: bash", "action: ask", "pattern: rm"), "hookify knows no ask"),
    ],
)
def test_what_hookify_cannot_do_is_said_without_alarm(problems, text, message):
    ((_, severity, said),) = problems(text)

    assert severity == "info" and said.startswith(message)


def test_a_file_that_nobody_reads_is_named(problems):
    ((line, severity, message),) = problems(GOOD, "hookify.no-rm.md")

    assert (line, severity, message) == (1, "error", "is not read: rule files end in .local.md.")


def test_a_name_that_is_used_twice_is_named_at_the_second(problems):
    problems(GOOD, "hookify.a.local.md")

    ((line, severity, message),) = problems(GOOD, "hookify.b.local.md")

    assert (line, severity) == (2, "warning")
    assert message == "name 'no-rm' is also that of .claude/hookify.a.local.md; both rules fire."


def test_a_broken_file_does_not_hide_the_others(problems):
    problems("no rule at all", "hookify.a.local.md")

    found = problems(rule("name: r", "event: bash", "pattern: ("), "hookify.b.local.md")

    assert [severity for _, severity, _ in found] == ["error", "error"]


def test_a_project_without_rules_has_no_problems_and_a_missing_one_gets_one_line(tmp_path):
    assert hookify.check_rules(tmp_path) == () == hookify.list_rules(tmp_path)
    for door in (hookify.check_rules, hookify.list_rules):
        with pytest.raises(CacheStrategyError, match="is no folder"):
            door(tmp_path / "nowhere")


def test_a_hostile_rule_file_is_only_text(problems):
    text = "---\nname: \x1b[31mr\nevent: !!python/object:os.system bash\npattern: a\nexamples: !!python/name:os.system\n---\nm"

    assert all("\x1b" not in message for _, _, message in problems(text))
    assert problems(b"\x00" * 300_000)[0][2] == "is larger than 256 kB."
    assert problems("---\nexamples:\n  - " + "[" * 50_000 + "\n---\nm")


def test_the_list_shows_every_rule_with_its_state(tmp_path):
    folder = tmp_path / ".claude"
    folder.mkdir()
    (folder / "hookify.a.local.md").write_text(GOOD)
    (folder / "hookify.b.local.md").write_text(
        rule("name: b", "enabled: false", "event: file", "check: removed-invalidation")
    )
    (folder / "hookify.c.local.md").write_text("broken")
    (folder / "hookify.d.local.md").write_text(
        rule(
            "event: file",
            "conditions:",
            "  - field: file_path",
            "    operator: ends_with",
            "    pattern: .env",
        )
    )

    states = hookify.list_rules(tmp_path)

    assert [(s.name, s.path, s.enabled, s.event, s.action, s.what) for s in states] == [
        ("no-rm", ".claude/hookify.a.local.md", True, "bash", "block", "rm\\s+-rf"),
        ("b", ".claude/hookify.b.local.md", False, "file", "warn", "check removed-invalidation"),
        (
            "c",
            ".claude/hookify.c.local.md",
            False,
            "",
            "",
            "has no front matter: the first line must be ---, and a line --- must close it",
        ),
        ("d", ".claude/hookify.d.local.md", True, "file", "warn", "file_path ends_with .env"),
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("---\nname: r\nenabled: TRUE\n---\nm", {"name": "r", "enabled": True}),
        ("---\nname: \"r'\"\nx: 'true'\n---\nm", {"name": "r", "x": True}),
        ("---\npattern: a---b\naction: block\n---\n", {"pattern": "a"}),
        (
            "---\nconditions:\n  - field: a, operator: b, pattern: c{1,2}\n---\n",
            {"conditions": [{"field": "a", "operator": "b", "pattern": "c{1"}]},
        ),
        ("---\nconditions:\n- field: a\n  pattern: b\n---\n", {"conditions": [{"field": "a"}]}),
        (
            "---\nconditions:\n  - field: a\n    pattern: b\n---\n",
            {"conditions": [{"field": "a", "pattern": "b"}]},
        ),
        ("---\ntools:\n  - a\n  - 'b'\n---\n", {"tools": ["a", "b"]}),
        ("\ufeff---\nname: r\n---\n", None),
        ("---\nname: r\n", None),
    ],
)
def test_hookifys_reading_of_a_front_matter(raw, expected):
    assert read_like_hookify(raw) == expected
