"""The world in which a test starts the launcher."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "with uv", uv=True)


@pytest.fixture
def world_without_uv(tmp_path: Path) -> World:
    return World(tmp_path / "without uv", uv=False)
