"""PyPika: statements that are put together by calls and run as text."""

import re
from typing import TYPE_CHECKING

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    PLAIN,
    Made,
    Query,
    Value,
    Values,
    literal,
    many,
    one,
    replace,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_TABLE = "pypika.Table()"
_BEGINNING = re.compile(r"pypika\.(?:\w+\.)*\w*Query\.(from_|into|update|select)$")
_OTHERS = {"delete": "delete", "insert": "insert", "update": "update"}


def canonical(path: str) -> str:
    """Tables by one name, however they are imported."""
    return re.sub(r"^pypika\.(?:\w+\.)+Table\b", "pypika.Table", path)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`Query.from_(table)`, `Query.into(table)`, `Query.update(table)`."""
    found = _BEGINNING.match(path)
    if found is None:
        return None
    tables = _tables(frame, arguments)
    verb = {"into": "insert", "update": "update"}.get(found[1], "select")
    if verb == "select":
        return one(Query(orm.name, verb, PLAIN, tables))
    return one(Query(orm.name, verb, PLAIN, target=" ".join(sorted(tables)) or "?"))


def method(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """Every method of a statement narrows it or gives its text, which is the statement again."""
    if not isinstance(receiver, Query) or receiver.orm != orm.name:
        return None
    if name in _OTHERS:
        tables = _tables(frame, arguments) or receiver.tables
        return one(replace(receiver, verb=name, target=" ".join(sorted(tables)) or "?", tables=frozenset()))
    joined = name.endswith(("join", "from_"))
    tables = receiver.tables | _tables(frame, arguments, joined)
    return one(replace(receiver, tables=tables, joins=receiver.joins + joined))


def iterate(frame: "Frame", query: Query, node: Node) -> Values:
    """Running a statement reads and writes its tables."""
    frame.note_read(sorted(query.tables), node)
    for table in query.target.split():
        frame.note_write(table, "raw-sql", node)
    for number in range(query.joins):
        frame.facts.joins.add((node[1] if isinstance(node[1], int) else 0, str(number)))
    return many(PLAIN)


def _tables(frame: "Frame", arguments: Arguments, named: bool = True) -> frozenset[str]:
    """The tables among the arguments; the first may be a name."""
    found: set[str] = set()
    for values in arguments.all():
        for value in values:
            if isinstance(value, Query):
                found |= value.tables
            elif isinstance(value, Made) and value.path == _TABLE:
                found.add(_name(frame, value))
            elif named and values is arguments.get(0) and literal(value):
                found.add(literal(value) or "?")
    return frozenset(found)


def _name(frame: "Frame", table: Made) -> str:
    """A table's name: what it was made with, or what its class says."""
    named = text_in(table.args[0]) if table.args else text_in(table.keyword("name"))
    if named is None and table.owner >= 0:
        info = frame.analysis.classes[table.owner]
        texts = [text_in(frame.analysis.class_attribute(table.owner, name)) for name in info.attributes]
        named = next((text for text in texts if text), info.name)
    return named or "?"


orm = Orm(
    __name__,
    packages=("pypika",),
    structural=frozenset({_TABLE}),
    canonical=canonical,
    call=call,
    method=method,
    iterate=iterate,
)
