"""`simulate` against a reference that is too simple to be wrong, and the laws of caches."""

import math
import random

import numpy as np
import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.forecast import ForecastRow
from cache_strategy.model.trace import Access, Trace, Write
from cache_strategy.simulate import simulate
from cache_strategy.simulate.columns import Requests, requests_of
from cache_strategy.simulate.engine import Engine, compiled_engine, plain_engine
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Replay, replay_one, replay_ttls
from simulate.brute_force import POLICIES, Asked, brute_force

GROUP = "GET /a/{id}"


@pytest.fixture(params=["plain", "compiled"])
def engine(request) -> Engine:
    return plain_engine() if request.param == "plain" else compiled_engine()


def requests_in(asked: Asked) -> Requests:
    times, keys, sizes, digests = (np.array(column) for column in zip(*asked.requests, strict=True))
    writes = asked.writes and tuple(np.array(column) for column in zip(*asked.writes, strict=True))
    writes = (np.zeros(0), np.zeros(0)) if asked.writes == [] else writes
    return requests_of(times, keys, sizes, digests, writes)


def figures(done: Replay) -> tuple[float, ...]:
    return (done.hits, done.judged, done.stale, done.aged, done.age_s, done.peak_bytes, done.hit_bytes)


def test_10_000_random_traces_give_what_brute_force_gives(engine):
    chance = random.Random(8)
    policies = load_policies()
    for _ in range(10_000):
        asked = Asked.random(chance)
        requests = requests_in(asked)
        ttl, capacity = chance.choice([math.inf, chance.randint(1, 20)]), chance.randint(1, 14)
        policy, drops = chance.choice(list(POLICIES)), chance.random() < 0.3
        ttls = [ttl, chance.randint(1, 30)]
        done = replay_one(
            requests, ttl=ttl, capacity=capacity, policy=policies[policy], drops=drops, engine=engine
        )
        found = [figures(done), *(figures(row) for row in replay_ttls(requests, ttls, engine))]
        assert found == [
            pytest.approx(brute_force(asked, ttl, capacity, policy, drops)),
            *(pytest.approx(brute_force(asked, life, math.inf, "fifo", False)) for life in ttls),
        ], (asked, ttls, capacity, policy, drops)


def zipf(requests: int, keys: int) -> Requests:
    chance = np.random.default_rng(1)
    weights = 1 / np.arange(1, keys + 1)
    return requests_of(np.arange(requests), chance.choice(keys, requests, p=weights / weights.sum()))


@pytest.mark.parametrize("policy", sorted(load_policies()))
def test_both_engines_agree_on_every_policy(policy):
    asked = zipf(20_000, 2000)
    plain, compiled = (
        replay_one(asked, ttl=5000, capacity=200, policy=load_policies()[policy], engine=engine)
        for engine in (plain_engine(), compiled_engine())
    )
    assert plain == compiled
    assert plain.peak_bytes == 200


def test_redis_is_near_to_what_it_approximates():
    for capacity, requests in ((5, zipf(5000, 40)), (200, zipf(50_000, 2000))):
        exact, lots = (
            replay_one(requests, ttl=math.inf, capacity=capacity, policy=load_policies()[name]).hits
            for name in ("lru", "redis_lru")
        )
        assert 0 < abs(lots - exact) < 0.02 * len(requests.time_s)


def test_a_peak_is_counted_by_the_minute():
    asked = requests_of([0, 59, 60, 61, 62, 130], [0, 1, 0, 2, 3, 0])
    assert replay_ttls(asked, [math.inf])[0].origin_peak == 2
    assert replay_ttls(asked, [1])[0].origin_peak == 3


def read(time_s: float, key: str = "1", *, group: str = GROUP, **more: object) -> Access:
    return Access(time_s=time_s, group=group, key=key, **{"status": 200, **more})


def row(trace: Trace, ttl: int | None = 60, **options: object) -> ForecastRow:
    (found,) = simulate(trace, ttls=[ttl], **options).rows
    return found


def test_every_group_time_to_live_capacity_and_policy_has_a_row():
    trace = Trace(
        accesses=(read(1, size_bytes=5), read(2, group="GET /b", size_bytes=5), read(3, size_bytes=5))
    )
    forecast = simulate(trace, ttls=[60, None], capacities=[None, 100], policies=["lru", "fifo"])
    assert len(forecast.rows) == 2 * 2 * 2 * 2
    assert [r.group for r in forecast.rows[:8]] == [GROUP] * 8
    assert (forecast.requests, forecast.keys) == (3, 2)


