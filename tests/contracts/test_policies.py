"""Every eviction policy of the folder keeps the family's contract."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Request, replay

POLICIES = sorted(load_policies())
OPERATIONS = st.lists(
    st.tuples(st.sampled_from("ask evict remove".split()), st.sampled_from("abcd")), max_size=60
)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=100, deadline=None)
@given(operations=OPERATIONS)
def test_only_keys_that_are_held_are_evicted_and_each_once(name, operations):
    order = load_policies()[name].order()
    held: set[str] = set()
    for what, key in operations:
        if what == "ask":
            order.use(key) if key in held else order.add(key)
            held.add(key)
        elif what == "evict" and held:
            gone = order.evict()
            assert gone in held
            held.remove(gone)
        elif what == "remove" and key in held:
            order.remove(key)
            held.remove(key)
    assert {order.evict() for _ in range(len(held))} == held


@pytest.mark.parametrize("name", POLICIES)
def test_a_cache_that_holds_everything_only_misses_first_requests(name):
    requests = [Request(float(n), str(n % 5), 1, "") for n in range(50)]
    done = replay(requests, ttl_seconds=None, capacity_bytes=5, policy=load_policies()[name], writes_s=None)
    assert done.hits == [False] * 5 + [True] * 45


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_larger_than_the_cache_pushes_nothing_out(name):
    requests = [Request(0.0, "a", 1, ""), Request(1.0, "huge", 99, ""), Request(2.0, "a", 1, "")]
    done = replay(requests, ttl_seconds=None, capacity_bytes=5, policy=load_policies()[name], writes_s=None)
    assert done.hits == [False, False, True]
