from __future__ import annotations

import pytest
from conversation import Conversation

from cache_strategy import hookify
from cache_strategy.hookify.detectors.undone_edit import detector, edits_taken_back
from cache_strategy.hookify.stream import Transcripts

SETTINGS, VIEWS = "/home/dev/shop/shop/settings.py", "/home/dev/shop/shop/views.py"


@pytest.fixture
def talk(talk) -> Conversation:
    talk.say("tidy up")
    talk.edit(SETTINGS, "A = 1", "A = 2")
    talk.edit(VIEWS, "B = 1", "B = 2")
    return talk


@pytest.mark.parametrize(
    ("command", "undone"),
    [
        ("git checkout -- shop/settings.py", [SETTINGS]),
        ("git checkout HEAD~1 shop/settings.py", [SETTINGS]),
        ("cd /home/dev/shop && git -C . restore ./shop/views.py", [VIEWS]),
        ("git restore --staged --worktree shop", [VIEWS, SETTINGS]),
        ("git checkout .", [VIEWS, SETTINGS]),
        ("git reset --hard", [VIEWS, SETTINGS]),
        ("git stash", [VIEWS, SETTINGS]),
        ("git checkout main", []),
        ("git checkout -b shop", []),
        ("git revert abc123", []),
        ("git stash list", []),
        ("git log -- shop/settings.py", []),
        ("echo git checkout -- shop/settings.py", []),
    ],
)
def test_the_edits_that_a_git_command_takes_back(talk, command, undone):
    (session,) = Transcripts([talk.path]).sessions()

    assert [call.path for call in edits_taken_back(command, session.calls)] == undone


def kinds(talk: Conversation) -> list[tuple[int, str]]:
    return [(incident.line, incident.kind) for incident in hookify.scan([talk.path]).incidents]


def test_what_the_user_takes_back_with_an_exclamation_mark_is_an_incident(talk):
    line = talk.say("<bash-input>git checkout -- shop/settings.py</bash-input>")

    assert kinds(talk) == [(line, "undone_edit")]


def test_what_the_agent_takes_back_of_its_own_accord_is_none(talk):
    talk.run("git checkout -- shop/settings.py")
    talk.say("go on with the views")

    assert kinds(talk) == []


def test_what_the_agent_takes_back_when_it_is_told_to_is_one_incident_at_the_users_words(talk):
    line = talk.say("please undo that")
    talk.run("git restore shop/views.py")

    (incident,) = hookify.scan([talk.path]).incidents

    assert (incident.line, incident.quote, len(incident.calls)) == (line, "please undo that", 2)


def test_an_edit_that_the_user_changed_in_the_dialog_is_an_incident(talk):
    call = talk.edit(VIEWS, "C = 1", "C = 2", modified=True)

    assert kinds(talk) == [(call + 1, "undone_edit")]
    (session,) = Transcripts([talk.path]).sessions()
    (sighting,) = detector.sightings(session)
    assert sighting.calls[0].input["new_string"] == "C = 2"


@pytest.mark.parametrize(
    ("line", "incidents"), [("SECONDS = 30", 1), ("SECONDS = 3000", 0), ("SECONDS = 10", 0)]
)
def test_lines_that_the_user_put_back_by_hand_are_an_incident(talk, line, incidents):
    talk.edit(VIEWS, "SECONDS = 30", "SECONDS = 3000")
    snippet = f"1\timport os\n2\t{line}\n"
    edited = {"type": "edited_text_file", "filename": VIEWS, "snippet": snippet}
    talk.record("attachment", attachment=edited)

    assert len(kinds(talk)) == incidents
