"""Every edit of the folder: its example is its test, twice is once, the result parses, and a stranger's file stays whole."""

import pytest

from cache_strategy.emit.edits._base import EDITS, CannotEdit
from cache_strategy.siblings import load_siblings

load_siblings("cache_strategy.emit.edits")
CODE_EDITS = sorted(name for name in EDITS if not name.endswith("requirement"))


@pytest.mark.parametrize("name", sorted(EDITS))
def test_the_example_becomes_what_it_says(name):
    edit = EDITS[name]
    assert edit.apply(edit.example.before, **edit.example.arguments) == edit.example.after


@pytest.mark.parametrize("name", sorted(EDITS))
def test_a_second_time_changes_nothing(name):
    edit = EDITS[name]
    once = edit.apply(edit.example.before, **edit.example.arguments)
    assert edit.apply(once, **edit.example.arguments) == once


@pytest.mark.parametrize("name", CODE_EDITS)
def test_every_other_line_keeps_its_bytes(name):
    """Odd but legal formatting around the place survives: only added or replaced lines differ."""
    edit = EDITS[name]
    odd = "\n\nX  =  { 'a' :1, }   # odd  spacing\nif  X : pass\n"
    edited = edit.apply(edit.example.before + odd, **edit.example.arguments)
    assert edited.endswith(odd)


@pytest.mark.parametrize("name", sorted(set(CODE_EDITS) - {"add_import"}))
def test_a_place_that_is_gone_is_an_error_and_not_a_guess(name):
    with pytest.raises(CannotEdit):
        EDITS[name].apply("x = 1\n", **EDITS[name].example.arguments)


@pytest.mark.parametrize("name", CODE_EDITS)
def test_a_file_that_is_not_python_is_an_error(name):
    with pytest.raises(CannotEdit):
        EDITS[name].apply("def broken(:\n", **EDITS[name].example.arguments)


def test_windows_line_ends_are_kept():
    edit = EDITS["add_decorator"]
    before = edit.example.before.replace("\n", "\r\n")
    assert edit.apply(before, **edit.example.arguments) == edit.example.after.replace("\n", "\r\n")
