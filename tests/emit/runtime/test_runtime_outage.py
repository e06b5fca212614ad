"""Redis may be killed, paused, full, read-only, restarted: the application answers, in time, and is never wrong after."""

import contextlib
import socket
import sys
import threading
import time

import pytest
from runtime_scene import Origin, eventually, in_threads

BUDGET_MS = 200
KEY = {"product_id": 1}


@pytest.fixture
def cache(make_cache):
    return make_cache(budget_ms=BUDGET_MS)


@pytest.fixture
def make_entry():
    return lambda cache: cache.entry("page", ttl_seconds=60, depends_on=("products:{product_id}",))


@pytest.fixture
def entry(cache, make_entry):
    return make_entry(cache)


@pytest.fixture
def server(redis_server, redis_url):
    yield redis_server
    redis_server.start()
    redis_server.resume()
    for setting in (("REPLICAOF", "NO", "ONE"), ("CONFIG", "SET", "maxmemory", "0")):
        redis_server.command(*setting)


@contextlib.contextmanager
def within_the_budget():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < BUDGET_MS / 1000 + 0.5  # one budget; the rest is for a loaded machine


TROUBLE = pytest.mark.parametrize("trouble", ["kill", "pause"])


@TROUBLE
def test_a_request_waits_for_redis_once_and_threads_wait_side_by_side(server, entry, trouble):
    origin = Origin()
    entry.get_or_compute(KEY, origin)
    getattr(server, trouble)()
    with within_the_budget():
        in_threads(8, lambda: entry.get_or_compute({"product_id": threading.get_ident()}, origin))
        for number in range(50):
            assert entry.get_or_compute({"product_id": number}, origin) == "first"
            entry.cache.invalidate(("products", number))
    assert origin.calls == 59


@TROUBLE
def test_what_is_invalidated_while_redis_is_away_is_not_served_when_it_is_back(
    server, entry, other_processes, redis, trouble
):
    cache, origin = entry.cache, Origin("old")
    redis.set("origin", "old")
    other = other_processes()
    assert [entry.get_or_compute(KEY, origin), other.ask(do="read")] == ["old", "old"]
    getattr(server, trouble)()
    origin.value = "new"
    cache.invalidate(("products", 1))
    assert (cache.state()["undelivered"], cache.state()["redis_up"]) == (2, 0)
    assert entry.get_or_compute(KEY, origin) == "new"
    server.start()
    redis.set("origin", "new")
    eventually(lambda: cache.state()["undelivered"] == 0 and cache.state()["redis_up"])
    assert entry.get_or_compute(KEY, origin) == "new"
    assert other.ask(do="read") == "new"
    calls = origin.calls
    entry.get_or_compute(KEY, origin)
    assert origin.calls == calls


def restart(server):
    server.kill()
    server.start()


@pytest.mark.parametrize(
    ("happens", "calls"),
    [
        (restart, 2),
        (lambda server: server.command("CLIENT", "KILL", "TYPE", "normal"), 1),
        (lambda server: server.command("SCRIPT", "FLUSH"), 1),
    ],
    ids=["a restart", "a closed connection", "forgotten scripts"],
)
def test_what_happens_unnoticed_between_two_requests_costs_nothing(server, entry, happens, calls):
    origin = Origin()
    entry.get_or_compute(KEY, origin)
    happens(server)
    entry.get_or_compute(KEY, origin), entry.get_or_compute(KEY, origin)
    assert origin.calls == calls
    entry.cache.invalidate("products")
    assert entry.cache.state()["undelivered"] == 0
    entry.get_or_compute(KEY, origin), entry.get_or_compute(KEY, origin)
    assert (origin.calls, entry.counts["errors"]) == (calls + 1, 0)


def test_a_value_is_stored_and_its_lock_opened_though_the_connection_was_closed(
    server, make_cache, make_entry
):
    """Nobody awaits that answer: a lock that stays would keep others waiting."""

    def compute():
        server.command("CLIENT", "KILL", "TYPE", "normal")
        return "first"

    make_entry(make_cache()).get_or_compute(KEY, compute)
    elsewhere = make_entry(make_cache())
    assert elsewhere.get_or_compute(KEY, Origin("not asked")) == "first"
    assert elsewhere.counts["waits"] == 0


