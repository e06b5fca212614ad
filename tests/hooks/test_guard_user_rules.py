"""The user's own rule files in the guard: how each action reaches the model and the user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hook import ask, event, run, said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".claude").mkdir()
    return tmp_path


def write_rule(project: Path, name: str, *lines: str, message: str = "Use the logger.") -> None:
    text = "\n".join(["---", f"name: {name}", "enabled: true", *lines, "---", "", message, ""])
    (project / ".claude" / f"hookify.{name}.local.md").write_text(text, encoding="utf-8")


def test_a_block_denies_with_the_rules_name_and_message(project: Path):
    write_rule(project, "no-print", "event: file", "action: block", "pattern: print\\(")

    answer = ask("Write", project, file_path=str(project / "notes.txt"), content="print(1)")

    assert answer.decision == "deny" and answer.reason == "[no-print] Use the logger."


def test_an_ask_asks_and_a_warning_reaches_both_the_model_and_the_user(project: Path):
    write_rule(
        project, "ask-push", "event: bash", "action: ask", "pattern: git push", message="Pushed by hand?"
    )
    write_rule(project, "warn-rm", "event: bash", "pattern: rm ", message="Careful.")

    asked = ask("Bash", project, command="git push && rm x")
    warned = ask("Bash", project, command="rm x")

    assert asked.decision == "ask" and asked.reason == "[ask-push] Pushed by hand?"
    assert warned.decision == "" and warned.context == warned.message == "[warn-rm] Careful."
    assert ask("Bash", project, command="ls").stdout == ""


def test_a_safety_finding_and_a_users_block_are_told_together_and_a_check_is_not_told_twice(project: Path):
    write_rule(
        project,
        "no-flush",
        "event: bash",
        "action: block",
        "check: cache-wipe-command",
        message="We said no.",
    )
    write_rule(project, "no-redis", "event: bash", "action: block", "pattern: redis-cli", message="Ask ops.")

    answer = ask("Bash", project, command="redis-cli FLUSHALL")

    assert answer.decision == "deny"
    assert answer.reason.count("[cache-wipe-command] redis-cli FLUSHALL") == 1
    assert "[no-redis] Ask ops." in answer.reason and "We said no." not in answer.reason


def test_a_safety_allow_does_not_lift_a_users_rule(project: Path):
    write_rule(project, "no-redis", "event: bash", "action: block", "pattern: redis-cli", message="Ask ops.")

    command = "redis-cli FLUSHALL # cache-safety: allow[cache-wipe-command] a test server"

    assert ask("Bash", project, command=command).reason == "[no-redis] Ask ops."


def test_stop_and_prompt_events_are_answered_in_their_own_form(project: Path):
    write_rule(
        project, "tests-first", "event: stop", "action: block", "pattern: done", message="Run the tests."
    )
    write_rule(
        project, "no-deploy", "event: prompt", "action: block", "pattern: deploy", message="Not on Fridays."
    )
    write_rule(project, "hint", "event: prompt", "pattern: cache", message="Read the contract.")
    base = {key: value for key, value in event("Bash", project).items() if not key.startswith("tool_")}

    def answer(**given: object) -> dict:
        return json.loads(said(run(json.dumps({**base, **given}).encode(), project)).stdout or "{}")

    stop = {"hook_event_name": "Stop", "last_assistant_message": "All done."}
    assert answer(**stop, stop_hook_active=False) == {
        "decision": "block",
        "reason": "[tests-first] Run the tests.",
    }
    assert answer(**stop, stop_hook_active=True) == {}
    assert answer(hook_event_name="SubagentStop", last_assistant_message="done") == {
        "systemMessage": "[tests-first] Run the tests."
    }
    assert answer(hook_event_name="UserPromptSubmit", prompt="deploy it")["decision"] == "block"
    hint = answer(hook_event_name="UserPromptSubmit", prompt="cache it")
    assert hint["hookSpecificOutput"] == {
        "hookEventName": "UserPromptSubmit",
        "additionalContext": "[hint] Read the contract.",
    }


def test_a_pattern_that_never_ends_lets_the_call_pass_and_is_named(project: Path):
    write_rule(project, "endless", "event: bash", "action: block", "pattern: (a+)+$")

    answer = ask("Bash", project, command="a" * 60 + "!")

    assert answer.decision == "" and "[endless]" in answer.message


def test_rules_are_found_from_the_project_and_not_from_a_folder_in_it(project: Path):
    write_rule(project, "no-print", "event: file", "action: block", "pattern: print\\(")
    inner = project / "shop"
    inner.mkdir()
    given = event("Write", inner, file_path=str(inner / "a.py"), content="print(1)")

    assert said(run(json.dumps(given).encode(), project)).decision == "deny"
