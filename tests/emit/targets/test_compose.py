"""The emitted compose file: the Redis it describes is started as it says, and asked for its settings."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

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


def test_redis_takes_the_command_as_it_stands(tmp_path):
    program, *arguments = service_of(Redis(maxmemory_mb=64, policy="allkeys-lfu"), tmp_path)["command"]
    assert program == "redis-server"
    port = free_port()
    command = [redis_binary(), *arguments, "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 200))
        wanted = {
            "maxmemory": str(64 * 2**20),
            "maxmemory-policy": "allkeys-lfu",
            "save": "",
            "appendonly": "no",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    finally:
        process.terminate()
        process.wait(20)


def test_redis_is_reachable_from_this_machine_only_under_the_variable_of_the_contract(tmp_path):
    settings = Redis(url_env="SHOP_CACHE_URL")
    service = service_of(settings, tmp_path)
    assert [port.rpartition(":")[0] for port in service["ports"]] == ["127.0.0.1:6379"]
    assert service["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert "SHOP_CACHE_URL=redis://cache-redis:6379/0" in emitted(settings, tmp_path)


def test_a_contract_without_entries_gets_no_redis(tmp_path):
    draft = Draft(tmp_path)
    target.emit(contract_with(), NO_EVIDENCE, draft)
    assert draft.changes() == ()
