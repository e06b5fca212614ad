"""What of an argument is kept, so that a function is evaluated once per kind of arguments and not once per call."""

from collections.abc import Callable

from cache_strategy.profile.values import (
    NOTHING,
    Argument,
    ClassRef,
    Clause,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Method,
    ModuleRef,
    Parts,
    Plain,
    Query,
    Unknown,
    Value,
    Values,
    contents,
    replace,
)

_LONGEST_LITERAL = 200
_MOST_LITERALS = 10
_KEPT = frozenset((ClassRef, Made, External, ModuleRef, Method, FunctionRef))


def abstract(values: Values) -> Values:
    """What of an argument tells two evaluations of a function apart: rows, classes, external objects, literals."""
    kept: list[Value] = []
    for value in values:
        kind = type(value)
        if isinstance(value, Instance):
            kept.append(Instance(value.index) if value.new else value)
        elif kind in _KEPT:
            kept.append(value)
        elif isinstance(value, Constant):
            if isinstance(value.value, str) and len(value.value) <= _LONGEST_LITERAL:
                kept.append(value)
        elif isinstance(value, Many):
            inner = abstract(value.items)
            if has_rows(inner) or 0 < len(inner) <= _MOST_LITERALS:
                kept.append(Many(inner, value.lazy))
        elif isinstance(value, Parts):
            parts = tuple(abstract(part) for part in value.parts)
            if any(parts) and len(parts) <= _MOST_LITERALS:
                kept.append(replace(value, parts=parts))
        elif isinstance(value, Mapping):
            fields = tuple((n, v) for n, v in ((n, abstract(v)) for n, v in value.fields) if has_rows(v))
            rest = abstract(value.rest)
            if fields or has_rows(rest):
                kept.append(Mapping(fields, rest))
        elif isinstance(value, Query):
            kept.append(replace(value, keys=frozenset()))
        elif isinstance(value, Clause):
            kept.append(replace(value, keys=frozenset(), entities=NOTHING))
    return frozenset(kept)


def has_rows(values: Values) -> bool:
    return any(not isinstance(v, Constant | Plain | Unknown | Argument) for v in values)


def without_literals(values: Values) -> Values:
    return frozenset(v for v in values if not _is_literal(v))


def _is_literal(value: Value) -> bool:
    if isinstance(value, Many | Parts):
        return all(_is_literal(v) for part in contents(value) for v in part)
    return isinstance(value, Constant)


def without_arguments(values: Values) -> Values:
    """With anything in the place of the function's own arguments, which mean nothing outside of it."""
    return frozenset(Unknown() if isinstance(v, Argument) else v for v in values)


def without_objects(
    values: Values, is_mapped: Callable[[int], bool], is_known: Callable[[str], bool]
) -> Values:
    """
    Without objects of classes that are no tables: they tell many evaluations apart and few effects.

    `is_mapped` says whether a class is a table, `is_known` whether an external path means something to a plugin.
    """

    def tells(value: Value) -> bool:
        if isinstance(value, Instance | ClassRef):
            return is_mapped(value.index)
        if isinstance(value, Many | Parts | Mapping):
            return any(tells(v) for part in contents(value) for v in part)
        if isinstance(value, External):
            return is_known(value.path)
        return isinstance(value, Query | Clause | Made | Constant)

    return frozenset(v for v in values if tells(v))
