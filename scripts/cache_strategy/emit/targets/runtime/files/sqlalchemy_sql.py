"""Which rows a statement that SQLAlchemy has compiled changes, and what columns hold in them, by the statement and its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table, types
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import BindParameter, Delete, Insert

# Whose values the database gets as the application has them; of other types rows are not known by their values.
PLAIN_TYPES = (types.Integer, types.String, getattr(types, "Uuid", types.Integer))


def rows_of(
    statement: Any, table: Table, column: str, is_key: bool, context: Any, result: Any
) -> list[object] | None:
    """What a column holds or held in the rows that a statement changed; None where that is not all known."""
    if column not in table.c or not _is_plain_type(table.c[column].type):
        return None
    parameters = getattr(context, "compiled_parameters", None) or []
    name = table.c[column].key
    if isinstance(statement, Insert):
        if is_key:
            return _inserted_rows(statement, table, column, parameters, result)
        return _given_values(statement, name, parameters)
    if isinstance(statement, Delete) or not _is_set(context, column, name, parameters):
        return _addressed_rows(statement, table, column, parameters, context)
    return None


def _is_plain_type(kind: Any) -> bool:
    is_uuid = type(kind).__name__ == "UUID" and not isinstance(kind, types.TypeDecorator)  # before 2.0
    return is_uuid or (isinstance(kind, PLAIN_TYPES) and not isinstance(kind, types.Enum))


def _is_set(context: Any, column: str, name: str, parameters: list[Any]) -> bool:
    """Whether an UPDATE gives a column another value, by a parameter or by an expression."""
    text = str(context.compiled)
    sets = text[: text.upper().rfind(" WHERE ")] if " WHERE " in text.upper() else text
    is_named = re.search(rf'(?<![\w.])["`]?{re.escape(column)}["`]?\s*=', sets)
    return is_named is not None or any(name in each for each in parameters)


def tables_of(target: Any) -> Iterator[Table]:
    """The tables of an INSERT, UPDATE or DELETE target: one, or those of a join."""
    if isinstance(target, Table):
        yield target
    else:
        for side in ("left", "right", "element"):
            if getattr(target, side, None) is not None:
                yield from tables_of(getattr(target, side))


def _is_plain(statement: Any) -> bool:
    """Whether an INSERT changes no row that was there."""
    return getattr(statement, "_post_values_clause", None) is None and not getattr(
        statement, "_prefixes", None
    )


def _given_values(statement: Any, name: str, parameters: list[Any]) -> list[object] | None:
    """What a column is given in each inserted row; None where that is not all known."""
    values = [each.get(name) for each in parameters]
    is_known = values and None not in values and _is_plain(statement)
    return values if is_known and getattr(statement, "select", None) is None else None


def _inserted_rows(
    statement: Any, table: Table, key: str, parameters: list[Any], result: Any
) -> list[object] | None:
    """The primary keys of inserted rows; None when they are not all known."""
    if not _is_plain(statement):
        return None  # ON CONFLICT, REPLACE: other rows may have changed
    place = [column.name for column in table.primary_key.columns]
    try:
        made = getattr(result, "inserted_primary_key_rows", None) or [
            result.inserted_primary_key
        ]  # 1.3: one row
        rows = [row[place.index(key)] for row in made]
    except (SQLAlchemyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    return rows if len(rows) == len(parameters) and None not in rows else None


def _addressed_rows(
    statement: Any, table: Table, key: str, parameters: list[Any], context: Any
) -> list[object] | None:
    """The primary keys that an UPDATE or DELETE names in its WHERE; None when it does not."""
    compiled = context.compiled
    # the statement with the names of the parameters is the one that was compiled, perhaps long ago
    source = statement if compiled.statement is None else compiled.statement
    for clause in _conjuncts(source.whereclause if hasattr(source, "whereclause") else source._whereclause):
        left, right = getattr(clause, "left", None), getattr(clause, "right", None)
        if getattr(clause, "operator", None) is not operators.eq or not isinstance(right, BindParameter):
            continue
        place = getattr(getattr(left, "table", None), "name", None), getattr(left, "name", None)
        if place == (table.name, key):
            name = compiled.bind_names.get(right)
            return [each.get(name) for each in parameters] if name and parameters else None
    return None


def _conjuncts(clause: Any) -> Iterator[Any]:
    if getattr(clause, "operator", None) is operators.and_:
        for part in clause.clauses:
            yield from _conjuncts(part)
    elif clause is not None:
        yield getattr(clause, "element", clause) if type(clause).__name__ == "Grouping" else clause
