"""What a value takes where it is kept: in Redis behind the emitted cache, or in a file of nginx's proxy cache."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cache_strategy.simulate.outcome import MINUTE_S, Grid
from cache_strategy.simulate.replay import Requests

CLASSES = np.array(
    [8, *range(16, 128, 16), *(base * n // 4 for base in (128 << i for i in range(24)) for n in range(4, 8))]
)
"""What jemalloc rounds a request for memory up to."""
DICTIONARY_ENTRY, SLOT, OBJECT = 24, 8, 16
VERSION_DIGITS = 17
RECORD_HEAD = 64
"""Of a stored record: its mark, length and three times."""
NGINX_HEAD = 336
"""`ngx_http_file_cache_header_t`; before the key, the origin's headers and the body."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """
    How the emitted cache keeps an entry in Redis.

    Args:
        name_bytes: of the key's name in Redis, prefix included; of a version's name it is the same.
        rows: how many rows of tables a key depends on; each has a version of its own.
        tags: how many versions a record carries.
        ttl_s: the contract's. The record stays for 0.95 of it on average, a version for `version_s` after it was last noted.
    """

    name_bytes: int
    rows: int
    tags: int
    ttl_s: float
    version_s: float

    def record_bytes(self, payload: Any) -> Any:
        data = np.asarray(payload) + RECORD_HEAD + self.tags * (VERSION_DIGITS + 1)
        return OBJECT + rounded(data + 9) + self._name()

    def versions_bytes(self) -> int:
        """Of all that belong to one key."""
        return (1 + self.rows) * (OBJECT + self._name())

    def _name(self) -> int:
        # Twice in a dictionary: of the keys, and of what expires. Its slots are a power of two, filled by three quarters.
        return int(rounded(self.name_bytes + 4)) + 2 * (DICTIONARY_ENTRY + round(SLOT / 0.75))


def rounded(size: Any) -> Any:
    return CLASSES[np.searchsorted(CLASSES, size)]


def nginx_bytes(body: Any, key_bytes: int, head_bytes: int = 250) -> Any:
    """Of one file."""
    return np.asarray(body) + NGINX_HEAD + 7 + key_bytes + head_bytes


def held(requests: Requests, missed: Any, storage: Storage) -> Any:
    """
    Of each slice of the requests' grid: names and bytes that Redis holds and that are alive, and those that are not and wait
    to be removed, if nothing but the next request did that. As `resident` takes them; those of several entries add up.
    """
    at = np.flatnonzero(missed)
    at = at[np.argsort(requests.key[at], kind="stable")]
    begins, key = requests.time_s[at], requests.key[at]
    again = np.append(np.where(key[1:] == key[:-1], begins[1:], np.inf), np.inf)
    stands_for = np.ones(len(at)) if requests.weight is None else requests.weight[key]
    records = storage.record_bytes(requests.size[at]) * stands_for
    versions = storage.versions_bytes() * stands_for
    found = np.zeros((4, requests.grid.slices))
    for life, names, size in (
        (0.95 * storage.ttl_s, 1, records),
        (storage.version_s, 1 + storage.rows, versions),
    ):
        ends = np.minimum(again, begins + life)
        count = names * stands_for
        found += np.stack(
            [
                *(_kept(requests, begins, ends, column) for column in (count, size)),
                *(_kept(requests, ends, again, column) for column in (count, size)),
            ]
        )
    return found


LOOKED_AT, FOUND_FEW, TIMES_A_SECOND = 20, 2, 10
"""
Ten times a second Redis looks at twenty names that expire, removes what has expired, and looks on while it finds more than two.

Source:
    Redis 7, src/expire.c: activeExpireCycle with its default effort, `hz` 10.
"""


def resident(found: Any, grid: Grid) -> Any:
    """Bytes in Redis at the end of each slice, of what `held` gives."""
    alive, alive_bytes, waiting, waiting_bytes = found
    seconds = MINUTE_S / grid.per_minute
    stale = np.linspace(0, 0.9, 500)
    removed = _removed_a_second(stale)
    left, before, share = 0.0, 0.0, np.zeros(grid.slices)
    for i, would_wait in enumerate(waiting.tolist()):
        if (
            would_wait < before
        ):  # what is asked for again goes from those that Redis removed and the others alike
            left *= would_wait / before
        came = max(0.0, would_wait - before)
        # Where as many are removed as come; and what the time is enough for.
        even = np.interp(came / seconds, removed, stale)
        now = np.interp((left + came) / (left + came + alive[i] + 1e-9), stale, removed)
        left = max(min(left + came, even / (1 - even) * alive[i]), left + came - seconds * now)
        share[i] = left / would_wait if would_wait else 0
        before = would_wait
    return alive_bytes + waiting_bytes * np.minimum(1, share)


def _removed_a_second(stale: Any) -> Any:
    """Of names of which this share has expired: how many are found until few are found."""
    few = sum(
        math.comb(LOOKED_AT, n) * stale**n * (1 - stale) ** (LOOKED_AT - n) for n in range(FOUND_FEW + 1)
    )
    return TIMES_A_SECOND * LOOKED_AT * stale / np.maximum(few, 1e-3)


def _kept(requests: Requests, begins: Any, ends: Any, size: Any) -> Any:
    slices = requests.grid.slices
    came, went = (
        np.minimum(moments / MINUTE_S * requests.grid.per_minute, slices).astype("i8")
        for moments in (begins, ends)
    )
    change = np.bincount(came, size, slices + 1) - np.bincount(went, size, slices + 1)
    return np.cumsum(change)[:slices]