def test_a_server_that_takes_nothing_is_not_asked_to_at_every_call(server, entry, redis, monkeypatch):
    monkeypatch.setattr(sys.modules[type(entry.cache.link).__module__], "REFUSED_SECONDS", 3600)
    server.command("REPLICAOF", "127.0.0.1", "1")
    asked = []
    for number in range(5):
        assert entry.get_or_compute({"product_id": number}, Origin()) == "first"
        asked.append(redis.info("commandstats")["cmdstat_evalsha"]["calls"])
    assert asked == asked[:1] * 5


def test_a_redis_that_comes_back_with_old_data_serves_none_of_it(server, make_cache, make_entry):
    """A snapshot, then an invalidation, then a crash: the versions of the snapshot are those of the old value."""
    reader, writer = make_cache(), make_cache()
    entry, origin = make_entry(reader), Origin("old")
    entry.get_or_compute(KEY, origin)
    server.command("SAVE")
    try:
        origin.value = "new"
        writer.invalidate("products")
        restart(server)
        assert server.command("DBSIZE") != b":0"
        assert entry.get_or_compute(KEY, origin) == "new"
        assert make_entry(make_cache()).get_or_compute(KEY, Origin("not asked")) == "new"
    finally:
        server.flush()
        server.command("SAVE")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "read-only"],
)
def test_a_redis_that_takes_no_writes_loses_no_invalidation(
    server, entry, make_cache, make_entry, begin, end
):
    origin, elsewhere = Origin("old"), make_entry(make_cache())
    entry.get_or_compute(KEY, origin)
    server.command(*begin)
    assert entry.get_or_compute({"product_id": 2}, origin) == "old"
    origin.value = "new"
    entry.cache.invalidate(("products", 1))
    assert entry.get_or_compute(KEY, origin) == "new"
    server.command(*end)
    eventually(lambda: entry.cache.state()["undelivered"] == 0)
    assert [reader.get_or_compute(KEY, origin) for reader in (entry, elsewhere)] == ["new", "new"]


def test_nothing_is_read_while_an_invalidation_is_undelivered(server, entry):
    """Even if the link works again: delivered first, then read."""
    origin = Origin("old")
    entry.get_or_compute(KEY, origin)
    entry.cache.link.undelivered = frozenset({"products:1"})
    origin.value = "new"
    assert entry.get_or_compute(KEY, origin) == "new"
    assert entry.get_or_compute({"product_id": 2}, origin) == "new"
    assert entry.counts["bypasses"] == 1


@pytest.fixture
def slow_url(server):
    """Redis behind a line on which every answer takes 80 ms."""
    line, ended = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def carry(source, target, seconds):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                ended.wait(seconds)
                target.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = line.accept()
                redis = socket.create_connection(("127.0.0.1", server.port))
                for way in ((client, redis, 0.0), (redis, client, 0.08)):
                    threading.Thread(target=carry, args=way, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"redis://127.0.0.1:{line.getsockname()[1]}/0"
    ended.set()
    line.close()


def test_a_redis_that_answers_slowly_costs_a_request_its_budget_once(make_cache, make_entry, slow_url):
    entry, origin = make_entry(make_cache(url=slow_url, budget_ms=BUDGET_MS)), Origin()
    with within_the_budget():
        for number in range(20):
            entry.get_or_compute({"product_id": number}, origin)
    assert origin.calls == 20


def test_a_wrong_address_answers_like_an_outage(make_cache, make_entry):
    cache, origin = make_cache(url="redis://127.0.0.1:1/0"), Origin()
    entry = make_entry(cache)
    cache.invalidate("users")
    assert [entry.get_or_compute(KEY, origin) for _ in range(3)] == ["first"] * 3
    assert cache.state() == {"redis_up": 0, "memory_entries": 0, "memory_bytes": 0, "undelivered": 2}
    assert entry.counts["bypasses"] == 3


def test_an_invalidation_under_way_at_the_end_of_a_process_is_delivered(server, entry, other_processes):
    origin = Origin("old")
    entry.get_or_compute(KEY, origin)
    other = other_processes(BUDGET_MS="200")
    other.ask(do="nothing")
    server.pause()
    other.ask(do="invalidate", product_id=1)
    server.resume()
    other.end()
    origin.value = "new"
    eventually(lambda: entry.get_or_compute(KEY, origin) == "new")


def test_the_environment_may_give_another_budget(server, make_cache, make_entry, monkeypatch):
    monkeypatch.setenv("CACHE_BUDGET_MS", "30000")
    entry, origin = make_entry(make_cache(budget_ms=1)), Origin()
    entry.get_or_compute(KEY, origin)
    server.pause()
    threading.Timer(0.3, server.resume).start()
    entry.get_or_compute(KEY, origin)
    assert origin.calls == 1
