from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conversation import TRANSCRIPTS

from cache_strategy import hookify
from cache_strategy.hookify.changes import change_of
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.model.errors import CacheStrategyError, Refusal
from cache_strategy.model.proposal import Backtest, Example, Proposal, Proposals, Quote
from cache_strategy.rules.pattern import evaluate, load_rules

GUARD = Path(__file__).parents[2] / "hooks" / "guard.py"
PUSH = {"command": "git push"}


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "my shop"
    folder.mkdir()
    return folder


def proposed(**changes) -> Proposals:
    proposal = Proposal(
        name="no-push",
        event="bash",
        action="block",
        pattern=r"\bgit\s+push\b",
        message="Ask first.",
        incidents=(Quote(file="a.jsonl", line=1, quote="never push"),),
        backtest=Backtest(tool_calls=1, fired=1, fired_on_incidents=1),
    )
    return Proposals(transcripts=1, records=1, proposals=(dataclasses.replace(proposal, **changes),))


def accept(proposals: Proposals, project: Path, *names: str) -> tuple[Path, ...]:
    """Writes the named proposals, or all."""
    return hookify.write_rules(proposals, names or [p.name for p in proposals.proposals], project)


def call_event(project: Path, tool: str, given: dict) -> dict:
    event = {"session_id": "s", "hook_event_name": "PreToolUse", "cwd": str(project)}
    return {**event, "tool_name": tool, "tool_input": given}


