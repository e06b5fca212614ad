"""A log that has no room: what is drawn of it says what the whole does, within the stated interval."""

from typing import Any

import numpy as np
import pytest

from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate import simulate
from cache_strategy.simulate.counting import Counts
from cache_strategy.simulate.sampling import hashes
from cache_strategy.simulate.thinning import Names, Room

MANY, TTLS, PER_BLOCK = 60_000, [20, 300, 4_000], 1_000


def zipf(seed: int, keys: int = 6_000) -> tuple[Any, Any, Any]:
    """Times, keys and users; ten requests a second, and in the second half other keys that are asked for seldom."""
    chance = np.random.default_rng(seed)
    weights = np.cumsum(1 / np.arange(1, keys))
    key = np.searchsorted(weights / weights[-1], chance.random(MANY))
    key[MANY // 2 :] += (key[MANY // 2 :] > 50) * (keys // 2)
    return np.arange(MANY) // 10 * 1.0, key, np.zeros(MANY, "i8")


def read(times: Any, key: Any, user: Any, most: int, salt: int = 0, path: Any = None) -> Trace:
    """As a log would be; `path` is that of each key where it is not its own."""
    requests = (hashes(np.arange(key.max() + 1), 7) >> np.uint64(2)).astype("i8")
    paths = (
        requests // 8192 * 8192
        if path is None
        else (hashes(path, 9) >> np.uint64(2)).astype("i8") // 8192 * 8192
    )
    writes = np.arange(len(paths)) % 500 == 499
    paths |= writes
    names = Names(requests, paths, np.arange(user.max() + 1) * 7919)
    room = Room(most, salt)
    for at in range(0, MANY, PER_BLOCK):
        block = slice(at, at + PER_BLOCK)
        wanted = room.wanted(requests[key[block]], paths[key[block]], names.users[user[block]])
        columns = (times, key, user, np.full(MANY, 200), 50 + key % 90, np.full(MANY, np.nan, "f4"))
        room.add(tuple(column[block][wanted] for column in columns), 0, lambda: names)
    assert room.seen == MANY
    assert room.writes_whole
    times, key, user, status, size, took, repeats = (np.concatenate(c) for c in zip(*room.parts, strict=True))
    assert len(times) <= most
    accesses = Accesses(
        time_s=times,
        group=writes[key].astype("i4"),
        key=key,
        user=user,
        status=status,
        duration_ms=took,
        size_bytes=size,
        digest=np.zeros(len(times), "i1"),
        groups=("GET /{x}", "POST /{x}"),
        keys=tuple(map(str, range(key.max() + 1))),
        users=("", *(f"u{n}" for n in range(user.max()))),
        digests=("",),
        sample=room.sample(names, key, user, repeats),
    )
    return Trace(accesses=accesses, seconds=float(times[-1]))


def test_hit_rates_are_those_of_the_whole_log_within_the_stated_interval():
    off, covered = [], []
    for seed in range(4):
        log = zipf(seed)
        exact = simulate(read(*log, MANY), ttls=TTLS).rows
        for salt in range(6):
            found = simulate(read(*log, 20_000, salt), ttls=TTLS)
            assert found.requests == pytest.approx(MANY, abs=1)
            for row, whole in zip(found.rows, exact, strict=True):
                assert row.requests == pytest.approx(whole.requests, abs=1)
                assert row.keys == pytest.approx(whole.keys, rel=0.3)
                assert row.sampling_error
                off.append(abs(row.hit_rate - whole.hit_rate))
                covered.append(off[-1] <= row.sampling_error)
    assert np.mean(off) < 0.015
    assert np.mean(covered) >= 0.83, "90 % of 72, less two standard errors"


def test_writes_are_kept_and_stale_shares_and_memory_are_those_of_the_whole_log():
    tables = {"tables_of": {"GET /{x}": frozenset({"t"})}, "writing": {"POST /{x}": frozenset({"t"})}}
    asked = {"ttls": [300, 4_000], "capacities": [None, 60_000], "invalidations": ["ttl", "event"], **tables}
    exact, found = (simulate(read(*zipf(1), most), **asked) for most in (MANY, 20_000))
    for row, whole in zip(found.rows, exact.rows, strict=True):
        assert row.stale_rate == pytest.approx(whole.stale_rate, abs=0.03)
        assert row.hit_rate == pytest.approx(whole.hit_rate, abs=0.03)
        if (
            row.invalidation == "ttl" and row.ttl_seconds == 4_000
        ):  # of few values at once a sample cannot tell
            assert row.memory_bytes == pytest.approx(whole.memory_bytes, rel=0.3)


@pytest.mark.parametrize("by", ["query", "user"])
def test_one_path_that_is_asked_for_in_many_ways_is_drawn_by_these(by):
    times, key, nobody = zipf(2)
    log = (times, key, nobody) if by == "query" else (times, nobody, key + 1)
    exact, found = (simulate(read(*log, most, path=np.zeros(9_000, "i8")), ttls=[300]) for most in (MANY, 20_000))  # fmt: skip
    assert found.rows[0].hit_rate == pytest.approx(exact.rows[0].hit_rate, abs=0.03)
    assert found.keys == pytest.approx(exact.keys, rel=0.3)


def test_what_is_asked_for_most_is_whole_and_requests_alike_within_a_second_lose_nothing():
    times, _, nobody = zipf(0)
    exact, found = (simulate(read(times, nobody, nobody, most), ttls=TTLS) for most in (MANY, 20_000))
    assert found.rows == tuple(row.__class__(**{**vars(row), "sampling_error": 0.0}) for row in exact.rows)


def test_more_paths_than_are_counted_one_by_one_still_add_up():
    chance = np.random.default_rng(5)
    units = hashes(chance.permutation(np.repeat(np.arange(20_000), np.arange(20_000) % 4 + 1)), 0)
    counts = Counts(most=4_000)
    for part in np.array_split(units, 20):
        counts.add(part, np.zeros(len(part)), np.ones(len(part)))
        counts.settle()
    drawn, asked = np.unique(units[units < 2**60], return_counts=True)
    rate = np.full(len(drawn), 1 / 16)
    weight, _ = counts.weights(drawn, np.zeros(len(drawn), "i8"), asked, rate)
    assert len(counts.units) <= 4_000
    assert (weight * asked).sum() == pytest.approx(len(units), rel=0.1)
