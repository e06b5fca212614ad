from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_rules_of_this_user(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
