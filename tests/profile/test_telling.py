"""The table by which candidates are ranked: every row can happen, and says why in words."""

from pathlib import Path

from cache_strategy.profile import signals, telling_words
from cache_strategy.profile.telling import SENTENCES, WEIGHTS, told_by


def test_every_weight_is_of_a_signal_that_a_function_can_have():
    kinds = {
        "name": telling_words.FIRST_WORDS, "named": telling_words.NAMED, "in": telling_words.PLACES,
        "of": telling_words.CLASSES, "decorated": telling_words.DECORATORS, "mentions": telling_words.MENTIONED,
        "answers": ("none", "response", "lazy"),
    }  # fmt: skip
    made = {f"{word} {kind}" for word, of in kinds.items() for kind in of}
    source = Path(signals.__file__).read_text()

    assert [s for s in WEIGHTS if s not in made and f'"{s}"' not in source] == []


def test_what_speaks_most_for_a_cache_is_said_and_the_rest_is_counted():
    told = told_by({"name asks", "costs", "nested", "short", "no such signal"})

    assert told.score == round(sum(WEIGHTS[s] for s in ("name asks", "costs", "nested", "short")), 4)
    assert told.because == (f"like what maintainers cache: {SENTENCES['name asks']}; {SENTENCES['costs']}",)
    assert told_by({"nested"}).because == ()
