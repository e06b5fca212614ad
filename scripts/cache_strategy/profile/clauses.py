"""Operators on SQL expressions, whatever the ORM."""

from collections.abc import Iterable

from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import (
    PLAIN,
    Argument,
    Clause,
    Many,
    Parts,
    Query,
    RowKey,
    Value,
    Values,
    contents,
    one,
)


def combine(frame: Frame, node: Node, parts: list[Values]) -> Values:
    sign = node[2]
    keys: frozenset[RowKey] = frozenset()
    if sign in ("and", "&"):
        keys = keys_of(parts)
    elif sign == "==" and len(parts) == 2:
        keys = _equality(parts[0], parts[1]) | _equality(parts[1], parts[0])
    return one(merged(parts, keys))


def merged(parts: Iterable[Values], keys: frozenset[RowKey] = frozenset(), aggregate: bool = False) -> Clause:
    tables: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    for part in parts:
        for value in flattened(part):
            if isinstance(value, Clause | Query):
                tables |= value.tables
                inner |= value.tables if isinstance(value, Query) else value.inner
                aggregate = aggregate or value.aggregate
    return Clause(tables, keys, aggregate, entities=PLAIN, inner=inner)


def keys_of(parts: Iterable[Values]) -> frozenset[RowKey]:
    """The keys of conditions that must all hold; one that may be one thing or another demands neither."""
    single = (next(iter(part)) for part in parts if len(part) == 1)
    return frozenset(key for value in single if isinstance(value, Clause) for key in value.keys)


def _equality(columns: Values, others: Values) -> frozenset[RowKey]:
    value = next(iter(columns)) if len(columns) == 1 else None
    if (
        not isinstance(value, Clause)
        or value.column is None
        or any(isinstance(v, Clause | Query) for v in others)
    ):
        return frozenset()
    names = [v.name for v in others if isinstance(v, Argument)]
    exact = len(names) == len(others) == 1
    return frozenset({RowKey(value.column[0], value.column[1], names[0] if exact else "")})


def flattened(values: Values) -> list[Value]:
    found: list[Value] = []
    for value in values:
        if isinstance(value, Many | Parts):
            for part in contents(value):
                found.extend(flattened(part))
        else:
            found.append(value)
    return found
