"""`profile --redis` on a real Redis."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest
import redis

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile.measurements import load_sources

READ = load_sources()["redis"].read


@pytest.fixture
def filled(redis_url):
    """1,000 expiring product pages, 200 sessions that never expire, a big key, a key with an address in it."""
    with redis.Redis.from_url(redis_url) as client:
        pipe = client.pipeline()
        for number in range(1000):
            pipe.set(f"shop:product:{number}", "x" * 100, ex=300)
        for number in range(200):
            pipe.set(f"session:{number:032x}", "s")
        pipe.set("report:all", "x" * 3_000_000)
        pipe.set("user:jane@example.org", "{}")
        pipe.execute()
    return redis_url


def by_name(found, kind):
    return {o.name: o for o in found.observations if o.kind == kind}


def test_keys_are_grouped_by_prefix_with_memory_idle_time_and_expiry(filled, evidence_of_shop):
    found = READ(filled, evidence_of_shop)
    prefixes = by_name(found, "prefix")
    product = prefixes["shop:product:*"].figures
    assert product["keys"].value == 1000
    assert 100_000 < product["memory_bytes"].value < 400_000
    assert product["without_expiry_share"].value == 0
    assert product["idle_seconds_p50"].value < 60
    assert prefixes["session:*"].figures["without_expiry_share"].value == 1
    assert "200 of 200 sampled keys never expire" in prefixes["session:*"].notes
    assert by_name(found, "key")["report:all"].figures["size_bytes"].value > 3_000_000
    (server,) = by_name(found, "server").values()
    assert server.figures["keys"].value == 1202
    assert any("no maxmemory" in note for note in server.notes)
    assert "jane" not in repr(found)
    assert found.notes == ()


def test_neither_keys_nor_a_command_that_touches_is_used(filled, evidence_of_shop):
    with redis.Redis.from_url(filled) as client:
        client.config_resetstat()
        READ(filled, evidence_of_shop)
        used = {name.removeprefix("cmdstat_").upper() for name in client.info("commandstats")}
    assert not used & {"KEYS", "GET", "TYPE", "MONITOR", "SET", "EVAL"}
    assert {"SCAN", "MEMORY|USAGE", "OBJECT|IDLETIME"} <= used or {"SCAN", "MEMORY", "OBJECT"} <= used


def test_a_user_who_may_not_do_everything_gets_the_rest(filled, evidence_of_shop):
    with redis.Redis.from_url(filled) as client:
        client.execute_command(
            "ACL SETUSER guest on >word ~* -@all +ping +scan +dbsize +pttl +client +hello +select +memory"
        )
    try:
        found = READ(filled.replace("//", "//guest:word@"), evidence_of_shop)
        assert {"INFO", "OBJECT IDLETIME"} <= {
            note.split("may not use ")[1].split(";")[0] for note in found.notes if "may not use" in note
        }
        assert any("ACL SETUSER NAME +info" in note for note in found.notes)
        assert by_name(found, "prefix")["shop:product:*"].figures["keys"].value == 1000
        assert "idle_seconds_p50" not in by_name(found, "prefix")["shop:product:*"].figures
        with pytest.raises(CacheStrategyError, match="password is wrong") as caught:
            READ(filled.replace("//", "//guest:s3cr3t@"), evidence_of_shop)
        assert "s3cr3t" not in str(caught.value)
    finally:
        with redis.Redis.from_url(filled) as client:
            client.execute_command("ACL DELUSER guest")


@pytest.mark.parametrize(
    ("address", "said"), [("redis://127.0.0.1:1/0", "no Redis answers there"), ("shop", "is no address")]
)
def test_a_wrong_address_is_one_line(evidence_of_shop, address, said):
    with pytest.raises(CacheStrategyError, match=said) as caught:
        READ(address, evidence_of_shop)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:1/0?password=s3cr3tw0rd",
        "redis://127.0.0.1:1/0?db=0&password=s3cr3t@w0rd",
        "redis://me:s3cr3t@w0rd@127.0.0.1:1/0",
        "redis://:s3cr3t/w0rd@127.0.0.1:1/0",
        "redis://:17117/s3cr3t@127.0.0.1:1/0",
        "redis://:17117?s3cr3t@127.0.0.1:1/0",
        "redis://:17117#s3cr3t@127.0.0.1:1/0",
        "redis://:s3cr3t",
        "shop:s3cr3t@w0rd",
    ],
)
@pytest.mark.parametrize("monitor", ["", "#monitor=1.0"])
def test_no_part_of_a_password_is_said(evidence_of_shop, address, monitor):
    with pytest.raises(CacheStrategyError, match="write redis://HOST:PORT/0") as caught:
        READ(address + monitor, evidence_of_shop)
    assert not re.search("s3cr3t|w0rd|17117", str(caught.value)), str(caught.value)


def test_the_verb_says_no_part_of_a_password(flask_shop, cache_strategy):
    for address in ("redis://127.0.0.1:1/0?password=s3cr3tw0rd", "redis://me:s3cr3t@w0rd@127.0.0.1:1/0"):
        done = cache_strategy("profile", flask_shop, "--redis", address)
        assert done.returncode != 0 and "--redis redis://127.0.0.1:1/0: no Redis answers" in done.stderr
        assert not re.search("s3cr3t|w0rd", done.stdout + done.stderr)


def test_hits_by_prefix_are_seen_by_a_bounded_monitor(filled, evidence_of_shop):
    stop = threading.Event()

    def ask():
        with redis.Redis.from_url(filled) as client:
            number = 0
            while not stop.is_set():
                client.get(f"shop:product:{number % 9}")
                if number % 4 == 0:  # a miss: what was read is computed and written
                    client.get(f"shop:cart:{number}")
                    client.set(f"shop:cart:{number}", "x", ex=60)
                number += 1
                time.sleep(0.002)

    thread = threading.Thread(target=ask)
    thread.start()
    began = time.monotonic()
    try:
        found = READ(f"{filled}#monitor=1", evidence_of_shop)
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - began < 5
    prefixes = by_name(found, "prefix")
    assert prefixes["shop:product:*"].figures["hit_rate"].value > 0.95
    assert prefixes["shop:cart:*"].figures["hit_rate"].value < 0.1
    assert prefixes["shop:product:*"].figures["hit_rate"].source == "derived"


def test_monitor_says_what_to_worry_about(redis_url, cache_strategy):
    with redis.Redis.from_url(redis_url) as client:
        client.set("a:1", "x")
    done = cache_strategy("monitor", "--redis", redis_url, "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert any("no maxmemory" in worry for worry in said["worries"])
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "100mb")
        client.set("a:1", "x", ex=60)
        try:
            calm = cache_strategy("monitor", "--redis", redis_url)
        finally:
            client.config_set("maxmemory", "0")
    assert calm.returncode == 0, calm.stdout + calm.stderr
    assert "a:*" in calm.stdout
