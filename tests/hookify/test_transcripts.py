from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conversation import REJECTED, Conversation

from cache_strategy import hookify
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.hookify.transcripts import Session
from cache_strategy.model.errors import CacheStrategyError


def read(*paths) -> tuple[Transcripts, list[Session]]:
    transcripts = Transcripts(paths)
    return transcripts, list(transcripts.sessions())


def session_of(talk: Conversation) -> Session:
    return read(talk.path)[1][0]


@pytest.mark.parametrize(
    ("result", "details", "error", "outcome"),
    [
        ("3 passed", {"stdout": "3 passed"}, False, "ok"),
        ("Exit code 1\nboom", "Error: Exit code 1\nboom", True, "failed"),
        ("<tool_use_error>String to replace not found</tool_use_error>", "Error: String", True, "failed"),
        ("PreToolUse:Write hook error: keep the invalidation", "Error: keep", True, "refused"),
        ("Claude requested permissions to write to /p/a.py, but", "Error: C", True, "refused"),
        (REJECTED + "STOP what you are doing.", "User rejected tool use", True, "rejected"),
        ("[Request interrupted by user for tool use]", {"interrupted": True}, True, "interrupted"),
        ("", {"stdout": "", "interrupted": True}, False, "interrupted"),
    ],
)
@pytest.mark.parametrize("old", [True, False])
def test_how_a_call_ended_is_told_apart(tmp_path, result, details, error, outcome, old):
    talk = Conversation(tmp_path / "talk.jsonl", old=old)
    talk.call("Bash", {"command": "make"}, result, error=error, details=details)

    assert [call.outcome for call in session_of(talk).calls] == [outcome]


def test_a_result_finds_its_call_when_tool_ids_are_blotted_out(talk):
    talk.run("make", "Exit code 2", error=True)
    talk.run("ls")
    talk.path.write_text(re.sub(r"toolu_\d+", "REDACTED", talk.path.read_text()))

    assert [(call.command, call.outcome) for call in session_of(talk).calls] == [
        ("make", "failed"),
        ("ls", "ok"),
    ]


def test_records_of_a_resumed_session_are_counted_once(tmp_path):
    first = Conversation(tmp_path / "a.jsonl")
    first.say("rename the column")
    first.run("make")
    resumed = Conversation(tmp_path / "b.jsonl")
    resumed.raw(first.path.read_bytes())
    resumed.records = first.records
    resumed.say("go on")
    resumed.run("make test")

    transcripts, (one, two) = read(first.path, resumed.path)

    assert [call.command for call in (*one.own_calls, *two.own_calls)] == ["make", "make test"]
    assert (two.calls[0].key, two.prompts[0].calls_before) == (one.calls[0].key, 1)
    assert [(p.text, p.first) for p in two.prompts] == [("go on", False)]
    assert transcripts.duplicates == 2


@pytest.fixture
def resumed_by_an_old_client(tmp_path):
    """Two files: a session, and what clients before 1.0.113 made of it when it was resumed: the same under new uuids."""
    first, copy = (Conversation(tmp_path / f"{n}.jsonl", old=True, session=n) for n in "ab")
    for talk in (first, copy):
        talk.say("rename the column")
        talk.run("make")
        talk.run("git push --force origin main")
    copy.say("No! Never force push, we share that branch.")
    copy.run("make test")
    return first.path, copy.path


def test_a_session_that_an_old_client_copied_under_new_uuids_is_counted_once(resumed_by_an_old_client):
    transcripts, (one, two) = read(*resumed_by_an_old_client)

    assert [call.command for call in one.own_calls] == ["make", "git push --force origin main"]
    assert [call.command for call in two.own_calls] == ["make test"]
    assert [call.key for call in two.calls[:2]] == [call.key for call in one.calls]
    assert (transcripts.tool_calls, transcripts.duplicates) == (3, 2)


def test_a_correction_after_a_resumption_is_about_the_calls_before_it(resumed_by_an_old_client):
    (proposal,) = hookify.propose(list(resumed_by_an_old_client)).proposals

    assert (proposal.event, "push" in proposal.name) == ("bash", True)
    assert (proposal.backtest.fired, proposal.backtest.fired_on_incidents) == (1, 1)


