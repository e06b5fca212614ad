"""A real browser that loads one file and says what came of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HOW_TO_GET = "Chromium is not installed; the report is looked at in a real browser. Install it: apt-get install chromium"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr"
).split()
NO_HOST = "--host-resolver-rules=MAP * ~NOTFOUND"


def chromium() -> str:
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO_GET)
    assert found is not None
    return found


def dom_of(file: Path, profile: Path, *more: str) -> tuple[str, list[str]]:
    """The document after loading, as HTML, and what the console said."""
    done = subprocess.run(
        [chromium(), *QUIET, NO_HOST, f"--user-data-dir={profile}", *more, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"CONSOLE[:(].*", done.stderr)


def picture_of(file: Path, to: Path, profile: Path, *more: str, width: int, height: int = 1000) -> bytes:
    """A picture of the window as PNG."""
    subprocess.run(
        [
            *(chromium(), *QUIET, NO_HOST, f"--user-data-dir={profile}", *more, "--hide-scrollbars"),
            *(f"--screenshot={to}", f"--window-size={width},{height}", file.as_uri()),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return to.read_bytes()
