"""Effects to a fixed point: what a function does through all its callees."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cache_strategy.model.evidence import ContextRead, Effects
from cache_strategy.profile.facts import Context, Facts, Read
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.values import RowKey

# A chain of unresolved calls is not worth listing further.
_MOST_LISTED = 40


@dataclass(slots=True)
class Total:
    reads: set[Read] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    context: set[ContextRead] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    side_effects: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    queries: set[tuple[int, int, str]] = field(default_factory=set)
    looped: bool = False
    aggregates: bool = False
    joins: set[tuple[int, int, str]] = field(default_factory=set)
    renders: bool = False
    external: set[str] = field(default_factory=set)

    def size(self) -> int:
        size = (
            len(self.reads)
            + len(self.writes)
            + len(self.context)
            + len(self.outside)
            + len(self.side_effects)
        )
        size += len(self.unknown) + len(self.queries) + len(self.joins) + len(self.external)
        return size + self.looped + self.aggregates + self.renders

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted({table for table, _ in self.reads}))


def own(index: int, facts: Facts) -> Total:
    return Total(
        reads=set(facts.reads),
        writes={table for table, _, _ in facts.writes},
        context=set(facts.context),
        outside=set(facts.outside),
        side_effects=set(facts.side_effects),
        unknown=set(facts.unknown),
        queries={(index, line, table) for line, table, _ in facts.queries},
        looped=any(looped for _, _, looped in facts.queries),
        aggregates=bool(facts.aggregates),
        joins={(index, line, name) for line, name in facts.joins},
        renders=facts.renders,
        external=set(facts.external_calls),
    )


def solve(analysis: Analysis) -> list[Total]:
    contexts = analysis.contexts
    totals = [own(context.index, context.facts) for context in contexts]
    callers: list[set[int]] = [set() for _ in contexts]
    for context in contexts:
        for call in context.facts.calls:
            callers[call.callee].add(context.index)
    order = _callees_first(contexts)
    pending = set(range(len(contexts)))
    position = {index: place for place, index in enumerate(order)}
    while pending:
        for index in sorted(pending, key=position.__getitem__):
            pending.discard(index)
            before = totals[index].size()
            for call in contexts[index].facts.calls:
                if call.callee != index:
                    add(totals[index], totals[call.callee], dict(call.arguments), call.in_loop)
            if totals[index].size() != before:
                pending |= callers[index]
    return totals


def _callees_first(contexts: list[Context]) -> list[int]:
    order: list[int] = []
    state = [0] * len(contexts)
    for root in range(len(contexts)):
        if state[root]:
            continue
        stack: list[tuple[int, Iterable[int]]] = [(root, iter(_callees(contexts[root])))]
        state[root] = 1
        while stack:
            index, rest = stack[-1]
            following = next((c for c in rest if not state[c]), None)
            if following is None:
                order.append(index)
                stack.pop()
            else:
                state[following] = 1
                stack.append((following, iter(_callees(contexts[following]))))
    return order


def _callees(context: Context) -> list[int]:
    return sorted({call.callee for call in context.facts.calls})


def add(total: Total, other: Total, arguments: dict[str, str], in_loop: bool) -> None:
    """Adds a callee's effects; its row keys become the caller's where its arguments are the caller's."""
    for read in other.reads:
        table, key = read
        if key is not None:
            outer = arguments.get(key.argument)
            read = (table, RowKey(key.table, key.column, outer) if outer else None)
        total.reads.add(read)
    _unite(total, other)
    total.looped = total.looped or (in_loop and bool(other.queries))


def _unite(total: Total, other: Total) -> None:
    total.writes |= other.writes
    total.context |= other.context
    total.outside |= other.outside
    total.side_effects |= other.side_effects
    total.unknown |= other.unknown
    total.queries |= other.queries
    total.joins |= other.joins
    total.external |= other.external
    total.looped = total.looped or other.looped
    total.aggregates = total.aggregates or other.aggregates
    total.renders = total.renders or other.renders


def before(analysis: Analysis, function: FunctionInfo, totals: list[Total]) -> Total:
    decoration = analysis.decoration(function)
    found = own(-1, decoration.facts)
    for index in (*decoration.contexts, *(call.callee for call in decoration.facts.calls)):
        add(found, totals[index], {}, False)
    return found


def merged(totals: Iterable[Total]) -> Total:
    found = Total()
    for total in totals:
        found.reads |= total.reads
        _unite(found, total)
    return found


def effects_of(total: Total) -> Effects:
    return Effects(
        reads=total.tables(),
        writes=tuple(sorted(total.writes)),
        context=tuple(sorted(total.context, key=lambda c: (c.kind, c.path, c.line, c.name, c.expression))),
        outside=tuple(sorted(total.outside)),
        side_effects=tuple(sorted(total.side_effects)),
        unknown=tuple(sorted(total.unknown)[:_MOST_LISTED]),
        queries=len({(index, line) for index, line, _ in total.queries}),
        query_in_loop=total.looped,
        aggregates=total.aggregates,
        joins=len(total.joins),
        renders=total.renders,
    )