def test_a_copy_within_a_file_under_new_uuids_counts_once(tmp_path):
    talk = Conversation(tmp_path / "a.jsonl")
    talk.say("rename the column", timestamp="2026-01-02T03:04:05.678Z")
    talk.call("Bash", {"command": "make"}, timestamp="2026-01-02T03:04:06.000Z")
    copied = talk.path.read_text().replace(f'"uuid":"{talk.session}', '"uuid":"c0b1ed')
    talk.raw(copied.encode())

    transcripts, (session,) = read(talk.path)

    assert (transcripts.tool_calls, transcripts.prompts, transcripts.duplicates) == (1, 1, 2)
    assert len(session.calls) == 1


def test_a_prompt_that_was_queued_in_a_session_and_its_copy_counts_once(tmp_path):
    first = Conversation(tmp_path / "a.jsonl")
    first.say("go")
    first.run("make")
    first.record(
        "queue-operation", operation="enqueue", content="do not push", timestamp="2026-01-02T03:04:05Z"
    )
    first.say("do not push")
    copy = tmp_path / "b.jsonl"
    copy.write_bytes(first.path.read_bytes())

    transcripts, _ = read(first.path, copy)

    assert transcripts.prompts == 2


def test_of_calls_cancelled_together_only_the_refused_one_was_answered(talk):
    cancelled = "The user doesn't want to take this action right now. STOP what you are doing."
    talk.run("git push --force", REJECTED, error=True)
    talk.run("git status", cancelled, error=True)
    talk.run("git log", cancelled, error=True)
    talk.say("no")
    talk.run("rm -r build", cancelled, error=True)

    found = [call.outcome for call in session_of(talk).calls]

    assert found == ["rejected", "interrupted", "interrupted", "rejected"]


def test_a_subagents_calls_are_read_and_its_prompt_is_not_the_users(talk):
    talk.say("look around")
    below = talk.path.with_suffix("") / "subagents"
    below.mkdir(parents=True)
    agent = Conversation(below / "agent-1.jsonl", session="a6e27")
    agent.say("Never push. You forgot the tests.", isSidechain=True)
    agent.call("Bash", {"command": "grep -rn cache ."}, isSidechain=True)

    result = hookify.scan([talk.path])

    assert (result.transcripts, result.tool_calls, result.prompts, result.incidents) == (2, 1, 1, ())


TYPED = [
    ("do not push", {}, [("do not push", "typed")]),
    ("do not push", {"promptSource": "sdk"}, [("do not push", "program")]),
    ("do not push", {"isMeta": True}, []),
    ("do not push", {"isCompactSummary": True}, []),
    ("do not push", {"planContent": "# Plan"}, []),
    ("do not push", {"origin": {"kind": "task-notification"}}, []),
    ("do not push", {"promptSource": "system"}, []),
    ("This session is being continued from a previous conversation: never push", {}, []),
    ("<local-command-stdout>never push</local-command-stdout>", {}, []),
    ("<system-reminder>never push</system-reminder>\nthanks", {}, [("thanks", "typed")]),
    ("[Request interrupted by user]", {}, []),
    ("/clear", {}, []),
    ([{"type": "text", "text": "no mocks"}, {"type": "image", "source": {}}], {}, [("no mocks", "typed")]),
    (
        "<command-name>/fix</command-name>\n<command-args>no mocks</command-args>",
        {},
        [("no mocks", "command")],
    ),
]


@pytest.mark.parametrize(("text", "fields", "expected"), TYPED)
def test_what_a_person_typed_is_told_from_what_the_client_put_there(talk, text, fields, expected):
    talk.say(text, **fields)

    assert [(p.text, p.provenance) for p in session_of(talk).prompts] == expected


def test_a_prompt_typed_while_the_agent_works_is_read_once(talk):
    talk.run("make")
    for content in ("stop deleting the fixtures", "use the other table", '{"task_id":"1"}'):
        talk.record(type="queue-operation", operation="enqueue", content=content)
    delivered = talk.say("use the other table")
    queued = {"type": "queued_command", "prompt": "and no mocks", "commandMode": "prompt"}
    talk.record(type="attachment", attachment=queued)

    assert [(p.text, p.line) for p in session_of(talk).prompts] == [
        ("stop deleting the fixtures", 3),
        ("use the other table", delivered),
        ("and no mocks", delivered + 1),
    ]


