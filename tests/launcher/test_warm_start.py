"""Every later start: what it costs, and whose settings and modules it listens to."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from world import World

# What is only needed to build, and slow to import.
HEAVY = {"argparse", "json", "pathlib", "random", "re", "shutil", "subprocess", "tempfile", "typing"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> World:
    world = World(tmp_path_factory.mktemp("warm"), uv=True)
    assert world.start().returncode == 0
    return world


def test_a_later_start_imports_nothing_heavy_and_starts_no_program(warm):
    command = [sys.executable, "-S", "-X", "importtime", *warm.command("--help")[1:]]
    done = subprocess.run(command, env=warm.environment(), capture_output=True, text=True)

    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert done.returncode == 0 and "hashlib" in imported
    assert not imported & HEAVY


def test_a_later_start_writes_nothing_but_compiled_modules(warm):
    def written() -> set[str]:
        return {str(p) for p in warm.data.parent.rglob("*") if "pycache" not in p.parts}

    before = written()
    done = warm.start()

    assert done.returncode == 0 and written() == before


def test_modules_of_the_user_cannot_stand_in_for_ours(warm):
    for name in ("redis", "yaml", "typer", "cache_strategy", "json"):
        (warm.home / f"{name}.py").write_text("raise SystemExit('a module of the user was run')\n")

    done = warm.start(more={"PYTHONPATH": str(warm.home), "PYTHONSTARTUP": str(warm.home / "json.py")})

    assert done.returncode == 0, done.stderr


def test_settings_that_send_packages_elsewhere_do_not_reach_a_build(tmp_path):
    world = World(tmp_path, uv=True)
    elsewhere = str(tmp_path / "elsewhere")

    settings = {"UV_SYSTEM_PYTHON": "1", "UV_TARGET": elsewhere, "VIRTUAL_ENV": elsewhere, "PYTHONHOME": ""}
    done = world.start(more=settings)

    assert done.returncode == 0 and "uv failed" not in done.stderr, done.stderr


def test_commands_that_it_runs_for_the_user_see_the_users_variables(warm, tmp_path):
    (tmp_path / "app.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")
    show = "import os; print('seen', os.environ['VIRTUAL_ENV'], os.environ['PYTHONPATH'])"
    recorded = ["record", "--repo", str(tmp_path), "--", sys.executable, "-c", show]

    done = warm.start(*recorded, more={"VIRTUAL_ENV": "/somewhere", "PYTHONPATH": "/my modules"})

    seen = next(line for line in (done.stdout + done.stderr).splitlines() if line.startswith("seen"))
    assert "/somewhere" in seen and "/my modules" in seen
