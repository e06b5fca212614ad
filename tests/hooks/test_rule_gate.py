"""The gate of the user's rules: it never hides a rule that fires, it reads none that cannot, it notices every change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hook import ROOT, Said, event, said

sys.path.insert(0, str(ROOT / "hooks"))
import rule_gate

from cache_strategy.rules._gate_file import write_gate_file
from cache_strategy.rules._trust import approve
from cache_strategy.rules.pattern import evaluate, load_files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "CLAUDE_PLUGIN_DATA"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "project" / ".claude").mkdir(parents=True)
    return tmp_path / "project"


def write_rule(project: Path, *lines: str, name: str = "r", folder: str = ".claude") -> Path:
    path = project / folder / f"hookify.{name}.local.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["---", f"name: {name}", *lines, "---", "", "Stop.", ""]))
    return path


def ask(project: Path, raw: dict | bytes, **environment: str) -> Said:
    """The guard's answer with a home and a data folder beside the project."""
    given = {"PATH": os.environ["PATH"], "CLAUDE_PROJECT_DIR": str(project), **environment}
    for name in ("HOME", "CLAUDE_PLUGIN_DATA"):
        given.setdefault(name, str(project.parent / name))
    guard = [sys.executable, "-I", "-S", str(ROOT / "hooks" / "guard.py")]
    stdin = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    given = {name: value for name, value in given.items() if value}
    return said(subprocess.run(guard, input=stdin, capture_output=True, env=given, cwd=project))


def bash(project: Path, command: str) -> dict:
    return event("Bash", project, command=command)


PATTERNS = [
    ("rm\\s+-rf", "rm  -rf x", True),
    ("RM -RF", "rm -rf x", True),
    ("git push.*--force|git push.*-f\\b", "git push -f", True),
    ("(?:docker|podman) rm", "podman rm x", True),
    ("(?=.*prod)deploy", "deploy prod", True),
    ("(prune)+ all", "prune all", True),
    ("x{2,}y|zz", "zz", True),
    ("[kK]ill", "\u212aill", True),
    ("kill", "\u212aill", True),
    ("a?b?c*", "anything", True),
    ("\\\\u0041", "\\u0041", True),
    ('say "no"', 'say "no"', True),
    ("rm\\s+-rf", "ls", False),
    ("(?:docker|podman) rm", "helm rm x", False),
]


