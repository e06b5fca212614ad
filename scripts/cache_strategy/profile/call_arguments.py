"""The arguments of calls: evaluated, given to parameters, found again in results."""

from cache_strategy.profile.facts import Context
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.values import (
    NOTHING,
    UNKNOWN,
    Argument,
    Constant,
    Mapping,
    Values,
    join,
    one,
)


def evaluate_arguments(frame: Frame, node: Node) -> Arguments:
    """The arguments of a call, evaluated in order; `**mapping` becomes keywords where its names are known."""
    positional: list[Values] = []
    for argument in node[3]:
        if argument[0] == "star":
            values = frame.expression(argument[1])
            parts = next((v.parts for v in values if hasattr(v, "parts")), None)
            positional.extend(parts if parts is not None else [frame.iterate(values, argument)])
        else:
            positional.append(frame.expression(argument))
    keywords: list[tuple[str, Values]] = []
    for name, value in node[4]:
        values = frame.expression(value)
        if name:
            keywords.append((name, values))
            continue
        for inner in values:
            if isinstance(inner, Mapping):
                keywords.extend(inner.fields)
                if inner.rest:
                    keywords.append(("", inner.rest))
            else:
                keywords.append(("", UNKNOWN))
    return Arguments(tuple(positional), tuple(keywords), node)


def assign_parameters(function: FunctionInfo, bound: bool, arguments: Arguments) -> dict[str, Values]:
    parameters = list(function.parameters)
    if bound and parameters and parameters[0][3] == 0:
        parameters = parameters[1:]
    given: dict[str, Values] = {}
    names = [p[0] for p in parameters if p[3] == 0]
    rest = next((p[0] for p in parameters if p[3] == 1), None)
    others = next((p[0] for p in parameters if p[3] == 3), None)
    for position, values in enumerate(arguments.positional):
        if position < len(names):
            given[names[position]] = values
        elif rest is not None:
            given[rest] = join(given.get(rest, NOTHING), values)
    known = {p[0] for p in parameters if p[3] in (0, 2)}
    fields: dict[str, Values] = {}
    for name, values in arguments.keywords:
        if name in known:
            given[name] = values
        elif others is not None:
            fields[name] = values
            given[others] = one(
                Mapping(tuple((n, v) for n, v in fields.items() if n), fields.get("", NOTHING))
            )
    for name, _, default, kind in parameters:
        if kind in (0, 2) and name not in given and default is not None and default[0] == "const":
            given[name] = one(Constant(default[1]))
    return given


def arguments_of(given: dict[str, Values]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for parameter, values in given.items():
        names = [v.name for v in values if isinstance(v, Argument)]
        if len(names) == 1 and len(values - {Constant(None)}) == 1:
            pairs.append((parameter, names[0]))
    return tuple(sorted(pairs))


def substituted(context: Context, given: dict[str, Values]) -> Values:
    passed = (given.get(v.name, UNKNOWN) if isinstance(v, Argument) else one(v) for v in context.returns)
    return NOTHING.union(*passed)