def guarded(project: Path, tool: str, given: dict) -> dict:
    """What the guard says about a call, as the client asks it; {} for silence."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(GUARD)],
        input=json.dumps(call_event(project, tool, given)).encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "CLAUDE_PROJECT_DIR": str(project)},
        check=True,
    )
    return json.loads(done.stdout or b"{}").get("hookSpecificOutput", {})


def in_the_project(call, project: Path) -> dict:
    """The input of a file change, with the file in the project as it was then: the guard reads it from disk."""
    path = project / Path(call.path).name
    change = change_of(call)
    before = change[0] if change is not None and call.tool == "Edit" else None
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_text(before)
    return {**call.input, "file_path": str(path)}


def test_a_corrected_caching_mistake_is_stopped_the_next_time(project):
    (session,) = Transcripts([TRANSCRIPTS / "caching.jsonl"]).sessions()
    edit = in_the_project(next(call for call in session.calls if call.path), project)

    (written,) = accept(hookify.propose([TRANSCRIPTS / "caching.jsonl"]), project)

    assert written == project / ".claude" / "hookify.keep-invalidation.local.md"
    ((rule, action, message),) = evaluate(load_rules(str(project)), call_event(project, "Edit", edit))
    assert (rule.name, action, "never drop it" in message) == ("keep-invalidation", "block", True)
    answer = guarded(project, "Edit", edit)
    assert answer["permissionDecision"] == "deny"
    assert "removed-invalidation" in answer["permissionDecisionReason"]
    assert guarded(project, "Edit", {**edit, "old_string": "timeout=3600", "new_string": "timeout=600"}) == {}


def test_what_is_written_fires_where_the_back_test_says_and_has_nothing_to_complain_of(project):
    proposals = hookify.propose([TRANSCRIPTS])
    accept(proposals, project)
    rules = load_rules(str(project))
    fired = dict.fromkeys((rule.name for rule in rules), 0)

    for session in Transcripts(sorted(TRANSCRIPTS.glob("*.jsonl"))).sessions():
        for call in session.calls:
            given = in_the_project(call, project) if call.path else dict(call.input)
            for rule, _, _ in evaluate(rules, call_event(project, call.tool, given)):
                fired[rule.name] += 1

    assert fired == {p.name: p.backtest.fired for p in proposals.proposals}
    assert [problem for problem in hookify.check_rules(project) if problem.severity != "info"] == []
    states = {state.name: (state.action, state.enabled) for state in hookify.list_rules(project)}
    assert states == {p.name: (p.action, True) for p in proposals.proposals}


def test_a_rule_that_is_there_is_never_written_over_and_of_several_all_or_none(project):
    (path,) = accept(proposed(), project)
    path.write_text("mine")
    both = proposed(message="other")
    both = dataclasses.replace(both, proposals=(*proposed(name="a").proposals, *both.proposals))

    for proposals in (proposed(message="other"), both):
        with pytest.raises(
            Refusal, match=r"no-push\.local\.md: is already there; a rule is never written over"
        ):
            accept(proposals, project)

    assert path.read_text() == "mine" and list(path.parent.iterdir()) == [path]


def test_links_in_the_place_of_a_rule_or_of_its_folder_are_not_followed(project, tmp_path):
    (project / ".claude").mkdir()
    (project / ".claude" / "hookify.no-push.local.md").symlink_to(tmp_path / "outside.md")
    with pytest.raises(Refusal):
        accept(proposed(), project)
    with pytest.raises(CacheStrategyError, match="is a link"):
        hookify.set_enabled("no-push", project, on=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".claude").symlink_to(tmp_path)
    with pytest.raises(CacheStrategyError, match="leads out of the project"):
        accept(proposed(), other)

    assert {path.name for path in tmp_path.iterdir()} == {"my shop", "other"}


NAMES = ["../evil", "a/b", "..", "", "UPPER", "a b", "a.b", "-a", "a\n---", "x" * 61, "/etc/x", "a\x00b", "ä"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        *(({"name": name}, "is no name for a rule") for name in NAMES),
        ({"pattern": ""}, "needs either a pattern or a check"),
        ({"check": "removed-invalidation"}, "needs either a pattern or a check"),
        ({"pattern": "(a+)+$"}, "may take exponential time"),
        ({"pattern": "x\n---\nname: evil"}, "is read differently"),
        ({"pattern": "git push ---?force"}, "is read differently"),
        ({"event": "file", "files": "a: b"}, "is read differently"),
        ({"pattern": "", "check": "no-such-rule"}, "is no safety rule; there are"),
        ({"pattern": "", "check": "x\naction: warn"}, "is no safety rule; there are"),
        ({"message": " \n "}, "has no message"),
    ],
)
def test_a_proposal_that_makes_no_safe_rule_is_refused(project, changes, wrong):
    with pytest.raises(CacheStrategyError, match=wrong) as caught:
        accept(proposed(**changes), project)

    assert "\n" not in str(caught.value)
    assert not list(project.glob(".claude/*")) and list(project.parent.iterdir()) == [project]


def test_what_cannot_be_written_gets_one_line(project, tmp_path):
    (tmp_path / ".claude").write_text("a file")
    for names, folder, wrong in (
        (["no-pull"], project, r"no-pull: is not proposed; there are no-push\."),
        ([], project, r"No proposal was named; name those you accept, of no-push\."),
        (["no-push"], tmp_path / "nowhere", "is no folder"),
        (["no-push"], tmp_path, r"\.claude: is a file; a folder is needed"),
        (["no-push"], Path("/proc/self"), "cannot be written"),
    ):
        with pytest.raises(CacheStrategyError, match=wrong):
            hookify.write_rules(proposed(), names, folder)


def test_text_in_examples_and_message_ends_no_front_matter(project):
    nasty = 'rm --- \n---\naction: warn\n"quoted" \\ \t \U0001f600 \x1b[2J: #'
    message = "---\nenabled: false\n---\nAsk \x1b[31mfirst."
    examples = (Example(expect="pass", command=nasty), Example(expect="match", command="git push ---"))

    (path,) = accept(proposed(message=message, examples=examples), project)

    (rule,) = load_rules(str(project))
    assert (rule.name, rule.enabled, rule.action) == ("no-push", True, "block")
    assert "Ask first." in rule.message
    text = path.read_text()
    assert "\x1b" not in text and text.split("---", 2)[1].count("enabled") == 1
    assert [p for p in hookify.check_rules(project) if p.severity != "info"] == []


def test_proposals_are_read_from_the_json_that_propose_prints(project, tmp_path):
    path = tmp_path / "proposals.json"
    proposals = hookify.propose([TRANSCRIPTS])
    path.write_text(json.dumps(hookify.proposals_data(proposals)))
    assert hookify.read_proposals(path) == proposals

    for content, wrong in (
        ("{", "cannot be read"),
        ('{"schema": 2}', "has schema 2"),
        ('{"transcripts": 1, "records": 1}', "proposals: is missing"),
        ('{"transcripts": 1, "records": 1, "proposals": [{"name": 7}]}', "is not text"),
    ):
        path.write_text(content)
        with pytest.raises(CacheStrategyError, match=wrong):
            hookify.read_proposals(path)


def test_a_rule_is_turned_off_and_on_and_nothing_else_in_it_changes(project):
    (path,) = accept(proposed(), project)
    text = path.read_text()

    hookify.set_enabled("no-push", project, on=False)
    assert guarded(project, "Bash", PUSH) == {}
    assert path.read_text() == text.replace("enabled: true", "enabled: false")
    hookify.set_enabled("no-push", project, on=True)
    assert (path.read_text(), guarded(project, "Bash", PUSH)["permissionDecision"]) == (text, "deny")
    path.write_text(text.replace("enabled: true\n", ""))
    hookify.set_enabled("no-push", project, on=False)
    assert not load_rules(str(project))[0].enabled
    with pytest.raises(CacheStrategyError, match=r"no-pull: is no rule here; there are no-push\."):
        hookify.set_enabled("no-pull", project, on=True)


def test_an_event_is_tried_and_every_rule_explained(project):
    accept(proposed(), project)
    accept(proposed(name="tested", event="stop", pattern="pytest"), project)
    (project / ".claude" / "hookify.broken.local.md").write_text("no rule")

    broken, fires, silent = hookify.try_event(call_event(project, "Bash", PUSH), project)
    other = hookify.try_event(call_event(project, "Bash", {"command": "ls"}), project)[1]

    assert (fires.name, fires.fires, fires.action, fires.because) == ("no-push", True, "block", "Ask first.")
    assert (fires.hookify, silent.hookify, other.fires) == (True, False, False)
    assert silent.because == "it is about stop, this is bash Bash" and "no front matter" in broken.because
    assert other.because.startswith("the text is 'ls': not regex_match")
    with pytest.raises(CacheStrategyError, match="is no object"):
        hookify.event_of("[]")


def test_a_rule_of_the_repository_is_listed_as_waiting_until_it_is_approved(project):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(project), *arguments], check=True, capture_output=True)

    def states() -> list[tuple[bool, bool]]:
        return [(s.enabled, s.what.startswith("came with")) for s in hookify.list_rules(project)]

    (path,) = accept(proposed(), project)
    path.write_text(path.read_text() + "Really.\n")
    git("init")
    git("add", "-f", ".claude")
    assert states() == [(False, True)]
    hookify.approve_rule("no-push", project)
    assert states() == [(True, False)]
    hookify.set_enabled("no-push", project, on=False)
    git("add", "-f", ".claude")
    hookify.set_enabled("no-push", project, on=True)
    assert states() == [(True, False)]
