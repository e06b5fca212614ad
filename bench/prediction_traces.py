"""The synthetic traces of `prediction.py`: when, which entry, which key, and whether it is a write."""

from typing import Any, NamedTuple

import numpy as np

REQUESTS = 1_000_000
SECONDS = 200.0
NAMES = ("Zipf 0.7", "Zipf 1.0", "Zipf 1.2", "diurnal", "flash crowd", "scans", "heavy writers")


class Entry(NamedTuple):
    """One cache: its share of the requests, how many keys it has, and what the contract would say of it."""

    name: str
    share: float
    keys: int
    ttl_s: int
    kind: str


ENTRIES = (
    Entry("article", 0.35, 20_000, 20, "event"),
    Entry("list", 0.25, 5_000, 5, "ttl"),
    Entry("profile", 0.20, 20_000, 60, "event"),
    Entry("search", 0.12, 40_000, 10, "ttl"),
    Entry("settings", 0.08, 50, 30, "ttl"),
)


class Plan(NamedTuple):
    """A trace in time order; `key` counts within the entry."""

    time_s: Any
    entry: Any
    key: Any
    is_write: Any


def size_of(entry: int, key: Any) -> Any:
    """Characters of a value: about 200 to 6,000, always the same for a key."""
    mixed = (np.asarray(key, "u8") * np.uint64(2654435761) + np.uint64(entry * 40503)) % np.uint64(1 << 32)
    return (200 * np.exp(3.4 * mixed / (1 << 32))).astype("i8")


def plan(name: str, requests: int = REQUESTS, seconds: float = SECONDS) -> Plan:
    """The trace of a name: the same in every run."""
    chance = np.random.default_rng(NAMES.index(name) + 11)
    power = float(name.split()[1]) if name.startswith("Zipf") else 1.0
    writing = 0.2 if name == "heavy writers" else 0.01
    many = int(requests * (1 + writing))
    moments = np.sort(_moments(name, chance, many, seconds))
    entry = chance.choice(len(ENTRIES), many, p=[e.share for e in ENTRIES]).astype("i4")
    key = np.zeros(many, "i8")
    for number, each in enumerate(ENTRIES):
        at = np.flatnonzero(entry == number)
        key[at] = zipf(len(at), each.keys, power, chance)
    is_write = chance.random(many) < writing / (1 + writing)
    if name == "scans":
        walked = np.flatnonzero(~is_write & (entry == 0) & (chance.random(many) < 0.5))
        key[walked] = np.arange(len(walked)) % ENTRIES[0].keys
    if name == "flash crowd":
        crowd = (moments > 0.4 * seconds) & (moments < 0.5 * seconds) & ~is_write
        hit = crowd & (chance.random(many) < 0.75)
        entry[hit], key[hit] = 1, 4_321
    return Plan(moments, entry, key, is_write)


def _moments(name: str, chance: Any, many: int, seconds: float) -> Any:
    even: Any = chance.random(many)
    if name == "diurnal":  # two days, the nights at a tenth of the noons
        grid = np.linspace(0, 1, 10_001)
        load = np.cumsum(1 - 0.82 * np.cos(4 * np.pi * grid))
        even = np.interp(even * load[-1], load, grid)
    if name == "flash crowd":  # four times as many for a tenth of the time
        grid = np.array([0, 0.4, 0.5, 1])
        even = np.interp(even, np.array([0, 0.4, 0.8, 1.3]) / 1.3, grid)
    return even * seconds


def zipf(many: int, keys: int, power: float, chance: Any) -> Any:
    weights = np.cumsum(1 / np.arange(1, keys + 1) ** power)
    return chance.permutation(keys)[np.searchsorted(weights / weights[-1], chance.random(many))]
