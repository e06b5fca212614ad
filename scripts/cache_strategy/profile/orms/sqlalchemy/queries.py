"""Queries: how they are put together, what running one reads."""

from typing import TYPE_CHECKING

from cache_strategy.model.evidence import WriterHow
from cache_strategy.profile import clauses, rows
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node, line_of
from cache_strategy.profile.orms.sqlalchemy.models import TABLE, model_base
from cache_strategy.profile.orms.sqlalchemy.names import DATABASE, SESSION
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    Clause,
    Constant,
    External,
    Instance,
    Made,
    Method,
    Page,
    Parts,
    Query,
    RowKey,
    Value,
    Values,
    join,
    many,
    one,
    replace,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.orms._base import Mapped

ORM = "sqlalchemy"
# Methods that put a query together; one that is not known runs it too.
BUILDING = frozenset(
    """filter where filter_by join outerjoin join_from order_by group_by having limit offset options distinct with_entities
    add_columns add_entity select_from union union_all except_ intersect correlate with_for_update execution_options
    yield_per populate_existing subquery alias cte scalar_subquery as_scalar label exists values returning
    on_conflict_do_update on_conflict_do_nothing params slice columns with_only_columns from_select lateral select
    bindparams""".split()
)
_OF_TABLE = frozenset("select insert update delete join outerjoin alias create drop count exists".split())
_ONE_ROW = frozenset(
    """first one one_or_none first_or_404 one_or_404 get get_or_404 get_or_create get_or_none fetchone scalar_one_or_none""".split()
)
_SCALAR = frozenset("count scalar scalar_one statement column_descriptions value".split())
_AGGREGATES = frozenset(
    """count sum avg min max array_agg string_agg group_concat json_agg jsonb_agg bool_and bool_or every
    percentile_cont stddev variance row_number rank dense_rank""".split()
)


def attribute(frame: Frame, value: Value, name: str, node: Node) -> Values | None:
    """Attributes of mapped classes, tables, clauses, queries and of Flask-SQLAlchemy's object."""
    if isinstance(value, ClassRef):
        mapped = frame.analysis.model(value)
        return None if mapped is None or mapped.orm != ORM else _of_class(frame, mapped, value, name, node)
    if isinstance(value, Instance):
        mapped = frame.analysis.row(value)
        if mapped is not None and mapped.orm == ORM and name == "query":
            return one(query_of(mapped))
        if mapped is None and name == "query":
            return _of_mixin(frame, value.index)
        return None
    if isinstance(value, Made):
        if value.path == TABLE:
            return _of_table(value, name)
        if value.path == DATABASE and name in ("Model", "session"):
            return model_base(value) if name == "Model" else one(External(SESSION))
        return None
    if isinstance(value, Clause | Query):
        if name in ("c", "columns"):
            return one(value)
        # a method is called where it is looked up; what is only looked up is a column
        return (
            _of_alias(frame, value, name)
            if isinstance(value, Clause)
            else one(Clause(value.tables, entities=PLAIN))
        )
    return None


def _of_class(frame: Frame, mapped: "Mapped", value: ClassRef, name: str, node: Node) -> Values | None:
    relation = mapped.relations.get(name)
    if relation is not None:
        tables = rows.tables_of_relation(frame, relation)
        target = one(Instance(relation.target))
        return one(Clause(tables, relation=(mapped.index, name), entities=target, inner=tables))
    if name in mapped.columns:
        return one(
            Clause(frozenset(mapped.tables[:1]), column=(mapped.table, mapped.columns[name]), entities=PLAIN)
        )
    if name == "query":
        member = frame.analysis.member(value.index, "query")
        if member is None or member[0] == "attribute":
            return one(query_of(mapped))
    if name == "__table__":
        return one(Made(TABLE, ("", 0), (one(Constant(mapped.table)),)))
    if name == "__tablename__":
        return one(Constant(mapped.table))
    if name in ("metadata", "registry"):
        return one(External("sqlalchemy.MetaData()"))
    method = frame.analysis.method(value.index, name)
    if method is not None and frame.analysis.binding(frame.analysis.functions[method]) == "property":
        found = frame.invoke(method, value, given(node))
        clauses = frozenset(v for v in found if isinstance(v, Clause))
        return clauses or one(Clause(frozenset(mapped.tables), entities=PLAIN))
    return None


def _of_alias(frame: Frame, value: Clause, name: str) -> Values:
    tables = value.tables
    entities: Values = PLAIN
    for entity in value.entities:
        mapped = frame.analysis.row(entity)
        relation = mapped.relations.get(name) if mapped is not None else None
        if relation is not None:
            tables |= rows.tables_of_relation(frame, relation)
            entities = one(Instance(relation.target))
    return one(Clause(tables, entities=entities, inner=tables))


def aliased(frame: Frame, values: Values) -> Values:
    """`aliased(Model)`: the table under another name; what is demanded of it picks no rows of the table itself."""
    found: Values = NOTHING
    for value in values:
        entities, tables, _ = selected(frame, value)
        found |= one(Clause(tables, entities=entities, inner=tables))
    return found or UNKNOWN


