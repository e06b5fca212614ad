"""
What an expression may stand for, as far as the text of the repository says.

An expression has a set of values (`Values`); the empty set is "nothing known yet" or None-like. Every value
is hashable and small, so that sets of them can be joined and compared while effects grow to a fixed point.
"""

from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar
from zlib import crc32

T = TypeVar("T")
_MADE: dict[object, Any] = {}


class _Kind(type):
    """Makes one object of what is equal: most values are made again and again."""

    missing: tuple[Any, ...] | None
    word: int
    telling: Any

    def __call__(cls, *given: Any, **named: Any) -> Any:
        defaults = cls.missing
        if defaults is None:
            defaults = cls.missing = tuple(f.default for f in fields(cls))  # type: ignore[arg-type]  # all are data classes
            cls.word = crc32(cls.__name__.encode())
        if named or len(given) != len(defaults):
            names = cls.__match_args__[len(given) :]  # type: ignore[attr-defined]  # of every data class
            given = (*given, *(named.get(n, d) for n, d in zip(names, defaults[len(given) :], strict=True)))
            assert MISSING not in given, f"{cls.__name__} lacks a part"
        # True and 1 are equal, and are not the same text
        key = (cls, given, type(given[0]) if given else None)
        made = _MADE.get(key)
        if made is None:
            made = _MADE[key] = super().__call__(*given)
            object.__setattr__(made, "number", hash((cls.word, *map(_number, cls.telling(given)))))
            object.__setattr__(made, "parts_", given)
            object.__setattr__(made, "alone", frozenset((made,)))
        return made


def _number(part: Any) -> int:
    """A hash that is the same in every process, so that sets of values have one order."""
    kind = type(part)
    if kind is str:
        return crc32(part.encode("utf-8", "surrogatepass"))
    if kind is tuple:
        return hash(tuple(map(_number, part)))
    if kind is frozenset and not isinstance(next(iter(part), None), _Value):
        return hash(frozenset(map(_number, part)))
    return 0 if part is None else hash(part)


def forget() -> None:
    """Lets go of the values of a run that is over."""
    _MADE.clear()


