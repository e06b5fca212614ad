"""The example application as it is: its own tests, its commands, its load script, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers import PostgresServer


def run(*arguments: str, cwd: Path, database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "DATABASE_URL": database_url, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shop_passes_its_own_tests(flask_shop: Path, postgres_url: str) -> None:
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=flask_shop, database_url=postgres_url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shop_starts_from_an_empty_database_with_the_commands_of_its_readme(
    flask_shop: Path, postgres_url: str
) -> None:
    for arguments, output in (
        (("init-db",), ""),
        (("demo",), ""),
        (("change-prices", "--percent", "5"), "400 prices changed\n"),
        (("restock", "--level", "10"), "0 products restocked\n"),
        (("set", "title", "Corner Shop"), ""),
    ):
        done = run("-m", "flask", "--app", "shop", *arguments, cwd=flask_shop, database_url=postgres_url)
        assert (done.returncode, done.stdout) == (0, output), done.stderr


def test_the_load_script_sets_up_an_empty_database_and_writes_five_percent(
    flask_shop: Path, postgres_url: str
) -> None:
    done = run("load.py", "200", cwd=flask_shop, database_url=postgres_url)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[1:-1]]
    counts = {words[0]: int(words[1]) for words in lines}
    assert sum(counts.values()) == 200
    assert 1 <= sum(counts.get(kind, 0) for kind in ("order", "change_product", "change_user")) <= 20


def test_the_load_is_the_same_for_the_same_seed(flask_shop: Path, postgres_url: str) -> None:
    def kinds(seed: str) -> set[tuple[str, str]]:
        done = run("load.py", "60", "--seed", seed, cwd=flask_shop, database_url=postgres_url)
        assert done.returncode == 0, done.stdout + done.stderr
        return {(line.split()[0], line.split()[1]) for line in done.stdout.splitlines()[1:-1]}

    assert kinds("1") == kinds("1") != kinds("2")


@pytest.mark.parametrize("url", [None, "postgresql://127.0.0.1:1/shop"])
def test_the_load_script_says_in_one_line_which_database_it_lacks(
    flask_shop: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.setenv("DATABASE_URL", url or "")
    if url is None:
        monkeypatch.delenv("DATABASE_URL")
    done = subprocess.run(
        [sys.executable, "load.py", "1"], cwd=flask_shop, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("load.py: error: ")
    assert "database" in done.stderr.lower()


def test_the_shops_tests_refuse_a_database_that_is_not_for_tests(
    flask_shop: Path, postgres_server: PostgresServer
) -> None:
    done = run("-m", "pytest", "-q", cwd=flask_shop, database_url=postgres_server.url("postgres"))
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stdout + done.stderr


def test_the_copy_is_a_clean_git_repository(flask_shop: Path) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=flask_shop, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
    assert (flask_shop / "shop" / "models.py").exists()
