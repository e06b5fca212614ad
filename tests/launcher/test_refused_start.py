"""What a start says when the world does not let it prepare: one line, exit code 2, nothing half made."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_locks import load
from world import LAUNCHER, ROOT


@pytest.fixture(scope="module")
def launcher():
    return load(LAUNCHER)


def test_without_a_network_it_says_so_and_the_next_start_with_one_succeeds(world, tmp_path):
    closed = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), closed)
    empty = {name: str(tmp_path / name) for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR")}

    done = world.start(more={**proxies, **empty, "NO_PROXY": "", "no_proxy": "", "UV_HTTP_RETRIES": "0"})

    first, fallback, last = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert "preparing" in first and "uv failed: no connection" in fallback and "no connection" in last
    assert not world.environments
    assert world.start().returncode == 0


def test_where_the_cache_folder_cannot_be_written_it_uses_a_temporary_one_and_says_so(world, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    if os.geteuid() == 0:  # modes do not stop the superuser; this folder stops everybody
        cache = Path("/proc")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = world.environment(XDG_CACHE_HOME=str(cache), TMPDIR=str(temporary))
    command = [sys.executable, str(LAUNCHER), "--help"]

    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2)
    )

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert str(cache) in first.stderr and str(temporary) in first.stderr
    assert second.stderr == ""
    (made,) = temporary.iterdir()
    assert made.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_can_write_is_not_trusted(launcher, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"cache-strategy-{os.getuid()}").mkdir()
    (tmp_path / f"cache-strategy-{os.getuid()}").chmod(0o777)

    assert Path(launcher.temporary_home()).stat().st_mode & 0o077 == 0


def test_a_package_that_differs_from_the_lock_is_refused(launcher, world, tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    lock.write_text("annotated-doc==0.0.4 --hash=sha256:" + "0" * 64 + "\n")
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)

    with pytest.raises(launcher.Unprepared, match="differs from what was locked; nothing was installed"):
        launcher.prepared_python(str(lock), str(world.data))

    assert not world.environments


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "OSError: [Errno 28] No space left on device: '/data/venv'",
            "no space left; about 100 MB are needed",
        ),
        ("error: failed to copy file: No space left on device (os error 28)", "no space left"),
        (
            "error: Failed to fetch: `simple/jinja2`\n  Caused by: dns error: failed to lookup",
            "no connection",
        ),
        (
            "error: error sending request for url\n  cause: invalid peer certificate: UnknownIssuer",
            "not trusted",
        ),
        ("ERROR: No matching distribution found for jinja2==3.1.6", "pip: ERROR: No matching distribution"),
        ("", "pip: no output"),
    ],
)
def test_an_installers_output_becomes_one_line(launcher, tmp_path, output, words):
    reason = launcher.in_words(output, "/usr/bin/pip", str(tmp_path))

    assert isinstance(reason, launcher.Unprepared)
    assert words in str(reason) and "\n" not in str(reason)


def test_without_a_new_python_it_says_so_in_one_line(launcher, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(launcher.Unprepared, match=r"no Python 3\.11 or newer was found; one is needed"):
        launcher.newer_python()


def test_a_new_python_on_path_is_found_also_behind_one_that_does_not_start(launcher, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    broken = tmp_path / "python3.14"
    broken.write_text("#!/bin/sh\necho 'python3.14: command not found' >&2\nexit 127\n")
    broken.chmod(0o755)
    name = f"python3.{sys.version_info[1]}"
    (tmp_path / name).symlink_to(sys.executable)

    tag, python = launcher.newer_python()

    assert tag == launcher.own_tag() and python


@pytest.mark.parametrize("starter", ["scripts/cache-strategy", "tests/run"])
def test_python_3_8_can_read_it(starter):
    source = (ROOT / starter).read_text(encoding="utf-8")

    tree = ast.parse(source, feature_version=(3, 8))

    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)


def test_a_data_folder_that_is_not_named_is_a_wrong_use():
    done = subprocess.run([sys.executable, str(LAUNCHER), "--data-dir"], capture_output=True, text=True)

    assert done.returncode == 2 and done.stderr.count("\n") == 1
