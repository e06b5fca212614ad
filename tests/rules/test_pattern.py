"""The user's own rules: how a file is read, when it fires, and on what."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cache_strategy.rules.pattern import evaluate, load_rules, problems_of

BASH = {"tool_name": "Bash", "tool_input": {"command": "git push --force origin main"}}
WRITE = {
    "tool_name": "Write",
    "tool_input": {"file_path": "/p/shop/a.py", "content": "print(1)\nAPI_KEY = 3\n"},
}
EDIT = {
    "tool_name": "Edit",
    "tool_input": {
        "file_path": "/p/shop/a.py",
        "old_string": "print(1)\nx = 1",
        "new_string": "print(1)\nx = eval(y)",
    },
}
MULTI = {
    "tool_name": "MultiEdit",
    "tool_input": {
        "file_path": "C:\\p\\shop\\a.py",
        "edits": [{"old_string": "a", "new_string": "foo"}, {"old_string": "secret", "new_string": "bar"}],
    },
}
NOTEBOOK = {
    "tool_name": "NotebookEdit",
    "tool_input": {"notebook_path": "/p/a.ipynb", "new_source": "eval(x)"},
}
READ = {"tool_name": "Read", "tool_input": {"file_path": "/p/.env"}}
MCP = {"tool_name": "mcp__db__query", "tool_input": {"sql": "DROP TABLE x", "command": "git push --force"}}
PROMPT = {"hook_event_name": "UserPromptSubmit", "prompt": "deploy to production"}
STOP = {"hook_event_name": "Stop", "stop_hook_active": False, "last_assistant_message": "All done."}


def actions(folder: Path, event: dict[str, Any], *files: str) -> list[str]:
    """The actions of the rules in these files on an event."""
    rules = folder / ".claude"
    rules.mkdir(exist_ok=True)
    for number, text in enumerate(files):
        (rules / f"hookify.r{number}.local.md").write_text(text, encoding="utf-8")
    return [action for _, action, _ in evaluate(load_rules(str(folder)), {"cwd": str(folder), **event})]


def rule(*lines: str, event: str = "bash", action: str = "block") -> str:
    return "\n".join(
        [
            "---",
            "name: r",
            "enabled: true",
            f"event: {event}",
            f"action: {action}",
            *lines,
            "---",
            "",
            "Stop.",
        ]
    )


def conditions(*items: tuple[str, str, str], event: str = "file") -> str:
    lines = ["conditions:"]
    for field, operator, pattern in items:
        lines += [f"  - field: {field}", f"    operator: {operator}", f"    pattern: {pattern}"]
    return rule(*lines, event=event)


@pytest.mark.parametrize(
    "text",
    [
        rule("pattern: push.*--force"),
        rule("pattern: PUSH"),
        rule('pattern: "push\\s+--force"'),
        rule('pattern: "push\\\\s+--force"'),
        rule("pattern: 'push --force'"),
        rule("pattern: git push ---?force|--force"),
        rule("pattern: |", "  push --force"),
        rule("pattern: >-", "  push", "  --force"),
        rule("conditions:", "- field: command", "  operator: contains", "  pattern: push"),
        rule("conditions:", "  - field: command", "    operator: contains", "    pattern: push"),
        rule("conditions:", "\t- field: command", "\t  operator: contains", "\t  pattern: push"),
        rule("conditions:", "  - field: command, operator: regex_match, pattern: pu{1,2}sh"),
        rule("conditions:", "  - {field: command, operator: contains, pattern: push}"),
        rule("conditions:", "  # why", "  - pattern: push", "", "    field: command"),
        rule("pattern: push", event="all"),
        rule("pattern: push", event="[file, bash]"),
        rule("pattern: push", event="bash  # the shell"),
        rule("tool_matcher: Read|Bash", "pattern: push"),
        rule("tool_matcher: '*'", "pattern: push"),
        "\ufeff" + rule("pattern: push"),
        rule("pattern: push").replace("\n", "\r\n"),
        "---\nevent: bash\naction: block\npattern: push\n---\n",
        rule("pattern: push", action="Block"),
    ],
)
def test_a_rule_is_read_as_its_author_meant_it(tmp_path: Path, text: str):
    assert actions(tmp_path, BASH, text) == ["block"]
    assert actions(tmp_path, {"tool_name": "Bash", "tool_input": {"command": "ls"}}, text) == []


@pytest.mark.parametrize(
    "text",
    [
        rule("pattern: push").replace("enabled: true", "enabled: false"),
        rule("pattern: push").replace("enabled: true", "enabled: no"),
        rule("pattern: push").replace("enabled: true", "enabled: False # for now"),
        rule("pattern: pull"),
        rule("pattern: push", event="file"),
        rule("pattern: push", event="shell"),
        rule("pattern: (push"),
        rule(),
        rule("tool_matcher: Read", "pattern: push"),
        conditions(("command", "matches", "push"), event="bash"),
        conditions(("command", "contains", "push"), ("command", "contains", "ls"), event="bash"),
        conditions(("no_such_field", "not_contains", "x"), event="bash"),
        rule("conditions:", "  - field: command", "    operator: regex_match"),
        rule("check: no-such-rule"),
        "name: r\nevent: bash\npattern: push\n",
        "",
    ],
)
def test_a_rule_that_is_off_broken_or_about_something_else_is_silent(tmp_path: Path, text: str):
    assert actions(tmp_path, BASH, text) == []


def test_what_is_wrong_with_a_rule_is_said(tmp_path: Path):
    folder = tmp_path / ".claude"
    folder.mkdir()
    wrong = {
        "a": (rule("pattern: (push"), "no regular expression"),
        "b": (conditions(("command", "matches", "push")), "operator"),
        "c": (rule("check: no-such-rule"), "removed-invalidation"),
        "d": (rule("pattern: x", event="shell"), "event"),
        "e": (rule("pattern: x", action="deny"), "action"),
        "f": (rule(), "never fires"),
        "g": ("no front matter", "front matter"),
        "h": (rule("conditions:", "  - field: command"), "no pattern"),
    }
    for name, (text, _) in wrong.items():
        (folder / f"hookify.{name}.local.md").write_text(text, encoding="utf-8")
    (folder / "hookify.i.local.md").mkdir()
    (folder / "hookify.unseen.md").write_text(rule("pattern: push"), encoding="utf-8")

    loaded = load_rules(str(tmp_path))

    assert len(loaded) == len(wrong) + 1
    for found, (_, word) in zip(loaded, wrong.values(), strict=False):
        assert any(word in str(problem) for problem in problems_of(found)), found
    assert not loaded[-1].enabled and problems_of(loaded[-1])
    assert load_rules(str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (rule("pattern: print\\(", event="file"), WRITE),
        (conditions(("file_path", "regex_match", "\\.py$"), ("new_text", "contains", "KEY")), WRITE),
        (conditions(("content", "starts_with", "print")), WRITE),
        (conditions(("new_text", "ends_with", "eval(y)")), EDIT),
        (conditions(("old_text", "contains", "x = 1")), EDIT),
        (rule("pattern: eval\\(", event="file"), EDIT),
        (rule("pattern: .", event="file"), EDIT),
        (conditions(("old_text", "contains", "secret")), MULTI),
        (conditions(("file_path", "regex_match", "/shop/")), MULTI),
        (conditions(("new_text", "not_contains", "Copyright")), MULTI),
        (rule("pattern: eval\\(", event="file"), NOTEBOOK),
        (conditions(("file_path", "ends_with", ".ipynb")), NOTEBOOK),
        (conditions(("sql", "contains", "DROP"), event="all"), MCP),
        (conditions(("tool_name", "equals", "mcp__db__query"), event="all"), MCP),
        (conditions(("user_prompt", "contains", "production"), event="prompt"), PROMPT),
        (rule("pattern: deploy", event="prompt"), PROMPT),
        (rule("pattern: .*", event="stop"), STOP),
        (rule("pattern: done", event="stop"), STOP),
        (conditions(("reason", "not_contains", "tests"), event="stop"), STOP),
    ],
)
def test_every_event_shows_its_fields(tmp_path: Path, text: str, event: dict[str, Any]):
    assert actions(tmp_path, event, text) == ["block"]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (rule("pattern: print\\(", event="file"), EDIT),
        (conditions(("new_text", "contains", "print(1)")), EDIT),
        (rule("pattern: foo bar", event="file"), MULTI),
        (conditions(("new_text", "not_contains", "bar")), MULTI),
        (conditions(("new_text", "not_contains", "KEY")), WRITE),
        (conditions(("reason", "not_contains", "tests"), event="stop"), READ),
        (conditions(("file_path", "contains", ".env")), READ),
        (rule("pattern: push"), MCP),
        (rule("pattern: .*", event="stop"), {**STOP, "stop_hook_active": True}),
        (conditions(("user_prompt", "not_contains", "production"), event="prompt"), PROMPT),
        (rule("pattern: push"), {"hook_event_name": "PostToolUse", **BASH}),
        (rule("pattern: push"), {"tool_name": "Bash", "tool_input": None}),
        (rule("pattern: push"), {"tool_name": None, "tool_input": []}),
    ],
)
def test_what_is_kept_and_what_belongs_to_other_events_does_not_count(
    tmp_path: Path, text: str, event: dict[str, Any]
):
    assert actions(tmp_path, event, text) == []


def test_text_that_a_write_keeps_does_not_count(tmp_path: Path):
    file = tmp_path / "a.py"
    file.write_text("print(1)\n", encoding="utf-8")
    text = rule("pattern: print\\(", event="file")
    kept, added = (
        {"tool_name": "Write", "tool_input": {"file_path": str(file), "content": c}}
        for c in ("print(1)\nx\n", "print(1)\nprint(1)\n")
    )

    assert actions(tmp_path, kept, text) == []
    assert actions(tmp_path, added, text) == ["block"]


def test_the_transcript_is_what_the_agent_did_not_what_was_said(tmp_path: Path):
    transcript = tmp_path / "t.jsonl"
    text = conditions(("transcript", "not_contains", "pytest"), event="stop")
    event = {**STOP, "transcript_path": str(transcript)}
    said = {"type": "user", "message": {"role": "user", "content": "run pytest"}}
    call = {"type": "tool_use", "name": "Bash", "input": {"command": "pytest -q"}}
    done = {"type": "assistant", "message": {"content": [{"type": "text", "text": "pytest"}, call]}}

    transcript.write_text(json.dumps(said) + "\nbroken {\n", encoding="utf-8")
    assert actions(tmp_path, event, text) == ["block"]
    transcript.write_text(json.dumps(said) + "\n" + json.dumps(done) + "\n", encoding="utf-8")
    assert actions(tmp_path, event, text) == []


def test_rules_answer_in_the_order_of_their_files_each_with_its_own_action(tmp_path: Path):
    files = [rule("pattern: push", action=action) for action in ("warn", "block", "ask", "deny")]

    assert actions(tmp_path, BASH, *files) == ["warn", "block", "ask", "warn"]


def test_a_check_fires_when_the_safety_rule_finds_something_and_says_what(tmp_path: Path):
    (tmp_path / ".claude").mkdir()
    text = rule("check: cache-wipe-command", action="warn")
    (tmp_path / ".claude" / "hookify.wipe.local.md").write_text(text, encoding="utf-8")
    rules = load_rules(str(tmp_path))

    (fired,) = evaluate(rules, {"tool_name": "Bash", "tool_input": {"command": "redis-cli FLUSHALL"}})
    _, action, message = fired

    assert action == "warn"
    assert message.startswith("Stop.") and "FLUSHALL" in message and "Fix: " in message
    assert evaluate(rules, {"tool_name": "Bash", "tool_input": {"command": "redis-cli GET a"}}) == []


def test_a_check_on_files_sees_the_change(tmp_path: Path):
    file = tmp_path / "users.py"
    file.write_text(
        "from shop import cache, db\n\n\ndef f(u):\n    db.session.commit()\n    cache.delete(u)\n",
        encoding="utf-8",
    )
    edit = {"file_path": str(file), "old_string": "    cache.delete(u)\n", "new_string": ""}

    assert actions(
        tmp_path, {"tool_name": "Edit", "tool_input": edit}, rule("check: CS102", event="file")
    ) == ["block"]


def test_a_pattern_without_end_is_given_up_and_says_so(tmp_path: Path):
    event = {"tool_name": "Bash", "tool_input": {"command": "a" * 60 + "!"}}
    began = time.process_time()

    assert actions(tmp_path, event, rule("pattern: (a+)+$"), rule("pattern: a!")) == ["warn", "block"]
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("path", "text", "fires"),
    [
        ("a.py", "x = eval(y)", True),
        ("a.py", "# no eval(y)\nx = 'eval(y)'  # eval(z)", False),
        ("a.py", 'def f():\n    """eval(y)"""\n    return "\\"eval(" + \'eval(\'', False),
        ("a.py", 'x = "a" + eval(y)', True),
        ("a.ts", "/* eval(x)\n eval(y) */ // eval(z)\nf(`eval(${x})`)", False),
        ("a.ts", "f('a'); eval(x)", True),
        ("a.md", "Never call eval(x).", False),
        ("a.unknown", "# eval(x)", True),
    ],
)
def test_added_code_is_the_text_without_comments_and_strings(
    tmp_path: Path, path: str, text: str, fires: bool
):
    event = {"tool_name": "Write", "tool_input": {"file_path": f"/p/{path}", "content": text}}

    assert actions(tmp_path, event, conditions(("added_code", "regex_match", "eval\\("))) == ["block"] * fires


@pytest.mark.parametrize(
    ("done", "fires"),
    [
        ([("Edit", ""), ("Bash", "ls")], True),
        ([("Edit", ""), ("Bash", "cd x && pytest -q")], False),
        ([("Bash", "pytest"), ("Write", "")], True),
        ([("Bash", "ls")], False),
        ([("Edit", ""), ("prompt", "and why?"), ("Bash", "ls")], False),
        ([], False),
    ],
)
def test_a_turn_that_edits_may_not_end_before_something_has_run(tmp_path: Path, done: Any, fires: bool):
    transcript = tmp_path / "t.jsonl"
    rows = []
    for name, text in done:
        call = {"type": "tool_use", "name": name, "input": {"command": text}}
        answer = {"type": "assistant", "message": {"content": [call]}}
        rows.append({"type": "user", "message": {"content": text}} if name == "prompt" else answer)
    transcript.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = conditions(("commands_since_edit", "not_regex_match", r"\bpytest\b"), event="stop")

    assert actions(tmp_path, {**STOP, "transcript_path": str(transcript)}, text) == ["block"] * fires


def test_a_slow_rule_leaves_time_for_those_after_it(tmp_path: Path):
    event = {"tool_name": "Bash", "tool_input": {"command": "a" * 60 + "!"}}
    began = time.process_time()

    assert actions(tmp_path, event, *[rule("pattern: (a+)+$")] * 8, rule("pattern: a!")) == ["warn"] * 8 + [
        "block"
    ]
    assert time.process_time() - began < 3
