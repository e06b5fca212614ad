"""What a function does through all its callees, as numbers whose bits are the things done: joining two is one step each."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile.facts import Facts, Read


class _Kind:
    """The things of one kind that a repository's code does, by the bit that stands for each."""

    __slots__ = ("bits", "made", "things")

    def __init__(self) -> None:
        self.bits: dict[Hashable, int] = {}
        self.things: list[Any] = []
        self.made: dict[tuple[Callable[..., Any], int], Any] = {}

    def number(self, things: Iterable[Hashable]) -> int:
        found = 0
        for thing in things:
            bit = self.bits.get(thing)
            if bit is None:
                bit = self.bits[thing] = 1 << len(self.things)
                self.things.append(thing)
            found |= bit
        return found

    def of(self, number: int, make: Callable[[Iterator[Any]], Any]) -> Any:
        """What `make` makes of the things of a number; one for all who do the same."""
        key = (make, number)
        if key not in self.made:
            self.made[key] = make(map(self.things.__getitem__, bits_in(number)))
        return self.made[key]


def bits_in(number: int) -> Iterator[int]:
    """Which bits of a number are set, the lowest first."""
    digits = bin(number)[:1:-1]
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)


_PARTS = "tables writes context outside side_effects unknown queries joins external".split()
_TABLES, _WRITES, _CONTEXT, _OUTSIDE, _SIDE, _UNKNOWN, _QUERIES, _JOINS, _EXTERNAL = range(len(_PARTS))
Numbers = tuple[int, ...]
_NONE: Numbers = (0,) * len(_PARTS)
Space = tuple[_Kind, ...]


def space() -> Space:
    """Where the things of one run get their bits."""
    return tuple(_Kind() for _ in _PARTS)


def united(numbers: Iterable[Numbers]) -> Numbers:
    return reduce(lambda one, other: tuple(map(or_, one, other)), numbers, _NONE)


class Total:
    """
    `keyed` are the reads of rows that an argument picks; the other reads are in `numbers`.

    `queries` counts the places with a query, `joins` the joins.
    """

    __slots__ = ("aggregates", "keyed", "looped", "numbers", "renders", "space")

    def __init__(
        self, space: Space, numbers: Numbers = _NONE, keyed: frozenset[Read] = frozenset(), *,
        looped: bool = False, aggregates: bool = False, renders: bool = False,
    ) -> None:  # fmt: skip
        self.space, self.numbers, self.keyed = space, numbers, keyed
        self.looped, self.aggregates, self.renders = looped, aggregates, renders

    def __bool__(self) -> bool:
        return bool(any(self.numbers) or self.keyed or self.looped or self.aggregates or self.renders)

    def _of(self, part: int, make: Callable[[Iterator[Any]], Any]) -> Any:
        return self.space[part].of(self.numbers[part], make)

    @property
    def reads(self) -> frozenset[Read]:
        found: frozenset[Read] = self._of(_TABLES, _unkeyed)
        return found | self.keyed if self.keyed else found

    def tables(self) -> tuple[str, ...]:
        if self.keyed:
            return tuple(sorted({table for table, _ in self.reads}))
        return self._of(_TABLES, _sorted)  # type: ignore[no-any-return]  # of texts

    @property
    def writes(self) -> frozenset[str]:
        return self._of(_WRITES, frozenset)  # type: ignore[no-any-return]  # as `own` puts them in

    @property
    def context(self) -> frozenset[ContextRead]:
        return self._of(_CONTEXT, frozenset)  # type: ignore[no-any-return]  # as above

    @property
    def outside(self) -> frozenset[str]:
        return self._of(_OUTSIDE, frozenset)  # type: ignore[no-any-return]  # as above

    @property
    def side_effects(self) -> frozenset[str]:
        return self._of(_SIDE, frozenset)  # type: ignore[no-any-return]  # as above

    @property
    def unknown(self) -> frozenset[str]:
        return self._of(_UNKNOWN, frozenset)  # type: ignore[no-any-return]  # as above

    @property
    def external(self) -> frozenset[str]:
        return self._of(_EXTERNAL, frozenset)  # type: ignore[no-any-return]  # as above

    @property
    def queries(self) -> int:
        return self.numbers[_QUERIES].bit_count()

    @property
    def joins(self) -> int:
        return self.numbers[_JOINS].bit_count()

    def listed(self, part: str) -> tuple[str, ...]:
        """The texts of a part in their order."""
        return self._of(_PARTS.index(part), _sorted)  # type: ignore[no-any-return]  # as above

    def contexts(self) -> tuple[ContextRead, ...]:
        return self._of(_CONTEXT, _placed)  # type: ignore[no-any-return]  # as above


def _unkeyed(tables: Iterator[str]) -> frozenset[Read]:
    return frozenset((table, None) for table in tables)


def _sorted(texts: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(texts))


def _placed(reads: Iterator[ContextRead]) -> tuple[ContextRead, ...]:
    return tuple(sorted(reads, key=lambda c: (c.kind, c.path, c.line, c.name, c.expression)))


def own(space: Space, index: int, facts: Facts) -> Total:
    things: tuple[Iterable[Hashable], ...] = (
        (table for table, key in facts.reads if key is None), (table for table, _, _ in facts.writes),
        facts.context, facts.outside, facts.side_effects, facts.unknown, ((index, line) for line, _, _ in facts.queries),
        ((index, *join) for join in facts.joins), facts.external_calls,
    )  # fmt: skip
    return Total(
        space,
        tuple(kind.number(found) if found else 0 for kind, found in zip(space, things, strict=True)),
        frozenset(read for read in facts.reads if read[1] is not None),
        looped=any(looped for _, _, looped in facts.queries),
        aggregates=bool(facts.aggregates),
        renders=facts.renders,
    )


def merged(totals: Iterable[Total]) -> Total:
    found = list(totals)
    if len(found) == 1:
        return found[0]
    return Total(
        found[0].space if found else space(),
        united(t.numbers for t in found),
        frozenset().union(*(t.keyed for t in found)),
        looped=any(t.looped for t in found),
        aggregates=any(t.aggregates for t in found),
        renders=any(t.renders for t in found),
    )


def without_keys(total: Total) -> Total:
    """The same for whoever knows nothing of its arguments."""
    if not total.keyed:
        return total
    tables = total.space[_TABLES].number(table for table, _ in total.keyed)
    return Total(
        total.space, (total.numbers[_TABLES] | tables, *total.numbers[1:]),
        looped=total.looped, aggregates=total.aggregates, renders=total.renders,
    )  # fmt: skip


def without_side_effects(total: Total) -> Total:
    numbers = tuple(0 if part == _SIDE else number for part, number in enumerate(total.numbers))
    return Total(
        total.space, numbers, total.keyed,
        looped=total.looped, aggregates=total.aggregates, renders=total.renders,
    )  # fmt: skip
