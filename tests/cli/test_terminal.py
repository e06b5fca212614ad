"""What a terminal and a pipe see: progress only for people, results only on stdout, nothing said to a closed pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from command_line import PLAIN_APPLICATION, command, environment

PLAIN_FILES, FILES_WITH_A_ROUTE = 9_500, 500
PART = """\
from flask import Blueprint

from app import Item, db

part{number} = Blueprint("part{number}", __name__)


@part{number}.get("/part{number}/<int:item_id>")
def show(item_id):
    return load{number}(item_id)


def load{number}(item_id):
    found = db.session.get(Item, item_id)
    return {{"id": found.id, "name": found.name}}


def rename{number}(item_id, name):
    db.session.get(Item, item_id).name = name
    db.session.commit()
"""


@pytest.fixture(scope="module")
def large_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 small files in 100 packages; every twentieth has a route, a reader and a writer."""
    root = tmp_path_factory.mktemp("large")
    (root / "app.py").write_text(PLAIN_APPLICATION)
    for number in range(PLAIN_FILES + FILES_WITH_A_ROUTE - 1):
        folder = root / f"package{number % 100}"
        folder.mkdir(exist_ok=True)
        text = (
            PART.format(number=number) if number % 20 == 0 else f"def twice{number}(x):\n    return 2 * x\n"
        )
        (folder / f"part{number}.py").write_text(text)
    return root


def under_a_terminal(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout (a pipe) and what a terminal on stderr shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments),
        env={**environment(), "CACHE_STRATEGY_PROGRESS_AFTER_SECONDS": "0.001"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not read:
                break
            shown += read
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(ours)
    return process.returncode, output, shown.decode()


def test_10_000_files_give_progress_on_a_terminal_and_a_short_summary(large_repository):
    code, output, shown = under_a_terminal("run", large_repository)

    assert code == 0, shown
    assert "10,000 files" in output.splitlines()[0]
    assert len(output.splitlines()) < 150
    assert all(len(line) < 400 for line in output.splitlines())
    assert re.search(r"\r\x1b\[K(read|followed) \d+ of \d+ (files|functions)", shown)
    assert shown.rstrip("\r\n").endswith("\x1b[K"), "the line of progress is wiped at the end"


def test_10_000_files_give_only_json_on_stdout_and_nothing_in_a_log(large_repository):
    done = subprocess.run(
        command("profile", large_repository, "--json"), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == 10_000
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--json"),
        ("profile",),
        ("profile", "--json"),
        ("plan",),
        ("emit",),
        ("lint",),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_pipe_that_is_closed_ends_the_command_in_silence(flask_shop, arguments):
    verb = [] if arguments == ("--help",) else [flask_shop]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(*arguments, *verb), env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    said = [
        line for line in done.stderr.splitlines() if "edited by a person" not in line and line[:2] != "  "
    ]
    assert said == [line for line in said if "its target cannot give" in line]
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("language", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_any_language_of_the_machine_will_do(flask_shop, cache_strategy, language):
    (flask_shop / "shop" / "größe.py").write_text("def größe():\n    return 'ü'\n", encoding="utf-8")
    done = cache_strategy("run", flask_shop, env={"LC_ALL": language, "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
