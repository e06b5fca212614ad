"""The whole line on the Django and the FastAPI application: run, emit, own tests with the caches on, the proof, its refutation."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from git_repository import commit_all

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Line:
    """
    What is special about an application: the command of its tests, the files of it that the patch edits, where the caches
    lie, and which test tells that the invalidation by a table is gone from an entry.
    """

    name: str
    command: tuple[str, ...]
    edited: frozenset[str]
    caches: str
    tests: str
    table: str
    entry: str


LINES = [
    Line(
        "django_press",
        (sys.executable, "manage.py", "test"),
        frozenset(
            "articles/views.py articles/api/views.py people/views.py press/settings.py press/urls.py requirements.txt".split()
        ),
        "articles/caching",
        "articles.tests.test_pages.PagesTest.test_a_comment_by_its_address",
        "articles_comment",
        "comment-detail",
    ),
    Line(
        "fastapi_rooms",
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        frozenset("rooms/main.py rooms/routes/reports.py rooms/routes/rooms.py requirements.txt".split()),
        "rooms/caching",
        "tests/test_rooms.py",
        "bookings",
        "show-bookings",
    ),
]


def files_of(repository: Path) -> dict[str, bytes]:
    left_out = {".git", ".cache-strategy", "__pycache__"}
    paths = (path for path in repository.rglob("*") if path.is_file() and not left_out & set(path.parts))
    return {path.relative_to(repository).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(params=LINES, ids=lambda line: line.name)
def line(request):
    return request.param


@pytest.fixture
def repository(line, tmp_path, cache_strategy):
    """A copy of the application with the contract that was made for it."""
    copy = tmp_path / line.name
    shutil.copytree(
        TESTS / "apps" / line.name, copy, ignore=shutil.ignore_patterns("__pycache__", ".cache-strategy")
    )
    commit_all(copy)
    assert cache_strategy("run", copy).returncode == 0
    return copy


@pytest.fixture
def servers(redis_url, postgres_url):
    return {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url}


def test_the_patch_is_small_whole_stable_and_can_be_taken_back(line, repository, cache_strategy):
    before = files_of(repository)
    done = cache_strategy("emit", repository, "--apply")
    assert "left out" not in done.stderr, done.stderr
    after = files_of(repository)
    assert {name for name in before if after[name] != before[name]} == line.edited
    options = ("--isolated", "--no-cache", "--line-length", "110", "--target-version", "py38")
    options += ("--extend-exclude", "async_runtime.py")  # the parts of the runtime, joined
    for check in (("format", "--check"), ("check", "--select", "E,F,I", "--ignore", "E501")):
        command = (sys.executable, "-m", "ruff", *check, *options, line.caches)
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    assert "Nothing to change" in cache_strategy("emit", repository, "--apply").stderr
    assert cache_strategy("emit", repository, "--revert").returncode == 0
    assert files_of(repository) == before


def test_the_proof_holds_and_falls_with_one_generated_invalidation(line, repository, cache_strategy, servers):
    assert cache_strategy("emit", repository, "--apply").returncode == 0

    def prove(*tests: str) -> dict[str, dict]:
        done = cache_strategy(
            "verify", "--repo", repository, "--json", "--", *line.command, *tests, env=servers, cwd=repository
        )
        verdict = json.loads(done.stdout)
        assert all(run["exit_code"] == 0 or run["mode"] != "off" for run in verdict["runs"]), verdict["notes"]
        return {entry["id"]: entry for entry in verdict["entries"]}

    entries = prove()
    assert {entry["verdict"] for entry in entries.values()} == {"proven"}, entries
    assert max(entry["hits"] for entry in entries.values()) > 40

    file = repository / line.caches / "entries.py"
    file.write_text(file.read_text().replace(f'        "{line.table}": "id",\n', ""))
    entry = prove(line.tests)[line.entry]
    assert entry["verdict"] == "refuted"
    assert any(line.table in mismatch["write"] and mismatch["writer"] for mismatch in entry["mismatches"])


def test_its_own_tests_pass_without_redis_too(line, repository, cache_strategy, servers):
    assert cache_strategy("emit", repository, "--apply").returncode == 0
    for tests in repository.rglob("test_caches.py"):
        tests.unlink()
    environment = {**os.environ, "DATABASE_URL": servers["DATABASE_URL"]}
    done = subprocess.run(line.command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
