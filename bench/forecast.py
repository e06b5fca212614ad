"""
Does the forecast come true, and how fast is it?

    python bench/forecast.py [exact] [speed] [sampling] [redis]     all where none is named; needs the tests' environment

exact   10,000 random small traces against brute force, plain and compiled: how many differ.
speed   10 million requests of Zipf's law over a million keys and 100,000 writes, as CPU seconds; compiled beforehand. In time
        order, as a log is, and in any order.
sampling   half of a million requests of Zipf's law, 200 draws: how far off the hit rates of 24 times to live are, and how
        often the stated interval holds.
redis   synthetic traces through the emitted cache on a real Redis, as fast as it goes; what it did beside what the forecast
        says of the same requests at the same moments.
"""

import importlib.util
import math
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from cache_strategy.emit import runtime_source  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.engine import compiled_engine, plain_engine  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.policies import load_policies  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.replay import (  # noqa: E402 - below the path that finds it
    parts_of_ttls,
    replay_one,
    replay_ttls,
    requests_of,
)
from cache_strategy.simulate.sampling import half_width_90, strata_of  # noqa: E402 - below the path that finds it
from cache_strategy.verify import private_redis  # noqa: E402 - below the path that finds it
from simulate.brute_force import differences  # noqa: E402 - below the path that finds it

REQUESTS, KEYS = 20_000, 2_000
TTL_S = 1


def exact() -> None:
    for engine in (plain_engine(), compiled_engine()):
        print(f"compiled={engine.is_compiled}: {len(differences(10_000, engine))} of 10,000 traces differ")


def zipf(many: int, keys: int, power: float = 1.0, seed: int = 1) -> Any:
    chance = np.random.default_rng(seed)
    weights = np.cumsum(1 / np.arange(1, keys + 1) ** power)
    return chance.permutation(keys)[np.searchsorted(weights / weights[-1], chance.random(many))]


