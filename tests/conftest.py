"""
What tests share: real servers, the example application, the command line.

Every server belongs to one pytest process and starts when a test first asks for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from git_repository import commit_all
from servers import PostgresServer, RedisServer

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# Settings of the person who runs the tests must not reach the processes that tests start.
FOREIGN_SETTINGS = (
    "CACHE_MODE",
    "CACHE_NAMESPACE",
    "CACHE_BUDGET_MS",
    "DATABASE_URL",
    "REDIS_URL",
    "FLASK_APP",
    "FLASK_DEBUG",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden files with what the code gives now; review the difference before committing",
    )


@pytest.fixture(autouse=True, scope="session")
def _no_foreign_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in FOREIGN_SETTINGS:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this run; a test may kill or pause it, `redis_url` gives it back whole."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """`redis://127.0.0.1:PORT/0`, running and empty."""
    redis_server.start()
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this run."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """`postgresql://…`: a new, empty database, dropped after the test whoever is still connected."""
    database = postgres_server.create_database()
    yield postgres_server.url(database)
    postgres_server.drop_database(database)


@pytest.fixture
def sqlalchemy_url(postgres_url: str) -> str:
    """The same database for SQLAlchemy with psycopg 3: `postgresql+psycopg://…`."""
    return postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def flask_shop(tmp_path: Path) -> Path:
    """A copy of the example application, the one commit of a new git repository."""
    repository = tmp_path / "flask_shop"
    junk = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache", ".cache-strategy", "expected")
    shutil.copytree(TESTS / "apps" / "flask_shop", repository, ignore=junk)
    commit_all(repository)
    return repository


# A job that a shell starts in the background ignores Ctrl-C, and so would every process that these tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CacheStrategy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cache_strategy() -> CacheStrategy:
    """
    `cache_strategy("plan", path, "--json", cwd=…, env=…, timeout=…)`: the command line in a process.

    Nothing is raised for an exit code; `stdout` and `stderr` are text. Values in `env` are added to the
    environment of the tests.
    """

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cache_strategy", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


CheckGolden = Callable[[str, Path], None]


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> CheckGolden:
    """`check_golden(text, path)`: the text equals the file; with --update-golden the file is written."""

    def check(text: str, path: Path) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"{path.relative_to(ROOT)} is missing. Write it: pytest --update-golden"
        assert text == path.read_text(encoding="utf-8"), f"{path.relative_to(ROOT)} differs"

    return check
