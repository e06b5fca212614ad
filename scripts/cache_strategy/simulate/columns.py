"""Accesses in columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cache_strategy.model.trace import Access, Accesses

UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
KEPT_STATUS = (-1, 200, 304)


def columns_of(accesses: Sequence[Access]) -> Accesses:
    """The same accesses in columns."""
    if isinstance(accesses, Accesses):
        return accesses
    names: dict[str, dict[Any, int]] = {"group": {}, "key": {}, "user": {"": 0}, "digest": {"": 0}}
    table = np.array(
        [
            [
                *(
                    known.setdefault((a.group, a.key) if name == "key" else getattr(a, name), len(known))
                    for name, known in names.items()
                ),
                -1 if a.status is None else a.status,
                -1 if a.size_bytes is None else a.size_bytes,
            ]
            for a in accesses
        ],
        "i8",
    ).reshape(-1, 6)
    return Accesses(
        time_s=np.array([a.time_s for a in accesses], "f8"),
        duration_ms=np.array([np.nan if a.duration_ms is None else a.duration_ms for a in accesses], "f4"),
        **dict[str, Any](zip((*names, "status", "size_bytes"), table.T, strict=True)),
        groups=tuple(names["group"]),
        keys=tuple(key for _, key in names["key"]),
        users=tuple(names["user"]),
        digests=tuple(names["digest"]),
    )


def cacheable(accesses: Accesses) -> Any:
    """One flag per access: whether a cache could answer it."""
    safe = np.array([group.partition(" ")[0] not in UNSAFE for group in accesses.groups], "?")
    return np.isin(accesses.status, KEPT_STATUS) & safe[accesses.group]
