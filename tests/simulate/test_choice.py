"""The knee, the memory, and what a value takes where it is kept."""

import random
import sys
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import redis

from cache_strategy.cli.foretold import RUNTIME_KEPT
from cache_strategy.emit import runtime_source
from cache_strategy.model.forecast import ForecastRow
from cache_strategy.simulate.choice import choose_memory, choose_ttl, ttls_for
from cache_strategy.simulate.outcome import Grid
from cache_strategy.simulate.replay import parts_of_ttls, requests_of
from cache_strategy.simulate.storage import Storage, held, resident

DAY = 86_400


def row(ttl: int | None, hit_rate: float, capacity: int | None = None, policy: str = "lru") -> ForecastRow:
    return ForecastRow(
        group="e",
        ttl_seconds=ttl,
        capacity_bytes=capacity,
        policy=policy,
        requests=1000,
        keys=10,
        hit_rate=hit_rate,
        stale_rate=None,
        origin_requests=0,
        memory_bytes=None,
        error=None,
    )


CURVE = [row(10, 0.2), row(60, 0.7), row(300, 0.795), row(3600, 0.8), row(DAY, 0.95)]


@pytest.mark.parametrize(
    ("longest", "seconds", "chosen", "said"),
    [
        (3600, DAY, 300, "79.5% of 1,000 requests are hits with 300 s, 80.0% with 3,600 s"),
        (60, DAY, 60, "longer is not allowed (its bound)"),
        (DAY, DAY, 300, "300 s"),  # the day itself cannot be seen in a day
        (DAY, 1000, None, ""),  # the curve still rises where the trace ends
        (10, DAY, None, ""),
    ],
)
def test_the_knee_is_the_shortest_life_that_costs_hardly_a_hit(longest, seconds, chosen, said):
    choice = choose_ttl("e", CURVE, longest, seconds, bounded=True)
    assert (choice.ttl_seconds if choice else None) == chosen
    assert said in (choice.because if choice else "")


def test_a_curve_has_the_usual_times_to_live_and_the_entrys_own():
    assert ttls_for(120, 45, 300) == (1, 2, 5, 10, 30, 45, 60, 120, 300)


def test_memory_is_the_least_that_keeps_the_hits_and_the_policy_the_one_that_does():
    rows = [row(None, 0.8), row(None, 0.5, 100, "redis_lru"), row(None, 0.6, 100, "redis_lfu")]
    rows += [
        row(None, 0.77, 200, "redis_lru"),
        row(None, 0.795, 200, "redis_lfu"),
        row(None, 0.8, 400, "redis_lru"),
    ]
    choice = choose_memory(rows, 400)
    assert choice is not None
    assert (choice.maxmemory_bytes, choice.policy) == (250, "allkeys-lfu")
    assert choose_memory([], 0) is None


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    (tmp_path / "emitted_cache.py").write_text(runtime_source())
    spec = spec_from_file_location("emitted_cache", tmp_path / "emitted_cache.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "emitted_cache", module)
    spec.loader.exec_module(module)
    return module


def test_the_forecast_knows_how_long_the_emitted_cache_keeps_a_value(runtime, redis_url):
    entry = runtime.Cache(redis_url, "kept").entry("e", ttl_seconds=100)
    random.seed(1)
    soft = [entry._life_us(None, 0.001)[0] for _ in range(4000)]
    assert np.mean(soft) / 100e6 == pytest.approx(RUNTIME_KEPT, abs=0.001)


def test_what_redis_holds_is_what_it_says_it_holds(runtime, redis_url):
    client = redis.Redis.from_url(redis_url)
    cache = runtime.Cache(redis_url, "shop", budget_ms=10_000)
    entry = cache.entry("product", ttl_seconds=1000, depends_on=["products:{key}"], layers=["redis"])
    read = entry(lambda key: "x" * (50 + 7 * key % 3000))
    before = client.info("memory")["used_memory"]
    for key in range(3000):
        read(key)
    used = client.info("memory")["used_memory"] - before
    storage = Storage(
        name_bytes=len("shop:e:product/1/s3:keyi1234;"), rows=1, tags=5, ttl_s=1000, version_s=2000
    )
    keys = np.arange(3000)
    foretold = storage.record_bytes(52 + 7 * keys % 3000).sum() + 3000 * storage.versions_bytes()
    assert foretold == pytest.approx(used, rel=0.15)


def test_what_has_expired_stays_until_it_is_found():
    requests = requests_of(
        np.arange(4000) / 10, np.arange(4000), np.full(4000, 100), None, None, None, Grid.over(0, 600)
    )
    storage = Storage(name_bytes=20, rows=0, tags=3, ttl_s=20, version_s=40)
    ((_, missed),) = parts_of_ttls(requests, [20])
    found = held(requests, missed, storage)
    over_time = resident(found, requests.grid)
    assert (over_time >= found[1] - 1).all()
    assert found[1].max() < over_time.max() < 1.6 * found[1].max()
    assert over_time[-1] < 0.3 * over_time.max(), "nothing was asked for in the last two minutes"
