from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conversation import TRANSCRIPTS, Conversation

from cache_strategy import hookify
from cache_strategy.hookify.changes import change_of
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.model.errors import CacheStrategyError, Refusal
from cache_strategy.model.proposal import Backtest, Example, Proposal, Proposals, Quote
from cache_strategy.rules.pattern import evaluate, load_rules

GUARD = Path(__file__).parents[2] / "hooks" / "guard.py"


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "my shop"
    folder.mkdir()
    return folder


def all_proposed(*paths) -> Proposals:
    return hookify.propose(list(paths) or [TRANSCRIPTS])


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


def guarded(project: Path, tool: str, given: dict) -> dict:
    """What the guard says about a call, as the client asks it; {} for silence."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(GUARD)],
        input=json.dumps({"session_id": "s", **call_event(project, tool, given)}).encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "CLAUDE_PROJECT_DIR": str(project)},
        check=True,
    )
    return json.loads(done.stdout or b"{}").get("hookSpecificOutput", {})


def call_event(project: Path, tool: str, given: dict) -> dict:
    event = {"hook_event_name": "PreToolUse", "cwd": str(project)}
    return {**event, "tool_name": tool, "tool_input": given}


def accept(proposals: Proposals, project: Path) -> tuple[Path, ...]:
    return hookify.write_rules(proposals, [p.name for p in proposals.proposals], project)


def edit_of(transcript: str, project: Path) -> tuple[dict, Path]:
    """The first edit of a transcript, made for a file of the project that is as it was then."""
    (session,) = Transcripts([TRANSCRIPTS / transcript]).sessions()
    call = next(call for call in session.calls if call.path)
    path = project / "shop" / Path(call.path).name
    path.parent.mkdir()
    path.write_text(call.before or "")
    return {**call.input, "file_path": str(path)}, path


def test_a_corrected_caching_mistake_is_stopped_the_next_time(project):
    edit, path = edit_of("caching.jsonl", project)
    proposals = all_proposed(TRANSCRIPTS / "caching.jsonl")

    (written,) = hookify.write_rules(proposals, ["keep-invalidation"], project)

    assert written == project / ".claude" / "hookify.keep-invalidation.local.md"
    ((rule, action, message),) = evaluate(load_rules(str(project)), call_event(project, "Edit", edit))
    assert (rule.name, action) == ("keep-invalidation", "block")
    assert "never drop it" in message
    answer = guarded(project, "Edit", edit)
    assert answer["permissionDecision"] == "deny"
    assert "removed-invalidation" in answer["permissionDecisionReason"]
    harmless = {**edit, "old_string": "timeout=3600", "new_string": "timeout=600"}
    assert guarded(project, "Edit", harmless) == {}
    assert "cache.delete" in path.read_text()


def test_a_wipe_is_stopped_the_next_time_and_one_key_is_not(project):
    hookify.write_rules(all_proposed(TRANSCRIPTS / "wiped_redis.jsonl"), ["no-cache-wipe"], project)

    answer = guarded(project, "Bash", {"command": "cd /srv && redis-cli -n 2 flushdb"})

    assert answer["permissionDecision"] == "deny"
    assert "cache-wipe-command" in answer["permissionDecisionReason"]
    assert guarded(project, "Bash", {"command": "redis-cli DEL product:7"}) == {}


def test_the_guard_speaks_the_users_words_once_the_rule_is_written(project):
    restart = {"command": "cd infra && docker compose restart tunnel"}
    proposals = all_proposed(TRANSCRIPTS / "user_correction.jsonl")

    silent = guarded(project, "Bash", restart)
    accept(proposals, project)
    answer = guarded(project, "Bash", restart)
    warning = guarded(project, "Bash", {"command": "npm install left-pad"})

    assert silent == {}
    assert answer["permissionDecision"] == "deny"
    assert "do not restart the tunnel again" in answer["permissionDecisionReason"]
    assert "permissionDecision" not in warning and "Use pnpm." in warning["additionalContext"]
    assert guarded(project, "Bash", {"command": "pnpm install && docker compose ps"}) == {}


def test_every_rule_fires_in_the_guards_engine_where_the_back_test_says(project):
    proposals = all_proposed()
    accept(proposals, project)
    rules = load_rules(str(project))
    fired: dict[str, int] = dict.fromkeys((rule.name for rule in rules), 0)

    for session in Transcripts(sorted(TRANSCRIPTS.glob("*.jsonl"))).sessions():
        for call in session.calls:
            given = dict(call.input)
            if call.path:
                # The engine reads the file from disk: it gets the file of that moment.
                path = project / Path(call.path).name
                change = change_of(call)
                before = change[0] if change is not None and call.tool == "Edit" else None
                path.unlink(missing_ok=True)
                if before is not None:
                    path.write_text(before)
                given["file_path"] = str(path)
            for rule, _, _ in evaluate(rules, call_event(project, call.tool, given)):
                fired[rule.name] += 1

    assert fired == {p.name: p.backtest.fired for p in proposals.proposals}


def test_what_is_written_is_enabled_and_has_nothing_to_complain_of(project):
    proposals = all_proposed()

    accept(proposals, project)

    assert [problem for problem in hookify.check_rules(project) if problem.severity != "info"] == []
    states = hookify.list_rules(project)
    assert {state.name: state.action for state in states} == {p.name: p.action for p in proposals.proposals}
    assert {state.enabled for state in states} == {True}
    assert "check removed-invalidation" in [s.what for s in states if s.name == "keep-invalidation"]


def test_a_rule_that_is_there_is_never_written_over(project):
    (path,) = hookify.write_rules(proposed(), ["no-push"], project)
    path.write_text("mine")

    with pytest.raises(
        Refusal, match=r"hookify\.no-push\.local\.md: is already there; a rule is never written over"
    ):
        hookify.write_rules(proposed(message="other"), ["no-push"], project)

    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


def test_when_one_of_several_is_there_none_is_written(project):
    proposals = all_proposed()
    hookify.write_rules(proposals, [proposals.proposals[-1].name], project)

    with pytest.raises(Refusal):
        accept(proposals, project)

    assert len(list((project / ".claude").iterdir())) == 1


def test_links_in_the_place_of_a_rule_or_of_its_folder_are_not_followed(project, tmp_path):
    (project / ".claude").mkdir()
    (project / ".claude" / "hookify.no-push.local.md").symlink_to(tmp_path / "outside.md")
    with pytest.raises(Refusal):
        hookify.write_rules(proposed(), ["no-push"], project)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".claude").symlink_to(tmp_path)
    with pytest.raises(CacheStrategyError, match="leads out of the project"):
        hookify.write_rules(proposed(), ["no-push"], other)

    assert {path.name for path in tmp_path.iterdir()} == {"my shop", "other"}


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/b", "..", "", "UPPER", "a b", "a.b", "-a", "a\n---", "x" * 61, "/etc/x", "a\x00b", "ä"],
)
def test_a_name_that_is_no_plain_word_is_refused(project, name):
    with pytest.raises(CacheStrategyError) as caught:
        hookify.write_rules(proposed(name=name), [name], project)

    assert "\n" not in str(caught.value)
    assert not (project / ".claude").exists() or list((project / ".claude").iterdir()) == []
    assert sorted(p.name for p in project.parent.iterdir()) == ["my shop"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
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
        hookify.write_rules(proposed(**changes), ["no-push"], project)

    assert "\n" not in str(caught.value)
    assert not list(project.glob(".claude/*"))


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
    proposals = proposed(
        message="---\nenabled: false\n---\nAsk \x1b[31mfirst.",
        examples=(Example(expect="pass", command=nasty), Example(expect="match", command="git push ---")),
    )

    (path,) = hookify.write_rules(proposals, ["no-push"], project)

    (rule,) = load_rules(str(project))
    assert (rule.name, rule.enabled, rule.action) == ("no-push", True, "block")
    assert "Ask first." in rule.message
    text = path.read_text()
    assert "\x1b" not in text and text.split("---", 2)[1].count("enabled") == 1
    assert [p for p in hookify.check_rules(project) if p.severity != "info"] == []


def test_proposals_are_read_from_the_json_that_propose_prints(project, tmp_path):
    path = tmp_path / "proposals.json"
    path.write_text(json.dumps(hookify.proposals_data(all_proposed())))
    assert hookify.read_proposals(path) == all_proposed()

    written = hookify.write_rules(
        hookify.read_proposals(path), ["keep-invalidation", "no-cache-wipe"], project
    )

    assert [p.name for p in written] == [
        "hookify.keep-invalidation.local.md",
        "hookify.no-cache-wipe.local.md",
    ]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "is not there"),
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ('{"schema": 2}', "has schema 2"),
        ("[]", "is not a mapping"),
        ('{"transcripts": 1, "records": 1}', "proposals: is missing"),
        ('{"transcripts": 1, "records": 1, "proposals": [{"name": 7}]}', "is not text"),
        ('{"transcripts": 1, "records": 1, "proposals": [], "run": "x"}', "is not a field"),
    ],
)
def test_a_file_that_holds_no_proposals_gets_one_line(tmp_path, content, wrong):
    path = tmp_path / "proposals.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CacheStrategyError, match=wrong) as caught:
        hookify.read_proposals(path)

    assert "\n" not in str(caught.value)


def test_a_rule_about_a_path_stops_every_tool_that_writes_there(project):
    talk = Conversation(project.parent / "talk.jsonl")
    talk.say("go")
    talk.reject(
        "Edit", {"file_path": "/p/production.yml", "old_string": "a", "new_string": ""}, "never touch this"
    )
    proposals = all_proposed(talk.path)

    hookify.write_rules(proposals, ["leave-production-yml"], project)

    path = str(project / "deploy" / "production.yml")
    for tool, given in (
        ("Edit", {"file_path": path, "old_string": "a", "new_string": ""}),
        ("Write", {"file_path": path, "content": "a: 1\n"}),
    ):
        assert guarded(project, tool, given)["permissionDecision"] == "deny"
    assert guarded(project, "Write", {"file_path": path + ".md", "content": "a"}) == {}
