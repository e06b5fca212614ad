"""Operators on SQL expressions, whatever the ORM."""

from typing import TYPE_CHECKING

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import Argument, Clause, Query, RowKey, Values, one

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame


def combine(frame: "Frame", node: Node, parts: list[Values]) -> Values:
    """Operators on SQL expressions: every ORM's expressions are clauses."""
    tables: frozenset[str] = frozenset()
    keys: set[RowKey] = set()
    aggregate = False
    clauses = []
    for part in parts:
        for value in part:
            if isinstance(value, Clause):
                clauses.append(value)
                tables |= value.tables
                aggregate = aggregate or value.aggregate
            elif isinstance(value, Query):
                tables |= value.tables
    sign = node[2]
    if sign in ("and", "&"):
        for clause in clauses:
            keys |= clause.keys
    elif sign == "==" and len(parts) == 2:
        keys |= equality(parts[0], parts[1])
    return one(Clause(tables, frozenset(keys), aggregate))


def equality(left: Values, right: Values) -> set[RowKey]:
    """The row keys of `column == argument`, either way round."""
    keys = set()
    for columns, others in ((left, right), (right, left)):
        for value in columns:
            if isinstance(value, Clause) and value.column is not None:
                names = [v.name for v in others if isinstance(v, Argument)]
                exact = len(names) == 1 and all(isinstance(v, Argument) for v in others)
                if not any(isinstance(v, Clause) for v in others):
                    keys.add(RowKey(value.column[0], value.column[1], names[0] if exact else ""))
    return keys
