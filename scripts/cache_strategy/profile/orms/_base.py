"""The contract of an ORM, and mapped classes as all of them have them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments, Plugin
from cache_strategy.profile.values import Query, Value, Values


@dataclass(slots=True)
class Relation:
    """
    A relationship of a mapped class: to the class `target`, through the table `secondary` or "".

    `lazy` relations give a query instead of rows, `write_only` ones statements; the rows of
    `passive` ones are left to the database when the parent is deleted, `eager` ones are loaded with it. `cascades` says that the ORM deletes the children with the
    parent. `attribute` is set on an association proxy: the attribute of the target that it gives.
    """

    target: int
    many: bool
    secondary: str = ""
    lazy: bool = False
    cascades: bool = False
    attribute: str = ""
    write_only: bool = False
    passive: bool = False
    eager: bool = False


@dataclass(slots=True)
class Mapped:
    """
    A class mapped to tables; `tables` has the parent's tables too where the inheritance is joined.

    `columns` maps attributes to column names, `primary_key` are attribute names, `parents` maps a foreign-key
    column to "table.column", `on_delete` the same columns to what the database does ("CASCADE", "SET NULL"). What is
    assigned to rows of an `explicit` class is written when they are saved and not before.
    """

    index: int
    orm: str
    table: str
    path: str
    line: int
    tables: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    parents: dict[str, str] = field(default_factory=dict)
    on_delete: dict[str, str] = field(default_factory=dict)
    explicit: bool = False


@dataclass(slots=True)
class TableFound:
    """A table without a class of its own: an association table, a Table object."""

    name: str
    path: str
    line: int
    columns: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    parents: dict[str, str] = field(default_factory=dict)
    on_delete: dict[str, str] = field(default_factory=dict)


@dataclass
class Orm(Plugin):
    """
    An ORM; see `Plugin`. `start(analysis)` fills `analysis.mapped` and `analysis.tables`.

    `bases(frame, value)` gives further base classes of a class that derives from an external object. `method(frame,
    receiver, name, arguments)` answers for methods of queries, clauses, classes and rows, `iterate(frame, query, node)`
    runs a query; `unresolved(frame, receiver, name, arguments)` looks at a call whose receiver is not known but whose
    arguments are.
    """

    bases: "Callable[[Frame, Value], Values | None] | None" = None
    method: "Callable[[Frame, Value, str, Arguments], Values | None] | None" = None
    iterate: "Callable[[Frame, Query, Node], Values] | None" = None
    unresolved: "Callable[[Frame, Value, str, Arguments], Values | None] | None" = None
