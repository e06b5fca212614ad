"""Objections without a verb that says so, told by their words, their moment and the agent's answer; and what is none."""

from __future__ import annotations

import pytest

from cache_strategy import hookify
from cache_strategy.hookify.patterns import at_command, in_words, within

RUN, EDIT = ("run", "go test ./..."), ("edit", "/home/dev/shop/.env", "DB=a", "DB=b")


def incidents(talk):
    return hookify.scan([talk.path]).incidents


def told(talk, said, *, before="Done.", answer="I'll look.", step=RUN, **fields):
    talk.say("go on with the orders")
    getattr(talk, step[0])(*step[1:])
    talk.tell(before)
    talk.say(said, **fields)
    talk.tell(answer)


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        ("why cd and not just run from root?", "Fair point.", "asks why"),
        ("lol thanks for proceeding without letting me know", "Sorry, I'll wait next time.", "is annoyed"),
        (
            "any reason why these tests arent using ginkgo?",
            "No good reason, my mistake.",
            "the agent apologised",
        ),
        ("u should have checked the branch first", "You're right.", "says what the agent did"),
        ("i have to again tell you when to use them, those are the rules", "Understood.", "speaks of a rule"),
    ],
)
def test_enough_signs_together_are_an_objection_that_says_why(talk, said, answer, reason):
    told(talk, said, answer=answer)

    (incident,) = incidents(talk)
    assert incident.kind == "user_correction" and incident.lasts == "always"
    assert reason in incident.because


@pytest.mark.parametrize(
    "said",
    [
        "why does the button not show up on the login page?",
        "no, talking about expire at",
        "the list is still empty after a refresh",
        "great, now add a test for the import",
        "how do i run it?",
        "why do you think the logs are the reason?",
        "use the second option",
    ],
)
@pytest.mark.parametrize("answer", ["I'll look.", "Good question, let me check."])
def test_questions_reports_answers_and_new_work_are_none(talk, said, answer):
    told(talk, said, before="Which one do you want?", answer=answer)

    assert incidents(talk) == ()


def test_the_agents_answer_decides_where_words_do_not(talk, other_talk):
    for one, answer in ((talk, "You're right, sorry. I should have asked."), (other_talk, "It is shorter.")):
        told(one, "the changelog was no part of it", answer=answer)

    assert len(incidents(talk)) == 1 and incidents(other_talk) == ()


def test_what_was_typed_for_the_memory_is_an_objection(talk):
    talk.say("set it up")
    talk.run("npm install left-pad")
    talk.say("<user-memory-input>We are using yarn</user-memory-input>")

    (incident,) = incidents(talk)
    assert (incident.quote, incident.because) == ("We are using yarn", ("was put into the agent's memory",))
    (proposal,) = hookify.propose([talk.path]).proposals
    assert (proposal.name, in_words(proposal.pattern)) == ("yarn-only", "(npm|pnpm|bun)")
    assert "Use yarn." in proposal.message


def test_calls_refused_together_are_one_incident_whatever_order_they_were_recorded_in(talk):
    talk.say("look up the versions")
    talk.reject_together([("Bash", {"command": f"npm view {name} version"}) for name in ("a1", "b2", "c3")])

    (incident,) = incidents(talk)
    assert incident.subject == "npm view a1 version"


@pytest.mark.parametrize(
    "reply", ["yes continue", "i didnt mean to interrupt you, continue", "sorry, wrong key"]
)
def test_a_rejection_that_is_taken_back_in_words_is_none(talk, reply):
    talk.say("ship it")
    talk.reject("Bash", {"command": "git init"})
    talk.say(reply)

    assert incidents(talk) == ()


def test_what_was_said_after_a_silent_rejection_is_in_the_rule(talk):
    talk.say("start it")
    talk.reject("Bash", {"command": "yarn dev --port 3000"})
    talk.say("I already have a server running")

    (proposal,) = hookify.propose([talk.path]).proposals
    assert 'said then: "I already have a server running"' in proposal.message


@pytest.mark.parametrize(
    ("said", "step", "name", "instead"),
    [
        (
            "do not add your signature to the commit messages",
            ("run", 'git commit -m "Fix\n\nCo-Authored-By: Claude"'),
            "commit-signature",
            "Leave the agent's signature out",
        ),
        (
            "You changed again the .env file, why, I told you never to touch it",
            EDIT,
            "leave-env",
            "Leave this file",
        ),
        ("we use pnpm, please remember that", ("run", "npm install"), "pnpm-only", "Use pnpm."),
    ],
)
def test_the_rule_is_about_what_was_done_and_says_what_to_do_instead(talk, said, step, name, instead):
    told(talk, said, step=step)

    (proposal,) = hookify.propose([talk.path]).proposals
    assert proposal.name == name and instead in proposal.message
    assert proposal.backtest.fired_on_incidents == 1


@pytest.mark.parametrize(
    "said",
    [
        "please read the docs in README.md, why did you invent methods again?",
        "why do you keep hardcoding http://shop.test/env/1?",
    ],
)
def test_a_file_that_is_only_mentioned_gets_no_rule(talk, said):
    told(talk, said, step=("edit", "/home/dev/shop/README.md", "a", "b"))

    assert hookify.propose([talk.path]).proposals == ()


def test_a_pattern_is_told_in_words():
    assert in_words(at_command("git", "commit") + within(r"\s--amend\b")) == "git commit … --amend"
    assert in_words(r"(?:^|[\\/])\.env\Z") == ".env"
