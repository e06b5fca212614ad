from __future__ import annotations

import pytest
from conversation import Conversation

from cache_strategy import hookify

OBJECTION = "don't mock the database"


def found(talk: Conversation) -> list[tuple[str, str]]:
    return [(i.kind, i.lasts) for i in hookify.scan([talk.path]).incidents]


def test_the_same_words_object_after_a_call_and_specify_before_the_first(talk):
    talk.say(OBJECTION)
    assert found(talk) == []

    talk.run("pytest")
    talk.say(OBJECTION)
    assert found(talk) == [("user_correction", "always")]


def test_a_first_prompt_that_speaks_of_before_objects(talk):
    talk.say("you keep mocking the database, stop mocking it again and again")

    assert found(talk) == [("user_correction", "always")]


def test_the_first_prompt_of_a_program_specifies_and_a_later_one_objects(talk):
    talk.run("pytest")
    talk.say(OBJECTION, promptSource="sdk")
    assert found(talk) == []

    talk.run("pytest -q")
    talk.say(OBJECTION, promptSource="sdk")
    assert found(talk) == [("user_correction", "always")]


def test_a_long_text_specifies(talk):
    talk.run("pytest")
    talk.say("The next part is the import of orders from the old shop. " * 30 + OBJECTION)

    assert found(talk) == []


def test_weak_words_count_after_an_interrupt(talk):
    weak = "don't return the whole list"
    talk.run("pytest")
    talk.say(weak)
    assert found(talk) == []

    talk.run("pytest -q")
    talk.record(type="user", message={"content": [{"type": "text", "text": "[Request interrupted by user]"}]})
    talk.say(weak)
    assert found(talk) == [("user_correction", "always")]


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


def test_a_reason_that_holds_for_the_moment_makes_no_rule(talk):
    talk.say("ship it")
    talk.reject("Bash", {"command": "git push"}, "don't push yet, let me look first")

    assert found(talk) == [("rejected_call", "turn")]
    assert hookify.propose([talk.path]).proposals == ()
