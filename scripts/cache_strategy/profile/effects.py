"""Effects to a fixed point: what a function does through all its callees."""

from collections.abc import Set

from cache_strategy.model.evidence import Effects
from cache_strategy.profile import totals as kinds
from cache_strategy.profile.callgraph import Callgraph
from cache_strategy.profile.facts import Context
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.totals import Total, merged, own, united, without_keys, without_side_effects
from cache_strategy.profile.values import RowKey

# A chain of unresolved calls is not worth listing further.
_MOST_LISTED = 40


def solve(graph: Callgraph, once: Set[int]) -> list[Total]:
    """
    The totals of all evaluations.

    Args:
        once: evaluations of functions that a process executes once: no hit skips what they do besides.
    """
    contexts = graph.contexts
    space = kinds.space()
    totals = [own(space, context.index, context.facts) for context in contexts]
    _hand_up_keys(contexts, totals)
    calls, looping = graph.callees, graph.looping
    for group in graph.groups:
        inside = set(group)
        below = {callee for index in group for callee in calls[index]} - inside
        found = [totals[index] for index in group]
        found += [without_side_effects(totals[i]) if i in once else totals[i] for i in below]
        numbers = united({t.numbers for t in found})
        aggregates, renders = any(t.aggregates for t in found), any(t.renders for t in found)
        queries = Total(space, numbers).queries
        looped = any(t.looped for t in found) or any(
            queries if callee in inside else totals[callee].queries
            for index in group
            for callee in looping[index] - {index}
        )
        for index in group:
            total = totals[index]
            total.numbers = numbers
            total.looped, total.aggregates, total.renders = looped, aggregates, renders
    return totals


def _hand_up_keys(contexts: list[Context], totals: list[Total]) -> None:
    """The keys of a callee's reads become the caller's where its arguments are the caller's."""
    callers: dict[int, list[tuple[int, dict[str, str]]]] = {}
    for context in contexts:
        for call in context.facts.calls:
            if call.callee != context.index:
                callers.setdefault(call.callee, []).append((context.index, dict(call.arguments)))
    pending = [total_index for total_index, total in enumerate(totals) if total.keyed]
    while pending:
        index = pending.pop()
        for caller, arguments in callers.get(index, ()):
            above = totals[caller]
            grown = set(above.keyed)
            lost = []
            for table, key in totals[index].keyed:
                outer = arguments.get(key.argument) if key is not None else None
                if key is not None and outer:
                    grown.add((table, RowKey(key.table, key.column, outer)))
                else:
                    lost.append(table)
            above.numbers = (above.numbers[0] | above.space[0].number(lost), *above.numbers[1:])
            if len(grown) > len(above.keyed):
                above.keyed = frozenset(grown)
                pending.append(caller)


def before(analysis: Analysis, function: FunctionInfo, totals: list[Total]) -> Total:
    decoration = analysis.decoration(function)
    above = [totals[i] for i in (*decoration.contexts, *(call.callee for call in decoration.facts.calls))]
    space = totals[0].space if totals else kinds.space()
    return merged([own(space, -1, decoration.facts), *map(without_keys, above)])


def effects_of(total: Total) -> Effects:
    return Effects(
        reads=total.tables(),
        writes=total.listed("writes"),
        context=total.contexts(),
        outside=total.listed("outside"),
        side_effects=total.listed("side_effects"),
        unknown=total.listed("unknown")[:_MOST_LISTED],
        queries=total.queries,
        query_in_loop=total.looped,
        aggregates=total.aggregates,
        joins=total.joins,
        renders=total.renders,
    )