class _Value(metaclass=_Kind):
    __slots__ = ("alone", "number", "parts_")
    missing = None
    alone: "frozenset[Any]"
    number: int
    parts_: tuple[Any, ...]

    @staticmethod
    def telling(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parts that make the hash."""
        return parts

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self.parts_ == other.parts_)


@dataclass(frozen=True, slots=True, eq=False)
class Unknown(_Value):
    """Anything: nothing of it could be resolved."""


@dataclass(frozen=True, slots=True, eq=False)
class Plain(_Value):
    """Plain data: text, numbers, dates, columns of rows, and containers of these."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant(_Value):
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Argument(_Value):
    """The parameter `name` of the function at hand, of which nothing more is known."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class External(_Value):
    """
    Something of another package, by the dotted path that leads to it: "flask.request.args", with "()" for a
    call: "flask_sqlalchemy.SQLAlchemy().session".
    """

    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Made(_Value):
    """
    An object made by a call into another package, with what it was made of: a blueprint, a column.

    `path` ends in "()". `place` is (module path, line) and tells two of them apart. `owner` is the index of
    a class of the repository that derives from the package's class, -1 where there is none.
    """

    path: str
    place: tuple[str, int]
    args: "tuple[Values, ...]" = ()
    keywords: "tuple[tuple[str, Values], ...]" = ()
    owner: int = -1

    @staticmethod
    def telling(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """Without the line: an edit above must not change the order of sets."""
        return parts[0], parts[1][0], *parts[2:]

    def arg(self, position: int, name: str = "") -> "Values":
        return self.args[position] if position < len(self.args) else self.keyword(name) if name else NOTHING

    def keyword(self, name: str) -> "Values":
        return next((values for key, values in self.keywords if key == name), NOTHING)


@dataclass(frozen=True, slots=True, eq=False)
class ModuleRef(_Value):
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class ClassRef(_Value):
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class FunctionRef(_Value):
    """A function of the repository, by its index, with the value it is bound to where it is a method."""

    index: int
    receiver: "ClassRef | Instance | Made | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Instance(_Value):
    """
    An object of a class of the repository; a row where the class is mapped to a table.

    `new` says that the row was made here and is not of the database yet.
    """

    index: int
    new: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Many(_Value):
    """Several of something: a list, a set, a generator; iterating gives `items`."""

    items: "Values"
    lazy: bool = False
    relation: tuple[int, str] | None = None
    """(class index, attribute) where these are the rows of a relationship: changing them is a write."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts(_Value):
    """A tuple whose parts are known one by one; a `row` of a query's result is no tuple that can be kept."""

    parts: "tuple[Values, ...]"
    row: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Mapping(_Value):
    """A dictionary: the values under names that are known, and those under any other key."""

    fields: "tuple[tuple[str, Values], ...]" = ()
    rest: "Values" = frozenset()

    def all_values(self) -> "Values":
        return self.rest.union(*(values for _, values in self.fields))


@dataclass(frozen=True, slots=True, eq=False)
class RowKey(_Value):
    """
    Which rows a read or a condition is about: those whose `column` equals the function's argument `argument`.

    `argument` is "" where the column is compared with something else.
    """

    table: str
    column: str
    argument: str


@dataclass(frozen=True, slots=True, eq=False)
class Clause(_Value):
    """A part of an SQL expression: the tables it names and the equalities it demands."""

    tables: frozenset[str] = frozenset()
    keys: frozenset[RowKey] = frozenset()
    aggregate: bool = False
    column: tuple[str, str] | None = None
    """(table, column) where the expression is exactly one column."""
    relation: tuple[int, str] | None = None
    """(class index, attribute) where it is a relationship of a mapped class."""
    entities: "Values" = frozenset()
    """What one result of selecting this expression is."""
    inner: frozenset[str] = frozenset()
    """The tables that a subquery, a relationship or an alias in it reads: its keys do not pick their rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Query(_Value):
    """
    A statement that was put together but not run.

    `verb` is select, insert, update or delete. `entities` is what one result is; `tables` what running it
    reads; `target` what it writes. `keys` are the equalities of its conditions.
    """

    orm: str
    verb: str = "select"
    entities: "Values" = frozenset()
    tables: frozenset[str] = frozenset()
    target: str = ""
    keys: frozenset[RowKey] = frozenset()
    aggregate: bool = False
    joins: int = 0
    sql: str = ""
    inner: frozenset[str] = frozenset()
    """The tables that are read a second time (subqueries, aliases, joins with itself): `keys` do not pick those rows."""
    relation: tuple[int, str] | None = None
    """(class index, attribute) where it is a relationship that is loaded as a query."""
    kind: int = -1
    """The index of the manager or query class whose methods it has besides the ORM's own; -1 where there is none."""
    model: int = -1
    """The index of the class whose rows it is about, whatever of them it gives; -1 where that is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Page(_Value):
    """One page of a query's results: `items`, and plain data about the page."""

    items: "Values"


@dataclass(frozen=True, slots=True, eq=False)
class Method(_Value):
    """A method taken off a value and not called yet: `find = query.filter_by`."""

    receiver: "Value"
    name: str


Value = (
    Unknown | Plain | Constant | Argument | External | Made | ModuleRef | ClassRef | FunctionRef | Instance
    | Many | Parts | Mapping | Clause | Query | Method | Page
)  # fmt: skip
Values = frozenset[Value]

NOTHING: Values = frozenset()
UNKNOWN: Values = frozenset({Unknown()})
PLAIN: Values = frozenset({Plain()})
NONE_VALUE: Values = frozenset({Constant(None)})

# A union of more than this many values says nothing that is worth its cost.
_WIDEST = 24
_DEEPEST = 4


def one(value: Value) -> Values:
    return value.alone


def replace(value: T, **named: Any) -> T:
    """The same value with other parts."""
    kind: Any = type(value)
    return kind(*map(named.get, kind.__match_args__, value.parts_))  # type: ignore[attr-defined, no-any-return]  # of every value


def join(*sets: Values) -> Values:
    found: Values = frozenset().union(*sets)
    if len(found) > _WIDEST:
        found = frozenset(Plain() if isinstance(v, Constant) else v for v in found)
        if len(found) > _WIDEST:
            return UNKNOWN
    return found


def many(items: Values, lazy: bool = False) -> Values:
    return one(Many(items, lazy)) if depth(items) < _DEEPEST else UNKNOWN


@lru_cache(maxsize=100_000)
def depth(values: Values) -> int:
    return max(
        (1 + max(map(depth, contents(value)), default=0) for value in values if contents(value)), default=0
    )


def contents(value: Value) -> "tuple[Values, ...]":
    if isinstance(value, Many | Page):
        return (value.items,)
    if isinstance(value, Mapping):
        return (*(values for _, values in value.fields), value.rest)
    if isinstance(value, Parts | Made):
        return (NOTHING, *(value.parts if isinstance(value, Parts) else value.args))
    return ()


def literal(value: Value) -> str | None:
    return value.value if isinstance(value, Constant) and isinstance(value.value, str) else None


def text_in(values: Values) -> str | None:
    """The only text these values can be; None where there is none or more than one."""
    found = [text for text in map(literal, values) if text is not None]
    return found[0] if len(found) == 1 else None


def texts_in(values: Values) -> list[str]:
    found: set[str] = set()
    for value in values:
        if isinstance(value, Many | Parts):
            for part in contents(value):
                found.update(texts_in(part))
        elif (text := literal(value)) is not None:
            found.add(text)
    return sorted(found)


def is_true(values: Values) -> bool:
    return values == one(Constant(True))


def text_of(values: Values) -> str | None:
    return text_in(values) if len(values) == 1 else None