def has_star(arguments: Arguments) -> bool:
    """Whether some of the arguments come out of a list: which of them are there is not known."""
    return arguments.node[0] == "call" and any(argument[0] == "star" for argument in arguments.node[3])


def _of_mixin(frame: Frame, index: int) -> Values | None:
    found: Values = NOTHING
    for mapped in frame.analysis.mapped.values():
        if index in frame.analysis.mro(mapped.index)[0]:
            found |= one(query_of(mapped))
    return found or None


def _of_table(value: Made, name: str) -> Values:
    table = text_in(value.arg(0)) or "?"
    if name in ("c", "columns"):
        return one(value)
    if name == "name":
        return one(Constant(table))
    if name in _OF_TABLE:
        return one(Method(value, name))
    return one(Clause(frozenset({table}), column=(table, name), entities=PLAIN))


def query_of(mapped: "Mapped") -> Query:
    return Query(ORM, "select", one(Instance(mapped.index)), frozenset(mapped.tables))


def select(frame: Frame, arguments: Arguments) -> Query:
    tables: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    aggregate = False
    parts: list[Values] = []
    for values in arguments.positional:
        for value in clauses.flattened(values):
            found, names, counts = selected(frame, value)
            parts.append(found)
            inner |= value.inner if isinstance(value, Clause) else names & tables
            tables |= names
            aggregate = aggregate or counts
    if len(tables) > 1 and "?" in tables:
        # columns chosen at run time, beside tables that are known
        tables -= {"?"}
        frame.facts.unknown.add("columns chosen at run time")
    entities = parts[0] if len(parts) == 1 else one(Parts(tuple(parts[:12]), row=True)) if parts else UNKNOWN
    if len(parts) == 1 and not any(isinstance(v, Instance) for v in entities):
        entities = one(Parts((entities,), row=True))
    return Query(ORM, "select", entities, tables, aggregate=aggregate, inner=inner)


def selected(frame: Frame, value: Value) -> tuple[Values, frozenset[str], bool]:
    """(what one result holds for it, tables, whether it is an aggregate) of one thing that is selected."""
    if isinstance(value, ClassRef):
        mapped = frame.analysis.model(value)
        if mapped is not None:
            return one(Instance(value.index)), frozenset(mapped.tables), False
        mixin = _of_mixin(frame, value.index)
        if mixin is not None:
            tables = frozenset(t for q in mixin if isinstance(q, Query) for t in q.tables)
            return join(*(q.entities for q in mixin if isinstance(q, Query))), tables, False
        return UNKNOWN, frozenset({"?"}), False
    if isinstance(value, Clause):
        return value.entities or PLAIN, value.tables, value.aggregate
    if isinstance(value, Query):
        return value.entities, value.tables, value.aggregate
    if isinstance(value, Made) and value.path == TABLE:
        return PLAIN, frozenset({text_in(value.arg(0)) or "?"}), False
    if isinstance(value, Constant | External):
        return PLAIN, frozenset(), False
    return UNKNOWN, frozenset({"?"}), False


def function_call(name: str, arguments: Arguments) -> Values:
    return one(clauses.merged(arguments.positional, aggregate=name in _AGGREGATES))


def build(frame: Frame, query: Query, name: str, arguments: Arguments) -> Values:
    if name == "filter_by":
        return one(_filter_by(frame, query, arguments))
    if name in ("with_entities", "with_only_columns"):
        chosen = select(frame, arguments)
        tables, aggregate = query.tables | chosen.tables, query.aggregate or chosen.aggregate
        return one(replace(query, entities=chosen.entities, tables=tables, aggregate=aggregate))
    parts = arguments.all()
    whole = clauses.merged(() if name == "options" else parts)
    tables = query.tables | whole.tables
    inner = query.inner | whole.inner
    for part in parts:
        for value in clauses.flattened(part):
            if isinstance(value, ClassRef | Made) and name not in ("options", "values"):
                _, names, _ = selected(frame, value)
                inner |= names & tables
                tables |= names - {"?"}
    keys = query.keys
    if name in ("filter", "where") and not has_star(arguments):
        keys |= clauses.keys_of(arguments.positional)
    if name in ("exists", "scalar_subquery", "as_scalar", "label") and query.verb == "select":
        return one(Clause(tables, aggregate=query.aggregate, entities=PLAIN, inner=tables))
    aggregate = query.aggregate or name == "group_by" or (whole.aggregate and name not in ("filter", "where"))
    return one(
        replace(
            query,
            tables=tables,
            inner=inner,
            keys=keys,
            aggregate=aggregate,
            joins=query.joins + (name in ("join", "outerjoin", "join_from")),
            entities=_with_columns(frame, query, arguments) if name.startswith("add_") else query.entities,
        )
    )


def _with_columns(frame: Frame, query: Query, arguments: Arguments) -> Values:
    parts: list[Values] = []
    for value in (*query.entities, *select(frame, arguments).entities):
        parts.extend(value.parts if isinstance(value, Parts) else [one(value)])
    return one(Parts(tuple(parts[:12]), row=True))


