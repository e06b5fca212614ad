"""
Beyond what is replayed request by request: keys that are asked for often all of them, of the others a part.

Keys are put into classes by how often they are asked for, which is counted exactly. Of a class a share is chosen by a hash of
the key, the larger the more one key can tell: its requests' root, which spends a given work where it lowers the error most
(Neyman's allocation, with a key's spread taken to be as its requests). What a class did is scaled to its requests.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cache_strategy.simulate.loops import FOREVER
from cache_strategy.simulate.outcome import Part, Replay, outcome_of
from cache_strategy.simulate.policies import Policy
from cache_strategy.simulate.replay import Requests, part_of_one, parts, parts_of_ttls, with_changes

CLASSES_PER_DOUBLING = 2
FEWEST_KEYS = 40
"""Of a class that is not taken whole (assumed: so many give a spread)."""
WIDTH_90 = 1.8
"""Standard errors to either side of a 90 % interval: 1.645 of a normal distribution, and a tenth more, as few keys tell the
spread of a class (bench/forecast.py sampling: how often it holds)."""
WORK = 0.5
"""Share of the requests of a sampled trace that is replayed, where that is not more than is replayed exactly."""
Case = tuple[int | None, int | None, str, str]


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Keys of a class: those chosen, how many there are, and how many requests all of them get."""

    keys: Any
    all_keys: int
    requests: int


def strata_of(times: Any, work: float, salt: int = 0) -> list[Stratum]:
    """
    The keys to replay, by class.

    Args:
        times: requests per key.
        work: share of all requests that may be replayed.
    """
    asked = np.maximum(np.asarray(times), 1)
    kind = np.floor(np.log2(asked) * CLASSES_PER_DOUBLING).astype("i8")
    order = np.argsort(kind, kind="stable")
    bounds = np.searchsorted(kind[order], np.unique(kind))
    members = np.split(order, bounds[1:])
    sizes = np.array([len(m) for m in members])
    totals = np.array([int(asked[m].sum()) for m in members])
    share = _shares(sizes, totals, work)
    chance = hashes(np.arange(len(asked)), salt)
    found = []
    for keys, many, total, part in zip(members, sizes, totals, share, strict=True):
        chosen = (
            keys if part >= 1 else keys[np.argsort(chance[keys], kind="stable")[: math.ceil(part * many)]]
        )
        found.append(Stratum(keys=chosen, all_keys=int(many), requests=int(total)))
    return found


def _shares(sizes: Any, totals: Any, work: float) -> Any:
    """Of each class, so that all together are `work` of the requests at most."""
    root = np.sqrt(totals / sizes)
    floor = np.minimum(1, FEWEST_KEYS / sizes)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = np.clip(middle * root, floor, 1)
        low, high = (middle, high) if (share * totals).sum() <= work * totals.sum() else (low, middle)
    return np.clip(low * root, floor, 1)