def speed(many: int = 10_000_000) -> None:
    for requests in (10_000, many):  # the first time compiles
        chance = np.random.default_rng(2)
        times, writes = (np.sort(chance.random(n) * 86_400) for n in (requests, requests // 100))
        keys, written = zipf(requests, requests // 10), zipf(requests // 100, requests // 10)
        size = chance.integers(100, 5000, requests, "i4")
        chance.shuffle(order := np.arange(requests))
        began = time.process_time()
        mixed = requests_of(times[order], keys[order], size[order], None, (writes, written))
        replay_ttls(mixed, np.geomspace(1, 86_400, 24).tolist(), compiled_engine())
        shuffled = time.process_time() - began
        del mixed, order
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        asked = requests_of(times, keys, size, None, (writes, written))
        replay_ttls(asked, np.geomspace(1, 86_400, 24).tolist(), compiled_engine())
        ttls = time.process_time() - began
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / requests
        rates = {}
        for name, policy in load_policies().items():
            began = time.process_time()
            replay_one(
                asked._replace(size=np.ones(requests, "i4")),
                math.inf,
                requests // 100,
                policy,
                engine=compiled_engine(),
            )
            rates[name] = requests / (time.process_time() - began) / 1e6
    print(
        f"24 times to live with staleness and memory: {ttls:.2f} s of CPU, {added:.0f} bytes per request; "
        f"of requests in any order {shuffled:.2f} s"
    )
    print(
        "policies, million requests a second:",
        ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items()),
    )


def sampling(many: int = 1_000_000, draws: int = 200) -> None:
    keys = np.unique(zipf(many, many // 10), return_inverse=True)[1]
    asked = requests_of(np.sort(np.random.default_rng(2).random(many) * 86_400), keys)
    lives, times = np.geomspace(1, 86_400, 24).tolist(), np.bincount(keys)
    missed = [np.bincount(keys, flags) for _, flags in parts_of_ttls(asked, lives, compiled_engine())]
    exact, off, covered, work = np.array([m.sum() for m in missed]) / many, [], [], []
    for salt in range(draws):
        strata = strata_of(times, 0.5, salt)
        work.append(sum(times[s.keys].sum() for s in strata) / many)
        for of_keys, whole in zip(missed, exact, strict=True):
            pairs = [(times[s.keys], of_keys[s.keys]) for s in strata]
            found = (
                sum(s.requests * m.sum() / n.sum() for s, (n, m) in zip(strata, pairs, strict=True)) / many
            )
            off.append(abs(found - whole))
            covered.append(off[-1] <= half_width_90(strata, pairs) + 1e-12)
    print(
        f"{draws} draws of {np.mean(work):.1%} of the requests: off by {100 * np.mean(off):.3f} points on average, "
        f"{100 * np.max(off):.2f} at most; the 90 % interval holds {np.mean(covered):.1%} of {len(covered):,} times"
    )


def traces() -> Iterator[tuple[str, list[int], float]]:
    """Name, keys and the share of writes."""
    for power in (0.7, 1.0, 1.2):
        yield f"Zipf {power}", zipf(REQUESTS, KEYS, power).tolist(), 0.01
    asked = zipf(REQUESTS, KEYS).tolist()
    yield "scan through", [n // 2 % KEYS if n % 2 else key for n, key in enumerate(asked)], 0.01
    crowd = range(REQUESTS // 2, REQUESTS * 3 // 4)
    yield "flash crowd", [7 if n in crowd and n % 4 else key for n, key in enumerate(asked)], 0.01
    yield "heavy writers", asked, 0.2


def redis() -> None:
    with tempfile.TemporaryDirectory() as folder, private_redis() as url:
        file = Path(folder) / "emitted_cache.py"
        file.write_text(runtime_source())
        spec = importlib.util.spec_from_file_location("emitted_cache", file)
        assert spec is not None and spec.loader is not None  # it is a file that ends in .py
        runtime: Any = importlib.util.module_from_spec(spec)
        sys.modules["emitted_cache"] = runtime
        spec.loader.exec_module(runtime)
        print(f"{'trace':<14} {'invalidation':<12} {'hits':>8} {'foretold':>9} {'stale':>8} {'foretold':>9}")
        for number, (name, keys, writing) in enumerate(traces()):
            for kind in ("ttl", "event"):
                cache = runtime.Cache(url, f"bench{number}{kind}", budget_ms=10_000)
                measured, foretold = replayed(cache, keys, writing, kind)
                shown = " ".join(f"{m:>8.2%} {f:>9.2%}" for m, f in zip(measured, foretold, strict=True))
                print(f"{name:<14} {kind:<12} {shown}", flush=True)
                cache.close()


def replayed(
    cache: Any, keys: list[int], writing: float, kind: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Share of hits and of stale answers, as counted and as foretold."""
    current = [0] * KEYS
    computed: list[int] = []
    entry = cache.entry("value", ttl_seconds=TTL_S, depends_on=["items:{key}"], layers=["redis"])

    @entry
    def value(key: int) -> int:
        computed.append(key)
        return current[key]

    chance, stale = random.Random(3), 0
    asked_s, writes = [], []
    for key in keys:
        if chance.random() < writing:
            written = chance.choice(keys)
            current[written] += 1
            if kind == "event":
                cache.invalidate(("items", written))
            writes.append((time.monotonic(), written))
        asked_s.append(time.monotonic())
        stale += value(key) != current[key]
    # Of every lifetime the cache takes off up to a tenth at random, and the last tenth is for computing the next value.
    asked = requests_of(asked_s, keys, None, None, tuple(zip(*writes, strict=True)))
    done = replay_one(asked, TTL_S * 0.855, None, load_policies()["fifo"], kind == "event")
    many = len(keys)
    return ((many - len(computed)) / many, stale / many), (done.hits / many, done.stale / many)


if __name__ == "__main__":
    for part in sys.argv[1:] or ["exact", "speed", "sampling", "redis"]:
        {"exact": exact, "speed": speed, "sampling": sampling, "redis": redis}[part]()
