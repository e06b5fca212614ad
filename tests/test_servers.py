"""The test servers: real, alone, and gone with the process that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import servers

PROGRAM = Path(servers.__file__)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))


@pytest.fixture(params=["machine", "wheels"])
def origin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CACHE_STRATEGY_SERVERS", request.param)
    return str(request.param)


@pytest.fixture
def own_redis(origin: str) -> Iterator[servers.RedisServer]:
    server = servers.RedisServer()
    yield server
    server.stop()


def test_redis_can_be_killed_paused_and_started_on_the_same_port(own_redis: servers.RedisServer) -> None:
    connection = client(own_redis.url)
    connection.set("name", "value")
    own_redis.pause()
    with pytest.raises(redis.TimeoutError):
        connection.get("name")
    own_redis.resume()
    assert connection.get("name") == b"value"
    own_redis.kill()
    with pytest.raises(redis.ConnectionError):
        connection.get("name")
    own_redis.start()
    assert connection.get("name") is None


def test_redis_can_be_emptied(own_redis: servers.RedisServer) -> None:
    connection = client(own_redis.url)
    connection.set("name", "value")
    own_redis.flush()
    assert connection.dbsize() == 0


def test_postgres_gives_new_databases_and_drops_them_while_someone_is_connected(origin: str) -> None:
    server = servers.PostgresServer()
    try:
        name = server.create_database()
        with psycopg.connect(server.url(name)) as connection:
            connection.execute("CREATE TABLE things (id int)")
            connection.commit()
            assert server.create_database() != name
            server.drop_database(name)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url(name))
    finally:
        server.stop()


def test_the_command_gets_both_urls_and_its_exit_code_is_passed_on() -> None:
    command = "import os; print(os.environ['REDIS_URL'], os.environ['DATABASE_URL']); raise SystemExit(7)"
    done = subprocess.run(
        [sys.executable, PROGRAM, "--", sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    redis_url, database_url = done.stdout.split()
    assert redis_url.startswith("redis://127.0.0.1:")
    assert database_url.startswith("postgresql://postgres@127.0.0.1:")


@pytest.mark.parametrize("arguments", [[], ["sleep", "1"], ["--"]])
def test_a_wrong_command_line_is_explained(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage:")


def test_the_servers_end_when_the_process_that_started_them_is_killed() -> None:
    program = (
        "import sys, servers; r = servers.RedisServer(); p = servers.PostgresServer(); r.pause();"
        "print(r.port, p.port, flush=True); sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        ports = [int(word) for word in starter.stdout.readline().split()]
        connections = [socket.create_connection(("127.0.0.1", port), timeout=30) for port in ports]
        starter.send_signal(signal.SIGKILL)
        # an ended server closes or resets its connections, PostgreSQL after a last word; a living one would leave the
        # read waiting
        for connection in connections:
            with connection, contextlib.suppress(ConnectionResetError):
                while connection.recv(1024):
                    pass
