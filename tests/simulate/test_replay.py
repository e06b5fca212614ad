"""`simulate` against a reference that is too simple to be wrong, and the laws of caches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.forecast import ForecastRow
from cache_strategy.model.trace import Access, Trace, Write
from cache_strategy.simulate import simulate
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Request, replay

GROUP = "GET /a/{id}"

REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 40), st.sampled_from("abcdef"), st.integers(1, 4), st.sampled_from(["", "x", "y"])
    ),
    max_size=60,
).map(lambda items: [Request(float(t), key, size, digest) for t, key, size, digest in sorted(items)])
WRITES = st.none() | st.lists(st.integers(0, 40).map(float), max_size=6).map(sorted)
TTLS = st.none() | st.integers(1, 30)
CAPACITIES = st.none() | st.integers(1, 12)


def reference(requests, ttl, capacity, policy, writes):
    """A list of what is held, walked from the start for every question."""
    held = []  # [key, stored, last used, size, digest]
    served, stale, judged, peak = [], 0, 0, 0
    for number, (now, key, size, digest) in enumerate(requests):
        held = [item for item in held if ttl is None or now - item[1] < ttl]
        found = [item for item in held if item[0] == key]
        served.append(bool(found))
        if found:
            item = found[0]
            item[2] = number
            if item[4] and digest:
                judged += 1
                stale += item[4] != digest
            elif writes is not None:
                judged += 1
                stale += any(item[1] < write <= now for write in writes)
            continue
        if capacity is not None and size > capacity:
            continue
        while capacity is not None and sum(item[3] for item in held) + size > capacity:
            held.remove(min(held, key=lambda item: item[2]) if policy == "lru" else held[0])
        held.append([key, now, number, size, digest])
        peak = max(peak, sum(item[3] for item in held))
    return served, stale, judged, peak


@settings(max_examples=500, deadline=None)
@given(REQUESTS, TTLS, CAPACITIES, st.sampled_from(["lru", "fifo"]), WRITES)
def test_a_replay_equals_brute_force(requests, ttl, capacity, policy, writes):
    done = replay(
        requests, ttl_seconds=ttl, capacity_bytes=capacity, policy=load_policies()[policy], writes_s=writes
    )
    assert (done.hits, done.stale, done.judged, done.peak_bytes) == reference(
        requests, ttl, capacity, policy, writes
    )


@settings(max_examples=200, deadline=None)
@given(REQUESTS, st.integers(1, 10), st.integers(1, 10))
def test_hits_of_lru_never_fall_as_the_cache_grows(requests, capacity, more):
    """Of values of one size that do not expire: a larger LRU holds all that a smaller one holds."""
    equal = [request._replace(size=1) for request in requests]
    lru = load_policies()["lru"]
    small, large = (
        replay(equal, ttl_seconds=None, capacity_bytes=size, policy=lru, writes_s=None)
        for size in (capacity, capacity + more)
    )
    assert all(after or not before for before, after in zip(small.hits, large.hits, strict=True))


@settings(max_examples=200, deadline=None)
@given(REQUESTS, st.integers(1, 30), CAPACITIES, st.sampled_from(sorted(load_policies())))
def test_no_served_value_is_older_than_its_time_to_live(requests, ttl, capacity, policy):
    done = replay(
        requests, ttl_seconds=ttl, capacity_bytes=capacity, policy=load_policies()[policy], writes_s=None
    )
    assert done.oldest_s < ttl


@settings(max_examples=200, deadline=None)
@given(REQUESTS, CAPACITIES.filter(lambda c: c is not None), st.sampled_from(sorted(load_policies())), TTLS)
def test_no_more_is_held_than_the_capacity(requests, capacity, policy, ttl):
    done = replay(
        requests, ttl_seconds=ttl, capacity_bytes=capacity, policy=load_policies()[policy], writes_s=None
    )
    assert done.peak_bytes <= capacity


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


def test_one_cache_for_everything_competes_for_its_capacity():
    accesses = [read(n, "1", group=f"GET /{'ab'[n % 2]}", size_bytes=10) for n in range(10)]
    apart = simulate(Trace(accesses=tuple(accesses)), ttls=[None], capacities=[10])
    (together,) = simulate(Trace(accesses=tuple(accesses)), ttls=[None], capacities=[10], by="all").rows
    assert [r.hit_rate for r in apart.rows] == [0.8, 0.8]
    assert (together.group, together.hit_rate, together.keys) == ("*", 0, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttls": [0]}, "--ttl 0"),
        ({"ttls": [60], "policies": ["best"]}, "fifo, lru"),
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
