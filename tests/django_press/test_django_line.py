"""The whole line on the Django application: run, emit, its own tests with the caches on, the proof, and its refutation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TESTS, commit_all

TEST = (sys.executable, "manage.py", "test")


def files_of(repository: Path) -> dict[str, bytes]:
    left_out = {".git", ".cache-strategy", "__pycache__"}
    paths = (path for path in repository.rglob("*") if path.is_file() and not left_out & set(path.parts))
    return {path.relative_to(repository).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def press(tmp_path, cache_strategy):
    """A copy of the application with the contract that was made for it."""
    repository = tmp_path / "press"
    junk = shutil.ignore_patterns("__pycache__", "truth.txt", ".cache-strategy")
    shutil.copytree(TESTS / "apps" / "django_press", repository, ignore=junk)
    commit_all(repository)
    assert cache_strategy("run", repository).returncode == 0
    return repository


@pytest.fixture
def servers(redis_url, postgres_url):
    return {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url}


def test_the_patch_is_small_whole_stable_and_can_be_taken_back(press, cache_strategy):
    before = files_of(press)
    done = cache_strategy("emit", press, "--apply")
    assert "left out" not in done.stderr, done.stderr
    after = files_of(press)
    changed = {name for name in before if after[name] != before[name]}
    places = {"articles/views.py", "articles/api/views.py", "people/views.py"}
    assert changed == places | {"press/settings.py", "press/urls.py", "requirements.txt"}
    ruff = (sys.executable, "-m", "ruff")
    options = ("--isolated", "--no-cache", "--line-length", "110", "--target-version", "py38")
    for check in (("format", "--check"), ("check", "--select", "E,F,I", "--ignore", "E501")):
        done = subprocess.run(
            [*ruff, *check, *options, "articles/caching"], cwd=press, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
    assert "Nothing to change" in cache_strategy("emit", press, "--apply").stderr
    assert cache_strategy("emit", press, "--revert").returncode == 0
    assert files_of(press) == before


def test_the_proof_holds_and_falls_with_one_generated_invalidation(press, cache_strategy, servers):
    assert cache_strategy("emit", press, "--apply").returncode == 0

    def prove(*tests: str) -> dict[str, dict]:
        done = cache_strategy(
            "verify", "--repo", press, "--json", "--", *TEST, *tests, env=servers, cwd=press
        )
        verdict = json.loads(done.stdout)
        assert all(run["exit_code"] == 0 or run["mode"] != "off" for run in verdict["runs"]), verdict["notes"]
        return {entry["id"]: entry for entry in verdict["entries"]}

    entries = prove()
    assert {entry["verdict"] for entry in entries.values()} == {"proven"}, entries
    assert entries["article-list"]["hits"] > 50

    file = press / "articles/caching/entries.py"
    whole = file.read_text()
    file.write_text(whole.replace('        "articles_comment": "id",\n', ""))
    entry = prove("articles.tests.test_pages.PagesTest.test_a_comment_by_its_address")["comment-detail"]
    assert entry["verdict"] == "refuted"
    assert any(
        "articles_comment" in m["write"] and "test_pages.py" in m["writer"] for m in entry["mismatches"]
    )


def test_its_own_tests_pass_without_redis_too(press, cache_strategy, servers):
    assert cache_strategy("emit", press, "--apply").returncode == 0
    (press / "articles/caching/test_caches.py").unlink()
    environment = {**os.environ, "DATABASE_URL": servers["DATABASE_URL"]}
    done = subprocess.run(TEST, cwd=press, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
