from __future__ import annotations

import pytest

from cache_strategy import hookify
from cache_strategy.model.errors import CacheStrategyError

GOOD = "---\nname: no-rm\nenabled: true\nevent: bash\naction: block\npattern: rm\\s+-rf\n---\n\nUse trash.\n"


@pytest.fixture
def problems(tmp_path):
    """problems(text, name) -> [(line, severity, message)] of a project with that one rule."""

    def check(text: str | bytes, name: str = "hookify.r.local.md") -> list[tuple[int, str, str]]:
        folder = tmp_path / ".claude"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return [(p.line, p.severity, p.message) for p in hookify.check_rules(tmp_path)]

    return check


def rule(*lines: str, event: str = "bash", message: str = "Use trash.") -> str:
    """A rule file: its name stands in line 2, its event in line 3, `lines` from line 4 on."""
    return "\n".join(("---", "name: r", f"event: {event}", *lines, "---", "", message, ""))


def when(*conditions: str, event: str = "bash") -> str:
    """A rule with conditions ("field operator pattern"), three lines each from line 5 on."""
    lines = ["conditions:"]
    for condition in conditions:
        field, operator, pattern = condition.split(" ", 2)
        lines += [f"  - field: {field}", f"    operator: {operator}", f"    pattern: {pattern}"]
    return rule(*lines, event=event)


def found(all_of_them, severity: str, message: str) -> list[int]:
    """The lines of the problems of a severity that begin with a message."""
    return [line for line, its, said in all_of_them if its == severity and said.startswith(message)]


BROKEN = [
    ("just text\n", 1, "has no front matter"),
    (b"---\nname: r\nevent: bash\npattern: \xff\n---\nm\n", 4, "is not UTF-8"),
    (rule("pattern: rm ("), 4, "pattern is no regular expression"),
    (rule("action: deny", "pattern: rm"), 4, "action 'deny' only warns"),
    (rule("pattern:"), 4, "has nothing to look for"),
    (rule("check: no-such"), 4, "check 'no-such' is no safety rule"),
    (rule("conditions:", "  - field: command", "    operator: contains"), 5, "condition has no pattern"),
    (when("new_text contains x"), 5, "field 'new_text' is not there on event bash"),
    (when("command equals a", "command equals b"), 8, "command cannot equal two texts"),
    (rule("pattern: rm", "tool_matcher: Write|Edit"), 5, "tool_matcher 'Write|Edit' names no tool of event"),
    (
        rule("pattern: rm", "examples:", "  - expect: match", '    command: "ls"'),
        6,
        "the rule no longer stops",
    ),
    (rule("pattern: rm", "examples:", "  - expect: pass", '    command: "rm x"'), 6, "the rule stops this"),
    (rule("pattern: true"), 4, "hookify reads this pattern as a truth"),
]


@pytest.mark.parametrize(("text", "line", "message"), BROKEN)
def test_what_does_not_work_is_an_error_with_its_line(problems, text, line, message):
    assert found(problems(text), "error", message) == [line], problems(text)


SURPRISING = [
    (when("command contains ls").replace("conditions", "pattern: rm\nconditions"), 4, "pattern is ignored"),
    (when("transcript not_contains npm test|pytest", event="stop"), 5, "not_contains takes"),
    (rule("pattern: (a+)+$"), 4, "pattern may take exponential time"),
    (rule("pattern: rm|"), 4, "pattern matches the empty text"),
    (rule("patern: x", "pattern: rm"), 4, "field 'patern' is unknown"),
    (rule("pattern: rm", message=""), 2, "has no message"),
    (rule("pattern: rm").replace("name: r\n", ""), 1, "has no name"),
    (rule("pattern: push ---?force", "action: block"), 5, "hookify reads action as 'missing'"),
    (rule('pattern: "rm\\\\s+-rf"'), 4, "hookify reads pattern as"),
    (rule("enabled: false # for now", "pattern: rm"), 4, "hookify reads this rule as on"),
    (rule("conditions:", "- field: command", "  pattern: rm"), 4, "hookify reads these conditions diff"),
    (rule("conditions:", "  - field: command, pattern: a{2,4}"), 4, "hookify reads these conditions diff"),
    (rule("pattern: |", "  rm"), 4, "hookify reads pattern as '|'"),
    ("\ufeff" + rule("pattern: rm"), 2, "hookify does not see this rule"),
]


@pytest.mark.parametrize(("text", "line", "message"), SURPRISING)
def test_what_surprises_or_hookify_reads_differently_is_a_warning_with_its_line(
    problems, text, line, message
):
    assert found(problems(text), "warning", message) == [line], problems(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule("pattern: rm", event="file"), "hookify does not look into files that Write creates"),
        (rule("pattern: rm", event="prompt"), "hookify never fires rules about prompts"),
        (rule("pattern: rm", event="stop"), "hookify never fires a stop rule with a pattern"),
        (rule("pattern: rm", event="all"), "hookify fires this rule on Write only"),
        (rule("action: ask", "pattern: rm"), "hookify knows no ask"),
    ],
)
def test_what_hookify_cannot_do_is_said_without_alarm(problems, text, message):
    ((_, severity, said),) = problems(text)

    assert severity == "info" and said.startswith(message)


def test_a_rule_that_is_right_has_no_problem_and_one_that_nobody_reads_is_named(problems):
    assert problems(GOOD) == []
    unread = (1, "error", "is not read: rule files end in .local.md.")
    assert problems(GOOD, "hookify.no-rm.md") == [unread]


def test_a_name_that_is_used_twice_is_named_at_the_second(problems):
    problems(GOOD, "hookify.a.local.md")

    twice = "name 'no-rm' is also that of .claude/hookify.a.local.md; both rules fire."
    assert problems(GOOD, "hookify.b.local.md") == [(2, "warning", twice)]


def test_a_project_without_rules_has_no_problems_and_a_missing_one_gets_one_line(tmp_path):
    assert hookify.check_rules(tmp_path) == () == hookify.list_rules(tmp_path)
    for door in (hookify.check_rules, hookify.list_rules):
        with pytest.raises(CacheStrategyError, match="is no folder"):
            door(tmp_path / "nowhere")


def test_a_hostile_rule_file_is_only_text(problems):
    text = rule("examples: !!python/name:os.system", event="!!python/object:os.system bash")

    assert all("\x1b" not in message for _, _, message in problems(text.replace("r\n", "\x1b[31mr\n")))
    assert problems(b"\x00" * 300_000)[0][2] == "is larger than 256 kB."
    assert problems("---\nexamples:\n  - " + "[" * 50_000 + "\n---\nm")


def test_the_list_shows_every_rule_with_its_state(tmp_path):
    folder = tmp_path / ".claude"
    folder.mkdir()
    off = rule("enabled: false", "check: removed-invalidation", event="file")
    unnamed = when("file_path ends_with .env", event="file").replace("name: r\n", "")
    for name, text in zip("abcd", (GOOD, off, "broken", unnamed), strict=True):
        (folder / f"hookify.{name}.local.md").write_text(text)

    states = hookify.list_rules(tmp_path)

    assert [s.path for s in states] == [f".claude/hookify.{name}.local.md" for name in "abcd"]
    broken = "has no front matter: the first line must be ---, and a line --- must close it"
    assert [(s.name, s.enabled, s.event, s.action, s.what) for s in states] == [
        ("no-rm", True, "bash", "block", "rm\\s+-rf"),
        ("r", False, "file", "warn", "check removed-invalidation"),
        ("c", False, "", "", broken),
        ("d", True, "file", "warn", "file_path ends_with .env"),
    ]
