"""Ctrl-C, whenever it comes: files are whole and the repository is as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command, contents, environment

from record.tiny_shop import write_application

ATTEMPTS = 20
"""An apply takes some milliseconds; an attempt that is stopped too early or too late is made again."""


def start(*arguments: str | Path, **options) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*arguments), env=environment(), **pipes, **options)


def is_writing(repository: Path) -> bool:
    try:
        note = json.loads((repository / ".cache-strategy" / "applied.json").read_text())
    except (FileNotFoundError, ValueError):
        return False
    return note["state"] == "applying" and any((repository / path).exists() for path in NEW)


NEW = ("deploy/cdn/nginx-cache.conf", "docker-compose.cache.yml", "shop/caching/runtime.py")


def stopped_half_way(repository: Path) -> subprocess.Popen[str]:
    """An `emit --apply` that stands still after its first file and before its last."""
    for _ in range(ATTEMPTS):
        process = start("emit", repository, "--apply")
        while process.poll() is None and not is_writing(repository):
            pass
        process.send_signal(signal.SIGSTOP)
        if process.poll() is None and is_writing(repository):
            return process
        process.send_signal(signal.SIGCONT)
        process.communicate()
        subprocess.run(
            command("emit", repository, "--revert"), env=environment(), check=True, capture_output=True
        )
    raise AssertionError("emit --apply was never caught half-way")


def test_ctrl_c_in_the_middle_of_apply_takes_everything_back(flask_shop, cache_strategy):
    before = contents(flask_shop)
    process = stopped_half_way(flask_shop)
    assert contents(flask_shop) != before

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, error = process.communicate(timeout=60)

    assert process.returncode == 1
    assert error == "Interrupted; every file is whole.\n"
    assert contents(flask_shop) == before
    status = subprocess.run(["git", "status", "--porcelain"], cwd=flask_shop, capture_output=True, text=True)
    assert status.stdout == ""
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0


@pytest.mark.parametrize("then", ["--revert", "--apply"])
def test_a_killed_apply_is_taken_back_by_the_next_one(flask_shop, cache_strategy, then):
    before = contents(flask_shop)
    process = stopped_half_way(flask_shop)
    process.kill()
    process.communicate()
    assert contents(flask_shop) != before

    done = cache_strategy("emit", flask_shop, then)

    if then == "--revert":
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), (
            "there is nothing more to take back"
        )
    else:
        assert done.returncode == 0, done.stderr
        assert cache_strategy("emit", flask_shop, "--revert").returncode == 0
    assert contents(flask_shop) == before


def test_ctrl_c_while_many_files_are_read_leaves_one_line_and_nothing_behind(flask_shop):
    (flask_shop / "cache-strategy.yaml").unlink()
    source = (flask_shop / "shop" / "catalog.py").read_text()
    for number in range(600):
        (flask_shop / f"part{number}.py").write_text(source)
    before = contents(flask_shop)
    process = start("run", flask_shop, start_new_session=True)
    while process.poll() is None and not any(map(has_worked, children_of(process.pid))):
        pass
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers too
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error) == (1, "", "Interrupted; every file is whole.\n")
    assert contents(flask_shop) == before


def test_ctrl_c_ends_a_recording_with_what_it_has(tmp_path):
    script = (
        "from shop import *; import signal; app = create_app(); app.test_client().get('/hello/x'); "
        "print('ready', flush=True); signal.pause()"
    )
    folder = write_application(tmp_path, script)
    process = start(
        *("record", "--repo", folder, "--json", "--", sys.executable, "script.py"), start_new_session=True
    )
    assert next(line for line in process.stderr if line == "ready\n")
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    told = json.loads(output)
    assert (told["interrupted"], told["requests"], told["bad_lines"]) == (True, 1, 0)
    assert list(Path(told["trace"]).glob("*.jsonl"))


def children_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def has_worked(pid: str) -> bool:
    """It has used processor time; see proc(5), utime is the 14th field."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]) > 2
    except OSError:
        return False
