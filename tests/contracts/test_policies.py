"""Every eviction policy of the folder keeps the family's contract."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.simulate.engine import plain_engine
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import HEAD, replay_one, requests_of

POLICIES = sorted(load_policies())
OPERATIONS = st.lists(
    st.tuples(st.sampled_from("ask evict remove".split()), st.integers(0, 5)), min_size=1, max_size=60
)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=200, deadline=None)
@given(operations=OPERATIONS)
def test_only_keys_that_are_held_are_evicted_and_each_once(name, operations):
    policy = load_policies()[name]
    add, use, remove, evict = policy.functions().values()
    memory = [6, 10] + [-1] * (HEAD - 2), [-1] * policy.links(6, len(operations))
    held: set[int] = set()
    for now, (what, key) in enumerate(operations):
        if what == "ask":
            use(*memory, key, now) if key in held else add(*memory, key, 1, now)
            held.add(key)
        elif what == "evict" and held:
            gone = evict(*memory, now)
            assert gone in held
            held.remove(gone)
        elif what == "remove" and key in held:
            remove(*memory, key)
            held.remove(key)
    assert {evict(*memory, 99) for _ in range(len(held))} == held


@pytest.mark.parametrize("name", POLICIES)
def test_a_cache_that_holds_everything_only_misses_first_requests(name):
    requests = requests_of(range(50), [n % 5 for n in range(50)])
    done = replay_one(requests, math.inf, 5, load_policies()[name], engine=plain_engine())
    assert done.hits == 45


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_larger_than_the_cache_pushes_nothing_out(name):
    requests = requests_of([0, 1, 2], [0, 1, 0], [1, 99, 1])
    done = replay_one(requests, math.inf, 5, load_policies()[name], engine=plain_engine())
    assert done.hits == 1
