"""Hot keys whole, of the others a part: near to the whole, and the stated interval holds."""

import math

import numpy as np
import pytest

from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import Requests, requests_of
from cache_strategy.simulate.sampling import outcomes, strata_of

MANY, TTLS = 30_000, [20, 300, 4_000]


def zipf() -> Requests:
    """Zipf 1.0, a request a second, with writes and sizes."""
    chance = np.random.default_rng(3)
    weights = np.cumsum(1 / np.arange(1, 3_001))
    asked = np.searchsorted(weights / weights[-1], chance.random(MANY))
    key = np.unique(asked, return_inverse=True)[1]
    writes = np.sort(chance.random(300) * MANY), chance.integers(0, key.max(), 300)
    return requests_of(np.arange(MANY), key, 50 + key % 90, None, writes)


def test_half_of_the_requests_say_what_all_do_within_the_stated_interval():
    requests, lru = zipf(), {"lru": load_policies()["lru"]}
    exact = outcomes(requests, TTLS, [None], lru, ["ttl"], MANY, MANY)
    off, covered = [], []
    stale: dict[int, list[float]] = {ttl: [] for ttl in TTLS}
    for salt in range(60):
        found = outcomes(requests, TTLS, [None], lru, ["ttl"], MANY // 2, MANY, salt=salt)
        for ttl in TTLS:
            outcome, width = found[ttl, None, "lru", "ttl"]
            whole, _ = exact[ttl, None, "lru", "ttl"]
            assert width is not None
            off.append(abs(outcome.hits - whole.hits) / MANY)
            covered.append(off[-1] <= width)
            stale[ttl].append(outcome.stale)
            if ttl == TTLS[-1]:  # of few values at once a sample cannot tell
                assert outcome.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.25)
    assert np.mean(off) < 0.005
    for ttl, found_stale in stale.items():
        assert np.mean(found_stale) == pytest.approx(exact[ttl, None, "lru", "ttl"][0].stale, rel=0.1)
    assert np.mean(covered) >= 0.86, "90 % of 180, less two standard errors"


def test_work_is_what_was_asked_for_and_often_asked_keys_are_whole():
    times = np.sort((10_000 / np.arange(1, 50_000)).astype("i8") + 1)
    strata = strata_of(times, 0.5)
    work = sum(times[s.keys].sum() for s in strata) / times.sum()
    assert 0.45 < work < 0.55
    shares = [len(s.keys) / s.all_keys for s in strata]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_cache_with_a_limit_is_sampled_with_values_as_large_as_what_they_stand_for():
    requests, policies = zipf(), {name: load_policies()[name] for name in ("lru", "sieve")}
    exact = outcomes(requests, [None], [20_000], policies, ["ttl"], MANY, MANY)
    found = outcomes(requests, [None], [20_000], policies, ["ttl"], MANY // 2, MANY)
    for name in policies:
        whole, sampled = exact[None, 20_000, name, "ttl"][0], found[None, 20_000, name, "ttl"][0]
        assert math.isclose(sampled.hits, whole.hits, rel_tol=0.03)
