"""Shadow mode: every hit is recomputed, a difference is told, and the answer is the origin's."""

import pytest
from runtime_scene import Origin


@pytest.fixture
def cache(make_cache, monkeypatch, clock):
    monkeypatch.setenv("CACHE_MODE", "shadow")
    return make_cache(clock=clock)


@pytest.fixture
def entry(cache):
    return cache.entry("user", ttl_seconds=60, depends_on=("users:{user_id}",), staleness_bound_seconds=5)


KEY = {"user_id": 7}


@pytest.fixture
def happened(events):
    return lambda: [event["event"] for event in events]


def test_a_stale_value_is_found_and_the_origins_value_returned(entry, events, clock):
    origin, start = Origin({"name": "old"}), clock()
    entry.get_or_compute(KEY, origin)
    origin.value = {"name": "new"}  # and nobody invalidates
    clock.pass_seconds(3)
    assert entry.get_or_compute(KEY, origin) == {"name": "new"}
    found = events[-1]
    assert (found["event"], found["entry"], found["key"]) == ("mismatch", "user", "user_id=7")
    assert (found["served"], found["origin"]) == ('{"name":"old"}', '{"name":"new"}')
    assert (found["t"], found["staleness_bound_seconds"]) == (start + 3, 5)
    assert abs(found["stored_t"] - start) < 1
    assert all(version <= found["stored_us"] for version in found["versions"])
    assert set(found["tags"]) == {"users:*", "users:7"}
    assert entry.counts["mismatches"] == 1


@pytest.mark.parametrize(
    ("stored", "origin", "told"),
    [
        ({"a": {1, 2}, "b": (1, None)}, {"b": (1, None), "a": {2, 1}}, "hit"),
        ([1], (1,), "mismatch"),
        ("plain", object(), "uncompared"),
    ],
)
def test_values_are_compared_whatever_their_order_but_with_their_types(entry, happened, stored, origin, told):
    entry.get_or_compute(KEY, lambda: stored)
    assert entry.get_or_compute(KEY, lambda: origin) is origin
    assert happened() == ["miss", "store", "hit", *([told] if told != "hit" else [])]


def test_an_origin_that_fails_now_is_a_mismatch_and_fails(entry, events):
    entry.get_or_compute(KEY, lambda: "found")
    with pytest.raises(RuntimeError):
        entry.get_or_compute(KEY, Origin(RuntimeError("gone")))
    assert (events[-1]["event"], events[-1]["origin"]) == ("mismatch", "RuntimeError: gone")


def test_an_invalidation_during_the_comparison_excuses_the_difference(cache, entry, happened):
    entry.get_or_compute(KEY, lambda: "old")

    def written_meanwhile():
        cache.invalidate("users")
        return "new"

    assert entry.get_or_compute(KEY, written_meanwhile) == "new"
    assert happened()[-2:] == ["invalidate", "uncompared"]


def test_a_transaction_older_than_the_value_excuses_the_difference(cache, entry, happened, clock):
    began = clock()
    clock.pass_seconds(1)
    entry.get_or_compute(KEY, lambda: "new")
    cache.snapshot_began = lambda: began
    assert entry.get_or_compute(KEY, lambda: "as it was") == "as it was"
    assert happened()[-1] == "uncompared"


def test_after_an_invalidation_there_is_nothing_to_compare(cache, entry, happened):
    entry.get_or_compute(KEY, lambda: "old")
    cache.invalidate("users")
    assert [entry.get_or_compute(KEY, lambda: "new") for _ in range(2)] == ["new", "new"]
    assert happened() == ["miss", "store", "invalidate", "miss", "store", "hit"]
