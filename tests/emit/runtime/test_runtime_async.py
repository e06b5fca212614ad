"""The flavour for coroutines, made from the same text; and what both hear of other processes."""

import asyncio
import datetime
import importlib.util
import subprocess
import sys
import time

import pytest
from runtime_scene import Origin, eventually

from cache_strategy.emit import runtime_source


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def module_file(request, tmp_path):
    file = tmp_path / "caching.py"
    file.write_text(runtime_source(request.param))
    return file


@pytest.fixture(scope="module")
def coroutines(tmp_path_factory):
    file = tmp_path_factory.mktemp("async") / "async_caching.py"
    file.write_text(runtime_source(is_async=True))
    spec = importlib.util.spec_from_file_location("async_caching", file)
    sys.modules["async_caching"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tasks(coroutines, redis_url):
    return coroutines.Cache(redis_url, "shop", budget_ms=5000)


def test_the_module_alone_is_typed_clean_and_as_linters_want_it(module_file):
    for command in (["mypy", "--strict"], ["ruff", "check", "--isolated", "--select", "E4,E7,E9,F,I,B,W"]):
        done = subprocess.run([sys.executable, "-m", *command, module_file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_sixty_four_tasks_compute_once_and_each_gets_its_own(tasks):
    calls = []

    @tasks.entry("e", ttl_seconds=60)
    async def slow(key):
        calls.append(key)
        await asyncio.sleep(0.1)
        return {"key": [key]}

    async def everybody():
        return await asyncio.gather(*(slow(7) for _ in range(64)))

    values = asyncio.run(everybody())
    assert values == [{"key": [7]}] * 64
    assert len({id(value) for value in values}) == 64
    assert asyncio.run(slow(7)) == {"key": [7]}  # in another loop
    assert calls == [7]


def test_a_task_that_stores_after_the_invalidation_does_not_make_it_fresh(tasks):
    entry, row = tasks.entry("user", ttl_seconds=60, depends_on=("users",)), "old"

    async def slow_read():
        nonlocal row
        seen, row = row, "new"
        await tasks.invalidate("users")
        return seen

    async def read():
        return row

    async def both():
        return [await entry.get_or_compute({}, compute) for compute in (slow_read, read)]

    assert asyncio.run(both()) == ["old", "new"]


def test_plain_functions_are_not_for_tasks_nor_coroutines_for_threads(tasks, cache):
    with pytest.raises(TypeError, match="plain; this cache is for async"):
        tasks.entry("e", ttl_seconds=60)(len)


def test_a_task_that_is_cancelled_holds_up_nobody(tasks):
    entry = tasks.entry("e", ttl_seconds=60)

    async def compute():
        await asyncio.sleep(30)

    async def quick():
        return "value"

    async def cancel():
        task = asyncio.create_task(entry.get_or_compute({}, compute))
        await asyncio.sleep(0.05)
        task.cancel()
        return await entry.get_or_compute({}, quick)

    assert asyncio.run(cancel()) == "value"


def test_tasks_go_on_without_redis(coroutines):
    cache = coroutines.Cache("redis://127.0.0.1:1/0", "shop")
    entry, calls = cache.entry("e", ttl_seconds=60), []

    async def compute():
        calls.append(1)
        return len(calls)

    async def twice():
        await cache.invalidate("users")
        return [await entry.get_or_compute({}, compute) for _ in range(2)]

    assert asyncio.run(twice()) == [1, 2]
    assert cache.state()["undelivered"] == 2
    cache.close()


def test_tasks_have_every_form_too(tasks):
    options = {"errors": (LookupError,), "layers": ("request", "redis"), "depends_on": ("users",)}
    entry, calls = tasks.entry("e", ttl_seconds=60, **options), []

    async def fails():
        calls.append("failed")
        raise LookupError(7)

    async def forms():
        seen = []
        for _ in range(2):
            async with entry.open(id=1) as found:
                seen.append(found.is_missing)
                if found.is_missing:
                    found.value = datetime.date(2024, 1, 1)
            with pytest.raises(LookupError):
                await entry.get_or_compute({"id": 2}, fails)
        with tasks.request():
            for _ in range(2):
                async with entry.open(id=1) as found:
                    seen.append(found.value)
            await tasks.invalidate("users")
            async with entry.open(id=1) as found:
                seen.append(found.is_missing)
        return seen

    assert asyncio.run(forms()) == [True, False, *[datetime.date(2024, 1, 1)] * 2, True]
    assert calls == ["failed"]


# What is heard of others.


def windowed(cache):
    return cache.entry("e", ttl_seconds=60, depends_on=("users:{user}",), window_seconds=30)


@pytest.fixture
def hearing(make_cache):
    """A cache that hears others, with an entry of a long window."""
    cache = make_cache()
    entry = windowed(cache)
    entry.get_or_compute({"user": 1}, Origin("old")), entry.get_or_compute({"user": 1}, Origin("old"))
    eventually(lambda: cache.link._heard_at)
    entry.get_or_compute({"user": 1}, Origin("old"))
    yield cache
    cache.close()


def test_an_announced_change_ends_the_trust_in_what_it_names_at_once(hearing, make_cache):
    (entry,) = hearing.entries.values()
    writer, origin = make_cache(), Origin("new")
    writer.invalidate(("users", 2))
    time.sleep(0.1)
    assert entry.get_or_compute({"user": 1}, origin) == "old"
    started = time.monotonic()
    writer.invalidate(("users", 1))
    eventually(lambda: entry.get_or_compute({"user": 1}, origin) == "new")
    assert time.monotonic() - started < 1  # and not its 30 s


def test_while_announcements_are_heard_a_hit_asks_nobody(hearing, redis):
    (entry,) = hearing.entries.values()
    before = redis.info("commandstats")["cmdstat_mget"]["calls"]
    for _ in range(100):
        entry.get_or_compute({"user": 1}, Origin("not asked"))
    assert redis.info("commandstats")["cmdstat_mget"]["calls"] == before


def test_without_the_connection_for_announcements_the_window_holds(make_cache, clock):
    cache, writer = make_cache(clock=clock), make_cache()
    entry = windowed(cache)
    entry.get_or_compute({"user": 1}, Origin("old")), entry.get_or_compute({"user": 1}, Origin("old"))
    eventually(lambda: cache.link._heard_at)
    cache.close()
    eventually(lambda: not cache.link._ear.is_alive())
    writer.invalidate(("users", 1))
    assert entry.get_or_compute({"user": 1}, Origin("new")) == "old"
    clock.pass_seconds(30)
    assert entry.get_or_compute({"user": 1}, Origin("new")) == "new"


def test_a_decorated_function_is_served_from_memory_until_somebody_writes(make_cache):
    cache, writer, origin = make_cache(), make_cache(), Origin("a")
    cached = windowed(cache)(lambda user: {"tags": [origin()]})
    for _ in range(5):
        cached(1)["tags"].append("changed by its caller")
    assert (cached(1), cached("1"), origin.calls) == ({"tags": ["a"]}, {"tags": ["a"]}, 2)
    writer.invalidate(("users", 1))
    eventually(lambda: cached(1) and origin.calls > 2)
    cache.close()
