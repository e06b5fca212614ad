"""Accesses in columns, and the requests of one cache."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cache_strategy.model.trace import Access, Accesses
from cache_strategy.simulate.engine import engine_for
from cache_strategy.simulate.loops import FOREVER, until_next_write

UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
KEPT_STATUS = (-1, 200, 304)


@dataclass(kw_only=True)
class Requests:
    """
    What one cache is asked for, in time order, as the loops want it.

    `key` counts from 0 to `keys` - 1. `sizes_known` is False where the trace has none; `judged` is True where the trace
    says of writes or digests whether a value is stale.
    """

    time_s: Any
    key: Any
    size: Any
    digest: Any
    until: Any
    keys: int
    sizes_known: bool = True
    writes_known: bool = False

    @property
    def judged(self) -> bool:
        return self.writes_known or len(self.digest) > 0


def requests_of(
    time_s: Any, key: Any, size: Any = None, digest: Any = None, writes: tuple[Any, Any] | None = None
) -> Requests:
    """
    Puts columns into order.

    Args:
        key: whole numbers from 0, none left out.
        size: None where not known.
        writes: times in order and keys, -1 for a write that concerns all keys; None where writes are not known.
    """
    time_s = np.asarray(time_s, "f8")
    key = np.asarray(key)
    order = None if np.all(time_s[1:] >= time_s[:-1]) else np.argsort(time_s, kind="stable")
    columns = [time_s - (time_s.min() if len(time_s) else 0), key, size, digest]
    if order is not None:
        columns = [None if column is None else np.asarray(column)[order] for column in columns]
    times, key, size, digest = columns
    start = time_s.min() if len(time_s) else 0.0
    keys = int(key.max()) + 1 if len(key) else 0
    key = np.ascontiguousarray(key, "i4")
    until = np.full(len(times), FOREVER)
    if writes is not None:
        concerned = np.asarray(writes[1]) < keys
        when, which = np.asarray(writes[0], "f8")[concerned] - start, np.asarray(writes[1], "i4")[concerned]
        engine = engine_for(len(times))
        found = engine.column(until)
        engine.ready(until_next_write)(
            *map(engine.column, (times, key, when, which)), engine.blank(keys, FOREVER, "f8"), found
        )
        until = np.asarray(found)
    return Requests(
        time_s=times,
        key=key,
        size=np.ones(len(times), "i4") if size is None else np.ascontiguousarray(size, "i4"),
        digest=np.zeros(0, "i4")
        if digest is None or not np.any(digest)
        else np.ascontiguousarray(digest, "i4"),
        until=until,
        keys=keys,
        sizes_known=size is not None,
        writes_known=writes is not None,
    )


def columns_of(accesses: Sequence[Access]) -> Accesses:
    """The same accesses in columns."""
    if isinstance(accesses, Accesses):
        return accesses
    groups: dict[str, int] = {}
    keys: dict[tuple[str, str], int] = {}
    users, digests = {"": 0}, {"": 0}
    rows = [
        (
            groups.setdefault(a.group, len(groups)),
            keys.setdefault((a.group, a.key), len(keys)),
            users.setdefault(a.user, len(users)),
            digests.setdefault(a.digest, len(digests)),
            -1 if a.status is None else a.status,
            -1 if a.size_bytes is None else a.size_bytes,
        )
        for a in accesses
    ]
    table = np.array(rows, "i8").reshape(-1, 6)
    return Accesses(
        time_s=np.array([a.time_s for a in accesses], "f8"),
        group=table[:, 0],
        key=table[:, 1],
        user=table[:, 2],
        digest=table[:, 3],
        status=table[:, 4],
        size_bytes=table[:, 5],
        duration_ms=np.array([np.nan if a.duration_ms is None else a.duration_ms for a in accesses], "f4"),
        groups=tuple(groups),
        keys=tuple(key for _, key in keys),
        users=tuple(users),
        digests=tuple(digests),
    )


def cacheable(accesses: Accesses) -> Any:
    """One flag per access: whether a cache could answer it."""
    safe = np.array([group.partition(" ")[0] not in UNSAFE for group in accesses.groups], "?")
    return np.isin(accesses.status, KEPT_STATUS) & safe[accesses.group]


def private_groups(accesses: Accesses, at: Any, asked: Collection[str] | None) -> list[str]:
    """Groups with several users whose digests do not show that these get the same answers; in name order."""
    if asked is not None:
        return sorted(asked)
    pairs = np.unique(accesses.group[at].astype("i8") * len(accesses.users) + accesses.user[at])
    users = np.bincount(pairs // len(accesses.users), minlength=len(accesses.groups))
    met: set[int] = set()
    differ: set[int] = set()
    last: dict[int, tuple[int, int]] = {}
    said = at[accesses.digest[at] > 0]
    for group, key, user, digest in zip(
        *(column[said].tolist() for column in (accesses.group, accesses.key, accesses.user, accesses.digest)),
        strict=True,
    ):
        before = last.get(key)
        if before is not None and before[0] != user:
            met.add(group)
            if before[1] != digest:
                differ.add(group)
        last[key] = (user, digest)
    return sorted(
        name
        for number, name in enumerate(accesses.groups)
        if users[number] > 1 and (number in differ or number not in met)
    )
