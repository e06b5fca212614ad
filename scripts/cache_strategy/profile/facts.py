"""What one evaluation of a function saw by itself, before the effects of its callees are added."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from cache_strategy.model.evidence import ContextRead, WriterHow
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.values import NOTHING, ClassRef, Instance, Made, RowKey, Values

Read = tuple[str, RowKey | None]
"""A table and, where the rows are picked by a column that equals an argument, by which."""


class Call(NamedTuple):
    """An edge of the call graph: `arguments` maps a parameter of the callee to an argument of the caller."""

    callee: int
    line: int
    in_loop: bool
    arguments: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Facts:
    """
    Sets, so that evaluating the same statements again changes nothing.

    `queries` are (line, what, in a loop), `writes` (table, how, line), `sql` (text, line).
    `stored` are names of shared places written: "g.user". `caches` are (line, code) of caches that it asks or fills. `commits` says that it commits or flushes itself.
    """

    reads: set[Read] = field(default_factory=set)
    writes: set[tuple[str, WriterHow, int]] = field(default_factory=set)
    context: set[ContextRead] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    side_effects: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    queries: set[tuple[int, str, bool]] = field(default_factory=set)
    aggregates: set[int] = field(default_factory=set)
    joins: set[tuple[int, str]] = field(default_factory=set)
    sql: set[tuple[str, int]] = field(default_factory=set)
    calls: set[Call] = field(default_factory=set)
    caches: set[tuple[int, str]] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    renders: bool = False
    commits: bool = False
    external_calls: set[str] = field(default_factory=set)

    def add(self, other: "Facts") -> None:
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, mine | its)

    def at(self, line: int) -> "Facts":
        """The same, seen at one line."""
        moved = copy(self)
        moved.writes = {(table, how, line) for table, how, _ in self.writes}
        moved.queries = {(line, what, looped) for _, what, looped in self.queries}
        moved.aggregates = {line for _ in self.aggregates}
        moved.joins = {(line, name) for _, name in self.joins}
        moved.sql = {(text, line) for text, _ in self.sql}
        moved.calls = {Call(c.callee, line, c.in_loop, c.arguments) for c in self.calls}
        return moved

    def include(self, other: "Facts") -> None:
        for name in self.__slots__:
            mine, its = getattr(self, name), getattr(other, name)
            if isinstance(mine, set):
                mine |= its
            else:
                setattr(self, name, mine or its)


@dataclass(slots=True)
class Context:
    """
    A function as it is called from somewhere: with one receiver and certain kinds of arguments.

    `state` is 0 before, 1 during and 2 after its evaluation; `again` says that it was asked for during its own,
    `cut` that it was not evaluated, because the chain of calls to it was too long.
    """

    index: int
    function: FunctionInfo
    receiver: "ClassRef | Instance | Made | None"
    bound: dict[str, Values]
    facts: Facts = field(default_factory=Facts)
    returns: Values = NOTHING
    yields: Values = NOTHING
    state: int = 0
    again: bool = False
    cut: bool = False


class Decoration:
    """
    The decorators of a function: `wrappers` are (evaluation, text) of those of the repository that run around it,
    `externals` (path, text) those of other packages, `node` the one that is looked at; `serializers` turn the result into an answer, `result` is what
    a call gives then.
    """

    def __init__(self) -> None:
        self.facts = Facts()
        self.wrappers: list[tuple[int, str]] = []
        self.externals: list[tuple[str, str]] = []
        self.serializers: list[Callable[[Frame, Values], None]] = []
        self.texts: list[str] = []
        self.node: Node = ("none",)
        self.result: Values | None = None

    @property
    def contexts(self) -> list[int]:
        return [index for index, _ in self.wrappers]

    def returned(self, values: Values) -> Values:
        return values if self.result is None else self.result
