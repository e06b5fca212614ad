from __future__ import annotations

import pytest

from cache_strategy.hookify.changes import shortened
from cache_strategy.hookify.provenance import own_words
from cache_strategy.hookify.wording import ENOUGH, objections_in

LASTING = [
    "do not restart the tunnel",
    "donts commit it",
    "save in your memory that the base code is in vendor/",
    "please don't push to main",
    "stop deleting my fixtures",
    "you forgot to invalidate the list",
    "you removed the invalidation - never drop it",
    "why did you change the migration?",
    "use pnpm, not npm",
    "we never mock the database",
    "no more em dashes please",
    "i dont want any visual tests",
    "leave the settings alone",
    "the baseline migration should not be updated ever",
    "no need to run the tests, I will",
    "how many times: you keep adding comments",
    "you should have not touched the config",
]
FOR_THE_MOMENT = [
    "dont make any changes yet",
    "do not implement anything, just explain",
    "don't commit yet, I want to look first",
    "dont change anything for now",
]
NONE = [
    "the button should not be red",
    "it doesn't explain the price",
    "don't worry about the deadline",
    "I allow you to skip the hooks",
    "sorry, my mistake, try again",
    "what if we never cached it?",
    "never mind",
    "no when i sign out it closes the session",
    "check that no files reference the old name",
    "once you have committed these, run the tests",
    "looks good, thanks",
    "tell them it is the wrong field when they land on the wrong field",
]


def strongest(text: str):
    found = objections_in(own_words(text).text)
    return found[0] if found and found[0].strength >= ENOUGH else None


@pytest.mark.parametrize("text", LASTING)
def test_an_objection_is_recognised(text):
    objection = strongest(text)

    assert objection is not None and objection.lasts == "always"


@pytest.mark.parametrize("text", FOR_THE_MOMENT)
def test_not_yet_is_not_never(text):
    objection = strongest(text)

    assert objection is not None and objection.lasts == "turn"


@pytest.mark.parametrize("text", NONE)
def test_a_wish_about_the_product_and_small_talk_are_no_objections(text):
    assert strongest(text) is None


PASTED = [
    "The reviewer wrote:\nYou removed the invalidation.\nNever do that again.",
    "```\nyou forgot to close the file\nnever push\n```\nsee above",
    "> you forgot the tests, never push without them",
    'the page says "never push this button, you forgot the key"',
    "ValueError: you forgot to open the session\n    at useContext (chunk.js:10:3)",
    'File "shop/views.py", line 3, in show\n  you removed the key',
    "2026-03-01T10:00:00 WARN you forgot to set the key",
    "diff --git a/x b/x\n-do not run this\n+do not run that();",
    "# Review\n\n- you removed the key\n- never push\n- do not commit\n- undo that\n",
    "[Pasted text #1 you forgot the tests]",
]


@pytest.mark.parametrize("text", PASTED)
def test_pasted_text_is_nobodys_objection(text):
    assert strongest(text) is None


def test_own_words_beside_pasted_ones_count():
    objection = strongest("```\nnever push\n```\nyou removed the invalidation again")

    assert objection is not None and objection.words == "you removed the invalidation again"


def test_a_hostile_prompt_costs_no_time_out_of_proportion():
    """A quadratic pattern would not come back."""
    assert shortened("(" * 9999, "x") == ("(" * 9999, "x")
    for piece in ("don't " * 3000, "you have " * 3000, '"' * 20000, "a-" * 10000, "never just even " * 1500):
        strongest(piece)
