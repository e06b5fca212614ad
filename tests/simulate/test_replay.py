"""`simulate` against brute force, and what a forecast says and does not say."""

import math

import numpy as np
import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.forecast import ForecastRow
from cache_strategy.model.trace import Access, Trace, Write
from cache_strategy.simulate import simulate
from cache_strategy.simulate.engine import compiled_engine, plain_engine
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Requests, replay_one, replay_ttls, requests_of
from simulate.brute_force import differences

GROUP = "GET /a/{id}"


@pytest.mark.parametrize("engine", [plain_engine, compiled_engine])
def test_random_traces_give_what_brute_force_gives(engine):
    """300 of the 10,000 of bench/forecast.py."""
    assert differences(300, engine()) == []


def zipf(requests: int, keys: int) -> Requests:
    weights = 1 / np.arange(1, keys + 1)
    asked = np.random.default_rng(1).choice(keys, requests, p=weights / weights.sum())
    return requests_of(np.arange(requests), np.unique(asked, return_inverse=True)[1])


@pytest.mark.parametrize("policy", ["redis_lfu", "redis_lru"])
def test_redis_is_near_to_what_it_approximates_on_both_engines(policy):
    asked, policies = zipf(10_000, 1000), load_policies()
    plain, compiled = (
        replay_one(asked, 5000, 100, policies[policy], engine=engine())
        for engine in (plain_engine, compiled_engine)
    )
    assert plain == compiled
    assert 0 < abs(plain.hits - replay_one(asked, 5000, 100, policies["lru"]).hits) < 0.06 * 10_000


def test_a_peak_is_counted_by_the_minute():
    asked = requests_of([0, 59, 60, 61, 62, 130], [0, 1, 0, 2, 3, 0])
    assert [done.origin_peak for done in replay_ttls(asked, [math.inf, 1])] == [2, 3]


def read(time_s: float, key: str = "1", *, group: str = GROUP, **more: object) -> Access:
    return Access(time_s=time_s, group=group, key=key, **{"status": 200, **more})


def row(
    *accesses: Access, ttl: int | None = 60, writes: tuple[Write, ...] = (), **options: object
) -> ForecastRow:
    (found,) = simulate(Trace(accesses=accesses, writes=writes), ttls=[ttl], **options).rows
    return found


def test_every_group_time_to_live_capacity_policy_and_invalidation_has_a_row():
    trace = Trace(
        accesses=(read(1, size_bytes=5), read(2, group="GET /b", size_bytes=5), read(3, size_bytes=5))
    )
    forecast = simulate(
        trace,
        ttls=[60, None],
        capacities=[None, 100],
        policies=["lru", "fifo"],
        invalidations=["ttl", "event"],
    )
    assert [r.group for r in forecast.rows] == [GROUP] * 16 + ["GET /b"] * 16
    assert len({(r.ttl_seconds, r.capacity_bytes, r.policy, r.invalidation) for r in forecast.rows}) == 16
    assert (forecast.requests, forecast.keys) == (3, 2)


def test_writing_requests_and_errors_are_left_out_and_said():
    accesses = (read(1), read(2), read(3, group="POST /a"), read(4, status=500), read(5, status=404))
    forecast = simulate(Trace(accesses=accesses), ttls=[60])
    assert forecast.requests == 5
    assert [(r.requests, r.origin_requests, r.hit_rate) for r in forecast.rows] == [(2, 1, 0.5)]
    assert "3 of 5 requests are left out" in " ".join(forecast.notes)


@pytest.mark.parametrize(
    ("tables", "invalidation", "stale", "hits"),
    [
        (["products"], "ttl", 0.5, 0.75),
        (["products"], "event", 0, 0.5),
        (["orders"], "ttl", 0, 0.75),
        (["products", "?"], "ttl", None, 0.75),
        (None, "ttl", None, 0.75),
    ],
)
def test_a_write_to_a_table_of_the_group_makes_later_hits_stale_or_misses(tables, invalidation, stale, hits):
    found = row(
        *(read(n) for n in (1, 3, 5, 7)),
        writes=(Write(time_s=4, tables=("products",)), Write(time_s=2, tables=("users",))),
        tables_of=tables and {GROUP: frozenset(tables)},
        invalidations=[invalidation],
    )
    assert (found.stale_rate, found.hit_rate) == (stale, hits)
    assert found.stale_age_s == (2 if stale else None), "at 5 and 7, of a write at 4"


def test_a_digest_that_changes_makes_a_hit_stale_and_one_that_does_not_clears_it():
    accesses = (read(1, digest="x"), read(3, digest="x"), read(5, digest="y"), read(7, digest="y"))
    write = Write(time_s=2, tables=("products",))
    assert row(*accesses, writes=(write,), tables_of={GROUP: frozenset({"products"})}).stale_rate == 0.5


def test_what_is_not_known_is_none_and_what_did_not_happen_is_zero():
    assert row(read(1), read(2)).stale_rate is None
    assert row(read(1), read(2)).memory_bytes is row(read(1), read(2)).byte_hit_rate is None
    never = row(*(read(n * 10, digest=str(n)) for n in range(5)), ttl=1)
    assert (never.hit_rate, never.stale_rate) == (0, 0)


def test_memory_is_the_most_that_is_held_at_once():
    accesses = (read(0, "a", size_bytes=10), read(30, "b", size_bytes=20), read(100, "c", size_bytes=5))
    assert row(*accesses).memory_bytes == 30
    assert row(*accesses, ttl=None).memory_bytes == 35


def test_an_interval_needs_enough_requests():
    assert row(*(read(n, str(n % 7)) for n in range(199))).error is None
    assert 0 < row(*(read(n, str(n * n % 31)) for n in range(2000))).error < 0.2


@pytest.mark.parametrize(("digests", "hits"), [("xx", 0.75), ("xy", 0.5), (("", ""), 0.5)])
def test_users_share_a_key_only_where_digests_show_that_they_may(digests, hits):
    asked = zip("uvuv", (*digests, *digests), strict=True)
    assert row(*(read(n, user=user, digest=d) for n, (user, d) in enumerate(asked))).hit_rate == hits


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttls": [0]}, "--ttl"),
        ({"ttls": [60], "policies": ["best"]}, "fifo, lfu, lru"),
        ({"ttls": [60], "capacities": [0]}, "--capacity"),
        ({"ttls": [60], "capacities": [1000]}, "no sizes"),
        ({"ttls": []}, "--ttl"),
        ({"ttls": [60], "invalidations": ["never"]}, "ttl, event"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(CacheStrategyError, match=said):
        simulate(Trace(accesses=(read(0),)), **options)


def test_a_trace_without_reads_is_named():
    with pytest.raises(CacheStrategyError, match="no request that a cache could answer"):
        simulate(Trace(accesses=(read(0, group="POST /a"),)), ttls=[60])
