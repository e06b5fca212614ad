from __future__ import annotations

import pytest
from conversation import Conversation

from cache_strategy import hookify

OBJECTION = "don't mock the database"


def found(talk: Conversation) -> list[tuple[str, str]]:
    return [(i.kind, i.lasts) for i in hookify.scan([talk.path]).incidents]


RUN, STOPPED = ("run", "pytest"), ("client", {}, "[Request interrupted by user]")
WEAK = "don't return the whole list"
LONG = "The next part is the import of orders from the old shop. " * 30


@pytest.mark.parametrize(
    ("steps", "fields", "objections"),
    [
        ([("say", OBJECTION)], {}, 0),
        ([("say", "tidy up"), RUN, ("say", OBJECTION)], {}, 1),
        ([("say", "you keep mocking the database, stop mocking it again and again")], {}, 1),
        ([RUN, ("say", OBJECTION)], {"promptSource": "sdk"}, 0),
        ([RUN, ("say", "tidy up"), RUN, ("say", OBJECTION)], {"promptSource": "sdk"}, 1),
        ([("say", "tidy up"), RUN, ("say", LONG + OBJECTION)], {}, 0),
        ([("say", "tidy up"), RUN, ("say", WEAK)], {}, 0),
        ([("say", "tidy up"), RUN, STOPPED, ("say", WEAK)], {}, 1),
        ([("say", "tidy up"), RUN, STOPPED, ("say", "use uv for it")], {}, 1),
        ([("say", "tidy up"), RUN, ("say", "use uv for it")], {}, 0),
    ],
)
def test_the_same_words_object_or_specify_by_where_they_are_said(talk, steps, fields, objections):
    for step, *given in steps:
        getattr(talk, step)(*given, **(fields if step == "say" else {}))

    assert found(talk) == [("user_correction", "always")] * objections


@pytest.mark.parametrize(
    ("reply", "incidents"),
    [
        ("continue", []),
        ("ok, go ahead please", []),
        ("sorry, wrong key", []),
        ("we share that branch", [("rejected_call", "always")]),
        (None, [("rejected_call", "always")]),
    ],
)
def test_a_rejection_that_was_only_a_pause_is_none(talk, reply, incidents):
    talk.say("ship it")
    talk.reject("Bash", {"command": "git push --tags"})
    if reply:
        talk.say(reply)

    assert found(talk) == incidents


@pytest.mark.parametrize("tool", ["AskUserQuestion", "ExitPlanMode", "Task", "Agent"])
def test_a_rejected_question_or_plan_is_a_conversation(talk, tool):
    talk.say("plan it")
    talk.reject(tool, {"plan": "# Plan", "prompt": "x"})

    assert found(talk) == []


def test_what_the_user_says_after_a_silent_rejection_words_the_rule(talk):
    talk.say("check the page")
    talk.reject("Bash", {"command": "cd /tmp && node verify-page.mjs"})
    talk.say("no need for browser tests, I do them myself")

    (proposal,) = hookify.propose([talk.path]).proposals

    assert proposal.name == "browser-tests" and len(proposal.incidents) == 2
    assert "I do them myself" in proposal.message


@pytest.mark.parametrize(
    ("reason", "lasts"),
    [
        ("don't push yet, let me look first", "turn"),
        ("hang on a sec", ""),
        ("is the remote the fork?", ""),
        ("don't worry about it for now", ""),
        ("wait, don't push to main", "always"),
        ("what are you doing??", "always"),
    ],
)
def test_a_reason_that_asks_or_holds_for_the_moment_makes_no_rule(talk, reason, lasts):
    talk.say("ship it")
    talk.reject("Bash", {"command": "git push"}, reason)

    assert found(talk) == ([("rejected_call", lasts)] if lasts else [])
    assert len(hookify.propose([talk.path]).proposals) == (lasts == "always")


@pytest.mark.parametrize(("reason", "rules"), [("Acme Inc.", 0), ("", 0), ("leave this file alone", 1)])
def test_one_rejected_change_makes_no_rule_for_its_file(talk, reason, rules):
    talk.say("go")
    talk.reject("Write", {"file_path": "/home/dev/shop/LICENSE", "content": "MIT"}, reason)

    assert len(hookify.scan([talk.path]).incidents) == 1
    assert len(hookify.propose([talk.path]).proposals) == rules