def _filter_by(frame: Frame, query: Query, arguments: Arguments) -> Query:
    if query.joins:
        # after a join, filter_by speaks of the class that was joined last
        return query
    keys = set(query.keys)
    for name, values in arguments.keywords:
        for mapped in map(frame.analysis.row, query.entities):
            if mapped is not None and name in mapped.columns:
                found = rows.key_of_argument(mapped.table, mapped.columns[name], values)
                keys.add(found or RowKey(mapped.table, mapped.columns[name], ""))
    return replace(query, keys=frozenset(keys))


_TERMINAL = frozenset(
    """all first one one_or_none scalar scalars count get get_or_404 first_or_404 one_or_404 paginate
    delete update scalar_one scalar_one_or_none fetchall fetchone __iter__ get_or_none value""".split()
)


def terminal(frame: Frame, query: Query, name: str, arguments: Arguments) -> Values:
    node = arguments.node
    if name in ("delete", "update"):
        return write(frame, query, name, arguments)
    if name in ("get", "get_or_404", "get_or_none"):
        query = by_primary_key(frame, query, arguments.get(0, "ident"))
    if name == "count":
        query = replace(query, aggregate=True)
    found = run(frame, query, node)
    if name in _ONE_ROW:
        return found
    if name in _SCALAR:
        return PLAIN if name == "count" else scalar(found)
    if name == "paginate":
        return page(frame, found, arguments, 0)
    return many(found)


def page(frame: Frame, items: Values, arguments: Arguments, position: int) -> Values:
    """`paginate(…)` of Flask-SQLAlchemy: what it is not given it takes from the request's query string."""
    for place, name in enumerate(("page", "per_page")):
        if arguments.get(position + place if position >= 0 else -1, name) <= one(Constant(None)):
            frame.note_context("query", name, arguments.node)
    return one(Page(items))


def scalar(values: Values) -> Values:
    return join(*(v.parts[0] if isinstance(v, Parts) and v.parts else one(v) for v in values))


def by_primary_key(frame: Frame, query: Query, values: Values) -> Query:
    keys = set(query.keys)
    for value in query.entities:
        mapped = frame.analysis.row(value)
        if mapped is not None and len(mapped.primary_key) == 1:
            column = mapped.columns.get(mapped.primary_key[0], mapped.primary_key[0])
            keys.add(rows.key_of_argument(mapped.table, column, values) or RowKey(mapped.table, column, ""))
    return replace(query, keys=frozenset(keys))


def run(frame: Frame, query: Query, node: Node) -> Values:
    if query.verb != "select":
        targets = set(query.target.split(" ")) if query.target else {"?"}
        _write(frame, query, targets, "raw-sql" if query.sql else "bulk", node)
        return query.entities or PLAIN
    keys = {
        key.table: key for key in sorted(query.keys, key=repr) if key.argument and is_primary_key(frame, key)
    }
    for table in sorted(query.tables):
        frame.note_read((table,), node, keys.get(table) if table not in query.inner else None)
    for value in clauses.flattened(query.entities):
        _load_eagerly(frame, value, node, ())
    line = line_of(node)
    if query.aggregate:
        frame.facts.aggregates.add(line)
    for number in range(query.joins):
        frame.facts.joins.add((line, str(number)))
    if query.sql:
        frame.facts.sql.add((query.sql, line))
    return query.entities or UNKNOWN


def _load_eagerly(frame: Frame, value: Value, node: Node, seen: tuple[int, ...]) -> None:
    row = frame.analysis.row(value)
    for relation in row.relations.values() if row is not None and row.index not in seen else ():
        if relation.eager:
            of_relation = {relation.secondary, *frame.analysis.mapped[relation.target].tables} - {""}
            frame.note_read(sorted(of_relation), node)
            _load_eagerly(frame, Instance(relation.target), node, (*seen, row.index if row else -1))


def is_primary_key(frame: Frame, key: RowKey) -> bool:
    for mapped in frame.analysis.mapped.values():
        if mapped.table == key.table:
            return [mapped.columns.get(name, name) for name in mapped.primary_key] == [key.column]
    return False


def write(frame: Frame, query: Query, name: str, arguments: Arguments) -> Values:
    """`query.update(…)`, `query.delete()`: a bulk write of the query's first table."""
    targets = {row.table for row in map(frame.analysis.row, query.entities) if row is not None}
    targets = targets or set(sorted(query.tables)[:1]) or {"?"}
    _write(frame, replace(query, verb=name), targets, "bulk", arguments.node)
    return PLAIN


def _write(frame: Frame, query: Query, targets: set[str], how: WriterHow, node: Node) -> None:
    for table in sorted(targets):
        frame.note_write(table, how, node)
        for child in sorted(frame.analysis.cascades(table)) if query.verb == "delete" else ():
            frame.note_write(child, "cascade", node)
    others = query.tables - targets
    if others:
        frame.note_read(sorted(others), node)