def hashes(keys: Any, salt: int) -> Any:
    """64 mixed bits per number (splitmix64)."""
    mixed = (np.asarray(keys, "u8") + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def weights_of(strata: Sequence[Stratum], replayed: Sequence[int]) -> list[float]:
    """How many requests each replayed one stands for."""
    return [s.requests / max(1, done) for s, done in zip(strata, replayed, strict=True)]


def half_width_90(strata: Sequence[Stratum], per_key: Sequence[tuple[Any, Any]]) -> float:
    """
    Half of the 90 % interval of the hit rate, from how much keys of one class differ.

    Args:
        per_key: of each stratum's chosen keys the requests and the misses.

    Source:
        Cochran, Sampling Techniques, sections 5.5 and 6.4: a ratio estimate within strata.
    """
    variance = 0.0
    for stratum, (asked, misses) in zip(strata, per_key, strict=True):
        chosen = len(stratum.keys)
        if chosen < 2 or chosen == stratum.all_keys:
            continue
        rest = misses - misses.sum() / asked.sum() * asked
        variance += stratum.all_keys**2 * (1 - chosen / stratum.all_keys) * float(rest.var(ddof=1)) / chosen
    return WIDTH_90 * math.sqrt(variance) / sum(s.requests for s in strata)


def outcomes(
    requests: Requests,
    ttls: Sequence[int | None],
    capacities: Sequence[int | None],
    policies: Mapping[str, Policy],
    invalidations: Sequence[str],
    exact_requests: int,
    all_requests: int,
    kept: float = 1.0,
    salt: int = 0,
) -> dict[Case, tuple[Replay, float | None]]:
    """
    Every combination, with half of the 90 % interval of its hit rate where the keys were sampled.

    Args:
        exact_requests: more than so many of `all_requests`, of which these are a part, are sampled.
        kept: share of its time to live after which a value is computed anew.
    """
    if all_requests <= exact_requests:
        done = parts(requests, ttls, capacities, policies, invalidations, kept)
        return {case: (outcome_of([part]), None) for case, part in done.items()}
    times = np.bincount(requests.key, minlength=requests.keys)
    strata = strata_of(times, min(WORK, exact_requests / all_requests), salt)
    found: dict[Case, tuple[Replay, float | None]] = {}
    lives = [FOREVER if ttl is None else ttl * kept for ttl in ttls]
    for kind in invalidations:
        if None in capacities:
            for ttl, outcome in zip(ttls, _unlimited(requests, strata, lives, kind == "event"), strict=True):
                found |= {(ttl, None, name, kind): outcome for name in policies}
        sizes = [capacity for capacity in capacities if capacity is not None]
        sampled = scaled(requests, strata) if sizes else None
        for capacity in sizes:
            for name, policy in policies.items():
                for ttl, life in zip(ttls, lives, strict=True):
                    assert sampled is not None
                    found[ttl, capacity, name, kind] = limited(
                        *sampled, life, capacity, policy, kind == "event"
                    )
    return found


def _unlimited(
    requests: Requests, strata: Sequence[Stratum], lives: Sequence[float], drops: bool
) -> list[tuple[Replay, float]]:
    """Stratum by stratum: without a limit no key concerns another."""
    by_life: list[list[Part]] = [[] for _ in lives]
    per_key: list[list[tuple[Any, Any]]] = [[] for _ in lives]
    for stratum in strata:
        own = only(requests, stratum.keys)
        asked = np.bincount(own.key, minlength=own.keys)
        for at, (part, missed) in enumerate(parts_of_ttls(own, lives, None, drops)):
            by_life[at].append(replace(with_changes(part, own, missed, lives[at]), changes=None))
            per_key[at].append((asked, np.bincount(own.key, missed, own.keys)))
    weights = weights_of(strata, [int(part.asked.sum()) for part in by_life[0]])
    return [
        (outcome_of(mine, weights), half_width_90(strata, counted))
        for mine, counted in zip(by_life, per_key, strict=True)
    ]


def only(requests: Requests, keys: Any) -> Requests:
    """The requests of some keys, which are numbered anew; times and slices stay those of all."""
    number = np.full(requests.keys, -1, "i4")
    number[keys] = np.arange(len(keys))
    at = np.flatnonzero(number[requests.key] >= 0)
    return requests._replace(
        time_s=requests.time_s[at],
        key=number[requests.key[at]],
        size=requests.size[at],
        digest=requests.digest[at],
        until=requests.until[at],
        keys=len(keys),
        took_s=None if requests.took_s is None else requests.took_s[at],
        first_write_s=None if requests.first_write_s is None else requests.first_write_s[keys],
    )


def scaled(requests: Requests, strata: Sequence[Stratum]) -> tuple[Requests, Any, Sequence[Stratum]]:
    """The chosen keys of all strata, each as large as all those that it stands for; and the weight of each key."""
    keys = np.concatenate([stratum.keys for stratum in strata])
    own = only(requests, keys)
    stands_for = np.concatenate([np.full(len(s.keys), s.all_keys / max(1, len(s.keys))) for s in strata])
    size = np.minimum(own.size * stands_for[own.key], 2**31 - 1)
    return own._replace(size=np.ceil(size).astype("i4")), stands_for, strata


def limited(
    requests: Requests,
    stands_for: Any,
    strata: Sequence[Stratum],
    life: float,
    capacity: int | None,
    policy: Policy,
    drops: bool,
    kinds: tuple[Any, Any] | None = None,
) -> tuple[Replay, float]:
    """A cache of so many bytes over what `scaled` gives, and half of the 90 % interval of its hit rate."""
    part, flags = part_of_one(requests, life, capacity, policy, drops, kinds=kinds)
    asked = np.bincount(requests.key, minlength=requests.keys)
    misses = np.bincount(requests.key, flags == 1, requests.keys)
    weight = stands_for[requests.key]
    of_strata = np.repeat(np.arange(len(strata)), [len(s.keys) for s in strata])
    pairs = [(asked[of_strata == n], misses[of_strata == n]) for n in range(len(strata))]
    whole = sum(s.requests for s in strata)
    missed = sum(s.requests * m.sum() / max(1, a.sum()) for s, (a, m) in zip(strata, pairs, strict=True))
    seen = outcome_of([part])
    judged, stale = (float(weight[flags >= least].sum()) for least in (2, 4))
    sized = requests.size * (flags == 1)
    outcome = seen._replace(
        hits=whole - missed,
        requests=whole,
        judged=judged,
        stale=stale,
        hit_bytes=float(requests.size.sum(dtype="f8") - sized.sum(dtype="f8")),
        bytes=float(requests.size.sum(dtype="f8")),
        origin_peak=round(seen.origin_peak * missed / max(1.0, float(misses.sum()))),
        busy_s=None if requests.took_s is None else float((requests.took_s * weight)[flags == 1].sum()),
    )
    return outcome, half_width_90(strata, pairs)
