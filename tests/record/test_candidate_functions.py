"""The probe's look at calls never raises into the application."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cache_strategy.record.probe.watchers import candidate_functions


class Unspeakable:
    def __init__(self) -> None:
        self.id = 1

    def __repr__(self) -> str:
        raise ValueError("no repr")


@pytest.mark.parametrize("value", [{Unspeakable(): 1, Unspeakable(): 2}, 10**5000], ids=["repr", "digits"])
def test_what_cannot_be_told_counts_as_not_plain(value):
    calls: list[dict[str, object]] = []
    journal = SimpleNamespace(hashed=lambda data: "hash", add=calls.append)
    budget = candidate_functions._Budget()

    def same(given):
        return given

    seen = candidate_functions._wrapped(same, "app.py:same", journal, budget, False)

    assert seen(value) is value
    assert [(call["function"], call["key"], call["digest"]) for call in calls] == [("app.py:same", "", "")]
