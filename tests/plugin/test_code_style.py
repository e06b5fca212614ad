"""The checks of ruff and mypy, as tests, so that one command runs everything."""

from __future__ import annotations

import subprocess
import sys

from bundle import ROOT, files_of_the_bundle

# Started by whatever Python the user has, with modules that are cheap to import: older forms, no pathlib.
STARTERS = ["scripts/cache-strategy", "tests/run"]
MODERN = ["tests/lock"]


def check(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing():
    python = [name for name in files_of_the_bundle() if name.endswith((".py", ".pyi"))]

    check("ruff", "check", "--no-cache", "--force-exclude", *python, *MODERN)
    check("ruff", "check", "--no-cache", "--target-version", "py38", "--ignore", "UP,PTH", *STARTERS)


def test_every_file_is_formatted():
    python = [name for name in files_of_the_bundle() if name.endswith((".py", ".pyi"))]

    check("ruff", "format", "--no-cache", "--check", "--force-exclude", *python, *MODERN, *STARTERS)


def test_the_types_hold():
    check("mypy")
