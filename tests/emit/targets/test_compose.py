"""The emitted compose file: the Redis it describes is started as it says, and asked for its settings."""

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from web_origin import NO_EVIDENCE, contract_with

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import compose as target
from cache_strategy.model.contract import Entry, Redis
from servers import free_port, redis_binary

ENTRY = Entry(
    id="e", target="shop/a.py:f", kind="function", layers=("redis",), key=(), ttl_seconds=60, depends_on=(),
    invalidated_by=(), because=(),
)  # fmt: skip


def emitted(settings: Redis, repo: Path) -> str:
    draft = Draft(repo)
    contract = dataclasses.replace(contract_with(redis=settings), entries=(ENTRY,))
    target.emit(contract, NO_EVIDENCE, draft)
    (change,) = draft.changes()
    assert change.path == target.PATH
    return change.after


def service_of(settings: Redis, repo: Path) -> dict[str, Any]:
    (service,) = yaml.safe_load(emitted(settings, repo))["services"].values()
    assert isinstance(service, dict)
    return service


@pytest.fixture(params=[(256, "allkeys-lru"), (64, "allkeys-lfu")], ids=lambda p: f"{p[0]} MB, {p[1]}")
def settings(request: pytest.FixtureRequest) -> Redis:
    size, policy = request.param
    return Redis(maxmemory_mb=size, policy=policy)


@pytest.fixture
def client(settings: Redis, tmp_path: Path) -> Iterator["redis.Redis"]:
    """Of a Redis started with the command of the service, on a port and in a folder of the test."""
    program, *arguments = service_of(settings, tmp_path)["command"]
    assert program == "redis-server"
    port = free_port()
    process = subprocess.Popen(
        [redis_binary(), *arguments, "--port", str(port), "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(port=port, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 200))
    try:
        client.ping()
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def test_redis_takes_the_command_as_it_stands(client, settings, tmp_path):
    wanted = {"maxmemory": str(settings.maxmemory_mb * 1024 * 1024), "maxmemory-policy": settings.policy}
    wanted.update(save="", appendonly="no")
    assert {name: client.config_get(name)[name] for name in wanted} == wanted
    client.set("a", "b")
    client.shutdown()
    assert [file.name for file in tmp_path.iterdir() if file.suffix in (".rdb", ".aof")] == []


def test_redis_is_reachable_from_this_machine_only(tmp_path):
    service = service_of(Redis(), tmp_path)
    assert [port.rpartition(":")[0] for port in service["ports"]] == ["127.0.0.1:6379"]
    assert service["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_the_file_says_which_variable_names_the_redis(tmp_path):
    text = emitted(Redis(url_env="SHOP_CACHE_URL"), tmp_path)
    assert "SHOP_CACHE_URL=redis://cache-redis:6379/0" in text


def test_a_contract_without_entries_gets_no_redis(tmp_path):
    draft = Draft(tmp_path)
    target.emit(contract_with(), NO_EVIDENCE, draft)
    assert draft.changes() == ()
