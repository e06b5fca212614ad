"""What a function is given, and what of it cannot be part of a key."""

import sys
from collections.abc import Iterable
from functools import partial

from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Context, Facts
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    Clause,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Plain,
    Query,
    Value,
    Values,
)

_CONNECTIONS = frozenset("conn connection cursor cur engine db session".split())


def object_argument(analysis: Analysis, function: FunctionInfo, contexts: Iterable[Context]) -> str | None:
    """Why a parameter cannot be part of a key: it is a connection, a row, a query, a function; None where all can."""
    contexts = list(contexts)
    named = next((p[0] for p in function.parameters if p[0] in _CONNECTIONS and p[1] is None), None)
    if named is not None and not any(_is_plain(c.bound.get(named, NOTHING)) for c in contexts):
        return f"is given a connection as {named}, which is no part of a key; take it inside"
    for context in contexts:
        for name, values in {**annotated_parameters(analysis, function), **context.bound}.items():
            what = next((w for w in map(partial(_object_word, analysis), values) if w), "")
            if what:
                return f"is given {what} as {name}, which is no part of a key; pass what identifies it"
    return None


def _is_plain(values: Values) -> bool:
    return bool(values) and all(isinstance(v, Plain | Constant) for v in values)


def reason_of_kind(analysis: Analysis, function: FunctionInfo) -> str | None:
    """Why a function cannot be called by a key alone: where it stands."""
    if function.outer >= 0:
        return "is defined inside another function and belongs to one call of it"
    if function.owner >= 0:
        what = "a row" if function.owner in analysis.mapped else "an object"
        return f"is a method of {what}, which would be part of the key; cache a function or endpoint above it"
    return None


def parameters_of(analysis: Analysis, info: FunctionInfo) -> tuple[str, ...]:
    """The parameters in order, without self and cls; `*args` and `**kwargs` with their stars."""
    parameters = list(info.parameters)
    if info.owner >= 0 and analysis.binding(info) != "static" and parameters and parameters[0][3] == 0:
        parameters = parameters[1:]
    return tuple({1: "*", 3: "**"}.get(p[3], "") + p[0] for p in parameters)


def annotated_parameters(analysis: Analysis, function: FunctionInfo) -> dict[str, Values]:
    module = analysis.modules[function.module]
    frame = Frame(analysis, module, None, None, {}, Facts(), outer=function.outer)
    return {name: frame.annotated(note) for name, note, _, _ in function.parameters if note is not None}


def _object_word(analysis: Analysis, value: Value) -> str:
    if isinstance(value, Instance):
        if analysis.is_enum(value.index):
            return ""
        row = analysis.row(value)
        return "an object" if row is None else f"a row of {row.table}"
    if isinstance(value, Made | External):
        return "" if value.path.partition(".")[0] in sys.stdlib_module_names else "an object"
    if isinstance(value, Query | Clause):
        return "a query"
    if isinstance(value, FunctionRef):
        return "a function"
    if isinstance(value, ClassRef):
        return "a class"
    if isinstance(value, Many):
        return next((w for w in (_object_word(analysis, v) for v in value.items) if w), "")
    return ""