def test_torn_and_foreign_lines_are_counted_and_survived(talk):
    talk.say("rename it")
    for line in (
        b'{"type":"assistant","message":{"content":[{"type":"tool_use",oops}]}}',
        b"not json at all",
        b"\xff\xfe\x00",
        b"",
        b'[1, 2, "tool_use"]',
        b'{"type":"from-the-future","tool_use":{"x":"tool_use"}}',
        b'{"type":"assistant","message":"tool_use"}',
        b'{"type":"user","message":{"content":[7,{"type":"tool_result","content":{"is_error":true}}]}}',
        b'{"type":"assistant","message":{"content":[{"type":"tool_use","name":7,"input":[]}]}}',
        b'{"type":"assistant","message":' + b"[" * 100_000 + b'"tool_use"}',
    ):
        talk.raw(line + b"\n")
    talk.run("make")
    talk.raw(b'{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","inp')

    transcripts, (session,) = read(talk.path)

    assert [call.command for call in session.calls if call.tool == "Bash"] == ["make"]
    assert transcripts.bad_lines == 6
    assert transcripts.records == talk.lines - 6 - 1


def test_a_very_long_line_is_read_and_one_beyond_the_limit_is_passed_over(talk):
    talk.call("Write", {"file_path": "/p/data.txt", "content": "x" * 3_000_000})
    talk.run("make")

    limited = Transcripts([talk.path], line_limit=100_000)
    (short,) = limited.sessions()

    assert [call.tool for call in session_of(talk).calls] == ["Write", "Bash"]
    assert ([call.tool for call in short.calls], limited.bad_lines) == (["Bash"], 1)


def test_words_inside_a_tool_result_are_not_taken_for_records(talk):
    inner = json.dumps({"type": "user", "message": {"content": "never push"}, "is_error": True})
    talk.run("cat old.jsonl", inner)

    session = session_of(talk)
    assert (session.prompts, [call.outcome for call in session.calls]) == ([], ["ok"])


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b"\x7fELF\x02\x01\x01\x00" * 500, "is not a Claude Code transcript"),
        (b'{"type":"response_item","payload":{"role":"user"}}\n', "is not a Claude Code transcript"),
    ],
)
@pytest.mark.parametrize("door", [hookify.scan, hookify.propose])
def test_what_is_no_transcript_gets_one_line(tmp_path, content, wrong, door):
    path = tmp_path / "talk.jsonl"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CacheStrategyError) as caught:
        door([path])

    assert str(caught.value).startswith(f"{path}: {wrong};") and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_folder_without_transcripts_gets_one_line_and_other_files_among_them_are_named(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    with pytest.raises(
        CacheStrategyError, match=r"holds no \.jsonl file; a folder with transcripts is needed"
    ):
        hookify.scan([tmp_path])
    with pytest.raises(CacheStrategyError, match="holds no transcripts of this project"):
        hookify.find_transcripts(tmp_path)
    Conversation(tmp_path / "talk.jsonl").say("hello there")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    said: list[str] = []

    result = hookify.scan([tmp_path], progress=said.append)

    assert result.transcripts == 1
    (unread,) = result.unread
    assert (Path(unread.path).name, unread.reason) == ("other.jsonl", "is not a Claude Code transcript")
    assert sorted(said) == ["1/2 talk.jsonl, 0 MB read", "2/2 other.jsonl, 0 MB read"]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """kept(project, ending) -> the folder where the client keeps a project's transcripts, with one in it."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))

    def keep(project: Path, longest: int = 200, ending: str = "", cwd: str = "") -> Path:
        project.mkdir(parents=True, exist_ok=True)
        slug = "".join(c if c.isalnum() else "-" for c in str(project.resolve()))
        folder = tmp_path / "config" / "projects" / (slug[:longest] + ending)
        folder.mkdir(parents=True)
        Conversation(folder / "one.jsonl").say("hello there", cwd=cwd or str(project.resolve()))
        return folder

    return keep


def test_a_projects_transcripts_are_found_where_the_client_keeps_them(tmp_path, kept):
    one, two = kept(tmp_path / "my.shop"), kept(tmp_path / "other")

    assert hookify.find_transcripts(tmp_path / "my.shop") == (one / "one.jsonl",)
    assert set(hookify.find_transcripts(None)) == {one / "one.jsonl", two / "one.jsonl"}


def test_a_long_project_name_is_found_by_the_folder_that_was_worked_in(tmp_path, kept):
    project = tmp_path / ("a" * 90) / ("b" * 90)
    folder = kept(project, 120, "x1")
    kept(project, 120, "x2", "/somewhere/else")

    assert hookify.find_transcripts(project) == (folder / "one.jsonl",)
