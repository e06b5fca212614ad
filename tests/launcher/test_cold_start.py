"""The first start: by uv, by pip, by two at once, after a build that was broken off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import LAUNCHER


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_uv_prepares_it_once(world):
    first, second = world.start(), world.start()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "packages with uv" in first.stderr and "ready after" in first.stderr
    assert "verify" in first.stdout and second.stdout == first.stdout
    assert second.stderr == ""


def test_pip_prepares_it_where_there_is_no_uv(world_without_uv):
    first, second = world_without_uv.start(), world_without_uv.start()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "packages with pip" in first.stderr and "ready after" in first.stderr
    assert "verify" in first.stdout and second.stderr == ""


def test_two_starts_at_once_build_once(world):
    starts = [
        subprocess.Popen(
            world.command("--help"),
            env=world.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [start.communicate(timeout=120)[1] for start in starts]

    assert [start.returncode for start in starts] == [0, 0], said
    assert sorted("ready after" in text for text in said) == [False, True]
    assert len(world.environments) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped by Ctrl-C"])
def test_a_build_that_was_broken_off_is_made_again(world_without_uv, world, how):
    start = subprocess.Popen(
        world_without_uv.command("--help"),
        env=world_without_uv.environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    environments = world_without_uv.data / "environments"
    wait_until(lambda: list(environments.glob("*/venv/bin/python")))
    os.killpg(start.pid, how)
    said = start.communicate(timeout=60)[1]

    assert not list(environments.glob("*.ready"))
    if how == signal.SIGINT:
        assert start.returncode == 130 and "stopped" in said and "Traceback" not in said
        assert not world_without_uv.environments
    world.data = world_without_uv.data
    again = world.start()
    assert again.returncode == 0 and "ready after" in again.stderr
    assert len(world.environments) == 1


def test_an_environment_whose_python_is_gone_is_made_again(world):
    world.start()
    (python,) = (world.data / "environments").glob("*/venv/bin/python")
    python.unlink()
    python.symlink_to("/nowhere/python")

    again = world.start()

    assert again.returncode == 0 and "ready after" in again.stderr
    assert len(world.environments) == 1


def python_without_ensurepip(folder: Path, *, pip: bool) -> Path:
    """This Python once more, made of links, as distributions ship it without the package for venv."""
    version = f"python3.{sys.version_info[1]}"
    library = folder / "lib" / version
    library.mkdir(parents=True)
    (folder / "bin").mkdir()
    for entry in Path(os.__file__).parent.iterdir():
        if entry.name not in ("ensurepip", "site-packages", "dist-packages", "EXTERNALLY-MANAGED"):
            (library / entry.name).symlink_to(entry)
    for shared in Path(sys.base_prefix, "lib").glob("libpython*"):
        (folder / "lib" / shared.name).symlink_to(shared)
    if pip:
        import ensurepip

        (wheel,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
        (library / "site-packages").mkdir()
        shutil.unpack_archive(wheel, library / "site-packages", "zip")
    python = folder / "bin" / version
    shutil.copy2(Path(sys._base_executable).resolve(), python)
    return python


def test_a_python_without_ensurepip_uses_its_own_pip(world_without_uv, tmp_path):
    python = python_without_ensurepip(tmp_path / "python", pip=True)

    done = subprocess.run(
        [str(python), *world_without_uv.command("--help")[1:]],
        env=world_without_uv.environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0 and "ready after" in done.stderr, done.stderr
    assert "verify" in done.stdout


def test_a_python_without_ensurepip_and_pip_says_what_to_install(world_without_uv, tmp_path):
    python = python_without_ensurepip(tmp_path / "python", pip=False)

    done = subprocess.run(
        [str(python), str(LAUNCHER), "--help"],
        env=world_without_uv.environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
    )

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "lacks ensurepip" in last and "python3-venv" in last
