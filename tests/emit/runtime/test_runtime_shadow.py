"""Shadow mode: every hit is recomputed, a difference is told, and the answer is the origin's."""

import pytest
from runtime_scene import Origin


@pytest.fixture
def cache(make_cache, monkeypatch, clock):
    monkeypatch.setenv("CACHE_MODE", "shadow")
    return make_cache(clock=clock)


def mismatches(events):
    return [event for event in events if event["event"] == "mismatch"]


def test_a_stale_value_is_found_and_the_origins_value_returned(cache, events, clock):
    entry = cache.entry("user", ttl_seconds=60, depends_on=("users:{user_id}",), staleness_bound_seconds=5)
    origin, start = Origin({"name": "old"}), clock()
    entry.get_or_compute({"user_id": 7}, origin)
    origin.value = {"name": "new"}  # and nobody invalidates
    clock.pass_seconds(3)
    assert entry.get_or_compute({"user_id": 7}, origin) == {"name": "new"}
    (found,) = mismatches(events)
    assert (found["entry"], found["key"]) == ("user", "user_id=7")
    assert (found["served"], found["origin"]) == ('{"name":"old"}', '{"name":"new"}')
    assert (found["t"], found["staleness_bound_seconds"]) == (start + 3, 5)
    assert abs(found["stored_t"] - start) < 1
    assert all(version <= found["stored_us"] for version in found["versions"])
    assert set(found["tags"]) == {"users:*", "users:7"}
    assert cache.metrics()["user"]["mismatches"] == 1


def test_equal_values_are_no_mismatch_whatever_their_order(cache, events):
    entry = cache.entry("user", ttl_seconds=60)
    entry.get_or_compute({}, lambda: {"a": {1, 2}, "b": (1, None)})
    assert entry.get_or_compute({}, lambda: {"b": (1, None), "a": {2, 1}}) == {"a": {1, 2}, "b": (1, None)}
    assert mismatches(events) == []
    assert [event["event"] for event in events] == ["miss", "store", "hit"]


def test_values_of_different_types_are_a_mismatch(cache, events):
    entry = cache.entry("user", ttl_seconds=60)
    entry.get_or_compute({}, lambda: [1])
    entry.get_or_compute({}, lambda: (1,))
    assert len(mismatches(events)) == 1


def test_an_origin_that_fails_now_is_a_mismatch_and_fails(cache, events):
    entry = cache.entry("user", ttl_seconds=60)
    entry.get_or_compute({}, lambda: "found")
    with pytest.raises(LookupError):
        entry.get_or_compute({}, Origin(LookupError("gone")))
    assert [event["origin"] for event in mismatches(events)] == ["LookupError: gone"]


def test_an_invalidation_during_the_comparison_excuses_the_difference(cache, events):
    entry = cache.entry("user", ttl_seconds=60, depends_on=("users",))
    entry.get_or_compute({}, lambda: "old")

    def written_meanwhile():
        cache.invalidate("users")
        return "new"

    assert entry.get_or_compute({}, written_meanwhile) == "new"
    assert mismatches(events) == []
    assert events[-1]["event"] == "uncompared"


def test_a_transaction_older_than_the_value_excuses_the_difference(cache, events, clock):
    entry = cache.entry("user", ttl_seconds=60)
    began = clock()
    clock.pass_seconds(1)
    entry.get_or_compute({}, lambda: "new")
    cache.snapshot_began = lambda: began
    assert entry.get_or_compute({}, lambda: "as it was") == "as it was"
    assert mismatches(events) == []
    assert events[-1]["event"] == "uncompared"


def test_a_value_that_cannot_be_compared_is_told(cache, events):
    entry, strange = cache.entry("user", ttl_seconds=60), object()
    entry.get_or_compute({}, lambda: "plain")
    assert entry.get_or_compute({}, lambda: strange) is strange
    assert [event["event"] for event in events] == ["miss", "store", "hit", "uncompared"]


def test_after_an_invalidation_there_is_nothing_to_compare(cache, events):
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users",)), Origin("old")
    entry.get_or_compute({}, origin)
    origin.value = "new"
    cache.invalidate("users")
    assert [entry.get_or_compute({}, origin) for _ in range(2)] == ["new", "new"]
    assert mismatches(events) == []
    assert [event["event"] for event in events] == ["miss", "store", "invalidate", "miss", "store", "hit"]
