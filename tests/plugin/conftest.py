"""A read-only copy of the bundle, and the real client; both in the test's own folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle import contents, copy_bundle
from real_client import Client

HOW_TO_GET = "the Claude Code client is not on PATH; get it: npm install --global @anthropic-ai/claude-code"


@pytest.fixture
def copied_plugin(tmp_path: Path) -> Iterator[Path]:
    """The bundle in a read-only folder with a space in its name; fails when a test changed anything in it."""
    folder = copy_bundle(tmp_path / "a plugin")
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    before = contents(folder)
    yield folder
    after = contents(folder)
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)
    assert after == before  # the superuser is not stopped by modes


@pytest.fixture(scope="session")
def claude() -> str:
    """The client's program."""
    found = shutil.which("claude")
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(HOW_TO_GET)
    pytest.skip(HOW_TO_GET)


@pytest.fixture
def client(claude: str, tmp_path: Path) -> Client:
    return Client(claude, tmp_path)
