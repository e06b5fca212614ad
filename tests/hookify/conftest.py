from __future__ import annotations

import pytest
from conversation import Conversation


@pytest.fixture(autouse=True)
def _no_rules_of_this_user(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def talk(tmp_path_factory) -> Conversation:
    return Conversation(tmp_path_factory.mktemp("talk") / "talk.jsonl")


other_talk = talk
"""A second one beside the first."""