@pytest.mark.parametrize(("pattern", "command", "fires"), PATTERNS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_rule_that_fires_is_never_hidden(project, pattern, command, fires, ascii_only):
    paths = [str(write_rule(project, "event: bash", "action: block", f"pattern: {pattern}"))]
    rules = load_files(paths)
    call = bash(project, command)
    write_gate_file(rule_gate.gate_file(str(project)), rule_gate.stamp_of(paths), rules)
    raw = json.dumps(call, ensure_ascii=ascii_only).encode()

    assert bool(evaluate(rules, call)) == fires
    assert (rule_gate.may_fire(raw, str(project), False) != []) == fires


def test_what_cannot_fire_is_not_asked_and_every_change_counts_at_once(project):
    push, tests = bash(project, "git push"), {"hook_event_name": "Stop", "stop_hook_active": False}
    rule = write_rule(project, "event: bash", "action: block", "pattern: git push")
    write_rule(project, "event: stop", "action: block", "pattern: .*", name="stop")
    write_rule(project, "event: file", "check: removed-invalidation", name="check")
    assert ask(project, push).decision == "deny"

    def asked(given: dict, caching: bool = False) -> list[str] | None:
        found = rule_gate.may_fire(json.dumps(given).encode(), str(project), caching)
        return found if found is None else [Path(path).name.split(".")[1] for path in found]

    edit = event("Write", project, file_path="a.py", content="cache.delete(1)")
    assert [asked(push), asked(bash(project, "ls")), asked(tests)] == [["r"], [], ["stop"]]
    assert [asked(edit, True), asked(edit, False)] == [["check"], []]
    rule.write_text(rule.read_text().replace("git push", "git pull"))
    assert asked(push) is None
    assert (ask(project, push).decision, ask(project, bash(project, "git pull")).decision) == ("", "deny")
    rule.unlink()
    assert ask(project, bash(project, "git pull")).stdout == ""
    assert ask(project, b"{not json").message.startswith("optimize: the cache guard failed")


def test_names_of_files_and_folders_do_not_confuse_the_gate(project):
    write_rule(project, "event: bash", "action: block", "pattern: git push")
    (project / ".claude" / "hookify.a\tb\nc.local.md").write_text("---\npattern: x\n---\n")
    (project / ".claude" / "hookify.d.local.md").mkdir()
    odd = project.parent / "odd\nname\there"
    write_rule(odd, "event: bash", "action: block", "pattern: git push")

    for folder in (project, odd):
        for command, decision in (("git push", "deny"), ("ls", ""), ("git push", "deny")):
            assert ask(folder, bash(folder, command)).decision == decision


def test_the_users_own_rules_count_in_every_project_and_below_its_folder(project):
    write_rule(project.parent, "event: bash", "action: block", "pattern: git push", folder="HOME/.claude")
    write_rule(project, "event: bash", "action: block", "pattern: git pull")
    below = project / "src" / "deep"
    below.mkdir(parents=True)

    assert ask(project, bash(project, "git push")).decision == "deny"
    assert ask(below, bash(below, "git pull"), CLAUDE_PROJECT_DIR="").decision == "deny"


def test_a_rule_of_the_repository_waits_for_a_yes_and_one_changed_here_does_not(project):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(project), *arguments], check=True, capture_output=True)

    rule = write_rule(project, "event: bash", "action: block", "pattern: git push")
    push, config = bash(project, "git push"), str(project.parent / "HOME" / ".claude")
    assert ask(project, push).decision == "deny"
    git("init")
    git("add", "-f", ".claude")
    rule.touch()
    assert ask(project, push).decision == ""
    assert "came with the repository" in ask(project, {"hook_event_name": "SessionStart"}).message

    approve(str(rule), config)
    assert ask(project, push).decision == "deny"
    text = rule.read_text()
    rule.write_text(text.replace("git push", "git pu.."))
    assert ask(project, push).decision == "deny"
    git("add", "-f", ".claude")
    rule.touch()
    assert ask(project, push).decision == ""


def test_a_broken_rule_is_told_once_and_stops_no_other(project):
    prompt = {"hook_event_name": "UserPromptSubmit", "prompt": "hello"}
    broken = write_rule(project, "event: bash", "pattern: (", name="a")
    write_rule(project, "event: bash", "action: block", "pattern: git push", name="b")

    assert ask(project, bash(project, "git push")).decision == "deny"
    told = ask(project, prompt).message
    assert "hookify.a.local.md: pattern is no regular expression" in told and "hookify.b" not in told
    assert ask(project, prompt).stdout == ""
    broken.write_text(broken.read_text().replace("(", "git (?:pull|push"))
    assert "hookify.a.local.md" in ask(project, prompt).message
    broken.write_text(broken.read_text().replace("(?:pull|push", "pull"))
    assert ask(project, {"hook_event_name": "SessionStart"}).stdout == ""


def test_nothing_is_said_twice_where_the_hookify_plugin_is_enabled(project):
    write_rule(project, "event: bash", "pattern: git push")
    write_rule(project, "event: stop", "action: block", "conditions:", "  - field: reason",
               "    operator: not_contains", "    pattern: x", name="stop")  # fmt: skip
    write_rule(project, "event: file", "pattern: eval\\(", name="write")
    write_rule(project, "event: bash", "action: block", "pattern: git reset", name="no")
    stop = {"hook_event_name": "Stop", "stop_hook_active": False, "reason": ""}
    write = event("Write", project, file_path=str(project / "a.js"), content="eval(x)")
    push = bash(project, "git push")

    assert ask(project, push).message and '"block"' in ask(project, stop).stdout
    (project / ".claude" / "settings.json").write_text('{"enabledPlugins": {"hookify@official": true}}')
    assert (ask(project, push).message, ask(project, push).context) == ("", "[r] Stop.")
    assert ask(project, stop).stdout == ""
    assert ask(project, write).message == "[write] Stop."
    # Of two denials the client passes on one reason, and hookify gives none.
    denied = ask(project, bash(project, "git reset"))
    assert (denied.decision, denied.context, "Stop." in denied.reason) == ("deny", "[no] Stop.", False)
    (project / ".claude" / "settings.local.json").write_text(
        '{"enabledPlugins": {"hookify@official": false}}'
    )
    assert ask(project, push).message == "[r] Stop."