def test_writing_requests_and_errors_are_left_out_and_said():
    trace = Trace(
        accesses=(read(1), read(2), read(3, group="POST /a"), read(4, status=500), read(5, status=404))
    )
    forecast = simulate(trace, ttls=[60])
    assert forecast.requests == 5
    assert [(r.requests, r.origin_requests, r.hit_rate) for r in forecast.rows] == [(2, 1, 0.5)]
    assert "3 of 5 requests are left out" in " ".join(forecast.notes)


def test_staleness_without_writes_and_digests_is_unknown_and_not_zero():
    assert row(Trace(accesses=(read(1), read(2)))).stale_rate is None


def test_a_write_to_a_table_of_the_group_makes_later_hits_stale():
    trace = Trace(
        accesses=(read(1), read(3), read(5), read(7)),
        writes=(Write(time_s=4, tables=("products",)), Write(time_s=2, tables=("users",))),
    )
    assert row(trace, tables_of={GROUP: frozenset({"products"})}).stale_rate == 0.5
    assert row(trace, tables_of={GROUP: frozenset({"orders"})}).stale_rate == 0
    assert row(trace, tables_of={GROUP: frozenset({"products", "?"})}).stale_rate is None
    assert row(trace).stale_rate is None


def test_a_digest_that_changes_makes_a_hit_stale_and_one_that_does_not_clears_it():
    trace = Trace(
        accesses=(read(1, digest="x"), read(3, digest="x"), read(5, digest="y"), read(7, digest="y")),
        writes=(Write(time_s=2, tables=("products",)),),
    )
    assert row(trace, tables_of={GROUP: frozenset({"products"})}).stale_rate == 0.5


def test_immediate_expiry_of_everything_gives_no_hit_and_no_stale_value():
    trace = Trace(accesses=tuple(read(n * 10, digest=str(n)) for n in range(5)))
    assert (row(trace, ttl=1).hit_rate, row(trace, ttl=1).stale_rate) == (0, 0)


def test_memory_is_the_most_that_is_held_at_once():
    trace = Trace(
        accesses=(read(0, "a", size_bytes=10), read(30, "b", size_bytes=20), read(100, "c", size_bytes=5))
    )
    assert row(trace).memory_bytes == 30
    assert row(trace, ttl=None).memory_bytes == 35
    assert row(Trace(accesses=(read(0),))).memory_bytes is None


def test_a_capacity_without_sizes_is_an_error():
    with pytest.raises(CacheStrategyError, match="no sizes"):
        simulate(Trace(accesses=(read(0),)), ttls=[60], capacities=[1000])


def test_an_interval_needs_enough_requests():
    few = Trace(accesses=tuple(read(n, str(n % 7)) for n in range(199)))
    many = Trace(accesses=tuple(read(n, str(n * n % 31)) for n in range(2000)))
    assert row(few).error is None
    assert 0 < row(many).error < 0.2


def test_users_share_a_key_only_where_digests_show_that_they_may():
    def group(digests: tuple[str, str]) -> Trace:
        return Trace(
            accesses=tuple(
                read(n, user=user, digest=digest)
                for n, (user, digest) in enumerate(zip("uvuv", digests * 2, strict=True))
            )
        )

    assert row(group(("x", "x"))).hit_rate == 0.75
    assert row(group(("x", "y"))).hit_rate == 0.5
    assert row(group(("", ""))).hit_rate == 0.5
    assert row(group(("", "")), per_user=()).hit_rate == 0.75


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttls": [0]}, "--ttl 0"),
        ({"ttls": [60], "policies": ["best"]}, "fifo, lfu, lru"),
        ({"ttls": [60], "capacities": [0]}, "--capacity 0"),
        ({"ttls": []}, "at least one time to live"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(CacheStrategyError, match=said):
        simulate(Trace(accesses=(read(0),)), **options)


def test_a_trace_without_reads_is_named():
    with pytest.raises(CacheStrategyError, match="no request that a cache could answer"):
        simulate(Trace(accesses=(read(0, group="POST /a"),), source="access.log"), ttls=[60])
