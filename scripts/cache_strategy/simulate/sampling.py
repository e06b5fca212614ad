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

from cache_strategy.model.trace import Sample
from cache_strategy.simulate.loops import FOREVER, FRESH, MISSED, OLD
from cache_strategy.simulate.outcome import Part, Replay, outcome_of
from cache_strategy.simulate.policies import Policy
from cache_strategy.simulate.replay import Requests, part_of_one, parts, parts_of_ttls, with_changes

CLASSES_PER_DOUBLING = 2
LEVELS = 64
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
    requests: float


def strata_of(times: Any, work: float, salt: int = 0, weights: Any = None) -> list[Stratum]:
    """
    The keys to replay, by class.

    Args:
        times: requests per key.
        work: share of all requests that may be replayed.
        weights: of keys that were drawn already, how many each stands for.
    """
    asked = np.maximum(np.asarray(times), 1)
    kind = np.floor(np.log2(asked) * CLASSES_PER_DOUBLING).astype("i8")
    weights = np.ones(len(asked)) if weights is None else weights
    kind = kind * LEVELS + np.clip(np.round(np.log2(weights) * CLASSES_PER_DOUBLING), 0, LEVELS - 1).astype(
        "i8"
    )
    order = np.argsort(kind, kind="stable")
    bounds = np.searchsorted(kind[order], np.unique(kind))
    members = np.split(order, bounds[1:])
    sizes = np.array([len(m) for m in members])
    totals = np.array([int(asked[m].sum()) for m in members])
    share = _shares(sizes, totals, work)
    chance = hashes(np.arange(len(asked)), salt)
    found = []
    for keys, many, part in zip(members, sizes, share, strict=True):
        chosen = (
            keys if part >= 1 else keys[np.argsort(chance[keys], kind="stable")[: math.ceil(part * many)]]
        )
        stand_for = weights[keys]
        whole = float((asked[keys] * stand_for).sum())
        found.append(Stratum(keys=chosen, all_keys=round(float(stand_for.sum())), requests=whole))
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


def half_width_drawn(requests: Requests, sample: Sample, misses: Any, weight: Any) -> float:
    """
    Half of the 90 % interval of a sample's hit rate, from how much what was drawn differs from all of its cell.

    Args:
        misses, weight: per key.

    Source:
        Särndal, Swensson and Wretman, Model Assisted Survey Sampling, sections 5.6, 7.6 and 10.3 (a ratio in a domain, with
        poststrata whose sizes are known); Student's t: Abramowitz and Stegun, 26.7.5.
    """
    units, place = np.unique(requests.unit, return_inverse=True)
    asked, misses = requests.asked(), np.asarray(misses)
    whole = float((weight * asked).sum())
    rest = misses - float((weight * misses).sum()) / whole * asked
    asked, rest = (np.bincount(place, column) for column in (asked, rest))
    largest = np.zeros(len(units))
    np.maximum.at(largest, place, weight)
    here = (units >= 0) & (sample.rate[units] < 1)
    units, asked, rest, largest = (column[here] for column in (units, asked, rest, largest))
    if not len(units):
        return 0.0
    spread, cell = (1 - sample.rate[units]) * largest**2, sample.cell[units]
    each = np.bincount(cell, minlength=len(sample.asked))
    shared = np.bincount(cell, largest * rest, len(each)) / np.maximum(sample.asked, 1)
    parts = spread * (rest - shared[cell] * asked) ** 2 * (each / np.maximum(each - 1, 1))[cell]
    elsewhere = np.maximum(0, sample.spread - np.bincount(cell, spread * asked**2, len(each)))
    variance = float(parts.sum() + (shared**2 * elsewhere).sum())
    freedom = max(1.0, float(parts.sum()) ** 2 / max(1e-300, float((parts**2).sum())) - 1)
    student = 1 + 0.93 / freedom + 0.86 / freedom**2
    return WIDTH_90 * student * math.sqrt(variance) / whole


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
    if requests.weight is not None:
        return {
            (ttl, capacity, name, kind): drawn(requests, ttl, capacity, policies[name], kind == "event", kept)
            for ttl in ttls
            for capacity in capacities
            for name in policies
            for kind in invalidations
        }
    if all_requests <= exact_requests:
        done = parts(requests, ttls, capacities, policies, invalidations, kept)
        return {case: (outcome_of([part]), None) for case, part in done.items()}
    strata = strata_of(requests.asked(), min(WORK, exact_requests / all_requests), salt)
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


def drawn(
    requests: Requests, ttl: int | None, capacity: int | None, policy: Policy, drops: bool, kept: float
) -> tuple[Replay, float | None]:
    """A cache over requests that were drawn when they were read, and half of the 90 % interval of its hit rate."""
    life = FOREVER if ttl is None else ttl * kept
    size = np.minimum(requests.size * requests.weight[requests.key], 2**31 - 1)
    large = requests._replace(size=np.ceil(size).astype("i4"))
    part, flags = part_of_one(large, life, capacity, policy, drops)
    return weighed(requests, part, flags, requests.weight)


def weighed(requests: Requests, part: Part, flags: Any, weight: Any) -> tuple[Replay, float | None]:
    """
    What drawn requests did, as what they stand for: a request's like at its moment are hits, whatever the cache.

    Args:
        flags: what became of each request.
        weight: per key how many keys it stands for.
    """
    missed, each = flags == MISSED, weight[requests.key]
    alike = each * requests.repeats
    edges = requests.grid.edges(requests.time_s)

    def by_slice(column: Any) -> Any:
        return np.diff(np.concatenate([[0.0], np.cumsum(column)])[edges])

    told, old = flags >= FRESH, flags >= OLD
    stale = float(alike[old].sum())
    more = stale / max(1, part.stale)
    whole = replace(
        part,
        asked=by_slice(alike),
        misses=by_slice(each * missed),
        judged=float(alike[told].sum() + (alike - each)[missed].sum() * requests.judging),
        stale=stale,
        aged=part.aged * more,
        ages_s=part.ages_s * more,
        bytes=float((requests.size * alike).sum()),
        missed_bytes=round(float((requests.size * each)[missed].sum())),
        busy_s=None if requests.took_s is None else float((requests.took_s * each)[missed].sum()),
        together=None if part.together is None else round(part.together * float(each.mean())),
    )
    assert requests.sample is not None
    misses = np.bincount(requests.key, missed, requests.keys)
    return outcome_of([whole]), half_width_drawn(requests, requests.sample, misses, weight)


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
        repeats=None if requests.repeats is None else requests.repeats[at],
        weight=None if requests.weight is None else requests.weight[keys],
        unit=None if requests.unit is None else requests.unit[keys],
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
) -> tuple[Replay, float | None]:
    """A cache of so many bytes over what `scaled` gives, and half of the 90 % interval of its hit rate."""
    part, flags = part_of_one(requests, life, capacity, policy, drops, kinds=kinds)
    if requests.weight is not None:
        own_size = requests.size / stands_for[requests.key]
        return weighed(requests._replace(size=own_size), part, flags, stands_for)
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
        requests=round(whole),
        judged=judged,
        stale=stale,
        hit_bytes=float(requests.size.sum(dtype="f8") - sized.sum(dtype="f8")),
        bytes=float(requests.size.sum(dtype="f8")),
        origin_peak=round(seen.origin_peak * missed / max(1.0, float(misses.sum()))),
        busy_s=None if requests.took_s is None else float((requests.took_s * weight)[flags == 1].sum()),
    )
    return outcome, half_width_90(strata, pairs)
