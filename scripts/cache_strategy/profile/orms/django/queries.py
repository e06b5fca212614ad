"""Managers and query sets: how they are put together, what running one reads, what they write."""

from dataclasses import replace
from typing import TYPE_CHECKING

from cache_strategy.profile import calls, sql
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms import raw_sql
from cache_strategy.profile.orms.django import saving
from cache_strategy.profile.orms.django.lookups import Reached
from cache_strategy.profile.orms.django.models import ORM, Model, is_manager
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    Constant,
    External,
    Instance,
    Mapping,
    Method,
    Parts,
    Query,
    Value,
    Values,
    join,
    many,
    one,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_ONE = frozenset(
    "get first last latest earliest get_by_natural_key get_for_model get_for_id get_current get_solo".split()
)
_PLAIN = frozenset("count exists aggregate contains explain".split())
_NAMING = frozenset("order_by values values_list annotate alias aggregate only defer distinct dates datetimes latest earliest "
                    "in_bulk".split())  # fmt: skip
_LOADING = frozenset(("select_related", "prefetch_related"))
_SAVING = frozenset("create get_or_create update_or_create bulk_create bulk_update update delete".split())
_OF_RELATION = frozenset(("add", "remove", "set", "clear"))
_BUILDING = frozenset(
    "all filter exclude using reverse union intersection difference none select_for_update extra complex_filter get_queryset "
    "get_query_set db_manager non_polymorphic instance_of live public ordered language search published".split()
) | _NAMING | _LOADING  # fmt: skip
KNOWN = (
    _ONE
    | _PLAIN
    | _SAVING
    | _OF_RELATION
    | _BUILDING
    | frozenset(("iterator", "raw", "as_manager", "in_bulk"))
)


def all_of(model: Model, kind: int = -1) -> Query:
    """Every row of a model."""
    return Query(
        ORM, "select", one(Instance(model.index)), frozenset(model.tables), kind=kind, model=model.index
    )


def default_kind(model: Model) -> int:
    """The class of a model's default manager."""
    return next(iter(model.managers.values()), -1)


def default(model: Model) -> Query:
    """What a model's default manager gives."""
    return all_of(model, default_kind(model))


def model_of(frame: "Frame", query: Query) -> Model | None:
    """The model that a query is about."""
    found = frame.analysis.mapped.get(query.model)
    if found is None:
        found = next((m for v in query.entities if (m := frame.analysis.row(v)) is not None), None)
    return found if isinstance(found, Model) else None


def method(frame: "Frame", query: Query, name: str, arguments: Arguments) -> Values:
    """`query.name(…)`: a method of its manager's or query set's class, else the ORM's own."""
    analysis = frame.analysis
    model = model_of(frame, query)
    if query.kind < 0 and query.relation is not None and model is not None:
        query = replace(query, kind=default_kind(model), model=model.index)
    wanted = name.removeprefix("super().")
    if name == "model" and query.model >= 0:
        return calls.call_value(frame, ClassRef(query.model), arguments)
    if query.kind >= 0 and not (name in _OF_RELATION and query.relation is not None):
        classes = analysis.mro(query.kind)[0]
        owner = frame.function.owner if frame.function is not None else -1
        if wanted != name and owner in classes:
            classes = classes[classes.index(owner) + 1 :]
        found = next((m for c in classes if (m := analysis.classes[c].methods.get(wanted)) is not None), None)
        if found is not None:
            return _custom(frame, query, found, arguments)
        if (
            wanted == name
            and name != "get_queryset"
            and not query.target
            and is_manager(analysis, query.kind)
        ):
            getter = analysis.method(query.kind, "get_queryset") or analysis.method(
                query.kind, "get_query_set"
            )
            if getter is not None:
                narrowed = _custom(frame, query, getter, given(arguments.node))
                rows = [
                    replace(v, relation=query.relation, target="rows")
                    for v in narrowed
                    if isinstance(v, Query)
                ]
                if rows:
                    return join(*(method(frame, v, name, arguments) for v in rows))
    return builtin(frame, query, model, _synchronous(wanted), arguments)


def _synchronous(name: str) -> str:
    return name[1:] if name[:1] == "a" and name[1:] in KNOWN else name


def _custom(frame: "Frame", query: Query, function: int, arguments: Arguments) -> Values:
    """A method of the application's own manager or query set: evaluated for any query of the model."""
    model = model_of(frame, query)
    plain = query if model is None else all_of(model, query.kind)
    static = frame.analysis.binding(frame.analysis.functions[function]) == "static"
    positional = arguments.positional if static else (one(plain), *arguments.positional)
    found = frame.invoke(function, None, replace(arguments, positional=positional))
    return frozenset(
        replace(
            v,
            tables=v.tables | query.tables,
            joins=v.joins + query.joins,
            relation=v.relation or query.relation,
        )
        if isinstance(v, Query) and v.orm == ORM and v.model == plain.model
        else v
        for v in found
    )


def builtin(frame: "Frame", query: Query, model: Model | None, name: str, arguments: Arguments) -> Values:
    """The ORM's own methods."""
    node = arguments.node
    if model is None:
        if name in _SAVING - {"get_or_create"} and query.target:
            frame.note_write(
                query.target, "bulk" if name in ("update", "delete") or "bulk" in name else "orm", node
            )
            return PLAIN
        return (
            one(query)
            if name in _BUILDING
            else run(frame, query, node)
            if name in _ONE
            else _finish(frame, query, name, node)
        )
    if name in _OF_RELATION and query.relation is not None:
        return saving.change_relation(frame, query, model, name, arguments)
    reached = Reached(frame.analysis, model)
    if name in ("values", "values_list", "order_by", "only", "defer") or name in _NAMING or name in _LOADING:
        for values in arguments.positional:
            reached.expressions(values, whole=name in _LOADING)
        for key, values in arguments.keywords:
            if key not in ("flat", "named", "defaults"):
                reached.expressions(values, names=name in ("annotate", "aggregate", "alias") and False)
    elif name not in ("create", "bulk_create", "bulk_update", "update", "raw", "extra"):
        for values in arguments.positional:
            reached.expressions(values, names=False)
        reached.lookups(
            [(k, v) for k, v in arguments.keywords if k not in ("defaults", "create_defaults")],
            name != "exclude",
        )
    built = replace(
        query,
        tables=query.tables | reached.tables,
        inner=query.inner | reached.inner,
        keys=query.keys
        | (reached.keys if name in ("filter", "get", "get_or_create", "update_or_create") else frozenset()),
        aggregate=query.aggregate or reached.aggregate,
        joins=query.joins + (bool(reached.tables - query.tables) and name != "prefetch_related"),
    )
    if name in _SAVING:
        return saving.change(frame, built, model, name, arguments)
    if name in ("values", "values_list"):
        return one(replace(built, entities=one(Mapping((), PLAIN)) if name == "values" else PLAIN))
    if name in ("dates", "datetimes"):
        return one(replace(built, entities=PLAIN))
    if name == "raw":
        return _raw(frame, model, arguments)
    if name in _BUILDING:
        return one(
            replace(built, inner=built.inner) if name != "none" else replace(built, tables=query.tables)
        )
    if name in _ONE:
        return run(frame, built, node)
    return _finish(frame, built, name, node, arguments)


def _finish(
    frame: "Frame", query: Query, name: str, node: Node, arguments: Arguments | None = None
) -> Values:
    if name in _PLAIN:
        run(frame, replace(query, aggregate=query.aggregate or name in ("count", "aggregate")), node)
        return one(Mapping((), PLAIN)) if name == "aggregate" else PLAIN
    if name == "iterator":
        return many(run(frame, query, node), lazy=True)
    if name == "in_bulk":
        return one(Mapping((), run(frame, query, node)))
    # a method that is not known narrows the query or runs it
    for values in arguments.all() if arguments is not None else ():
        frame.consume(values, node)
    run(frame, query, node)
    return join(one(query), UNKNOWN)


def _raw(frame: "Frame", model: Model, arguments: Arguments) -> Values:
    """`Model.objects.raw("SELECT …")`."""
    text = text_in(arguments.get(0, "raw_query")) or ""
    statement = sql.read_statement(text)
    tables = set(statement.reads) if statement is not None else {"?"}
    return one(Query(ORM, "select", one(Instance(model.index)), frozenset(tables or {"?"}),
                     aggregate=bool(statement and statement.aggregate), model=model.index))  # fmt: skip


def run(frame: "Frame", query: Query, node: Node) -> Values:
    """Runs a query: notes what it reads; gives what one result is."""
    keys = {key.table: key for key in sorted(query.keys, key=repr) if key.argument}
    for table in sorted(query.tables):
        frame.note_read((table,), node, keys.get(table) if table not in query.inner else None)
    line = node[1] if len(node) > 1 and isinstance(node[1], int) else 0
    if query.aggregate:
        frame.facts.aggregates.add(line)
    for number in range(min(query.joins, 6)):
        frame.facts.joins.add((line, str(number)))
    return query.entities or UNKNOWN


def attribute(frame: "Frame", query: Query, name: str) -> Values:
    """Attributes of managers and query sets."""
    if name == "model" and query.model >= 0:
        return one(ClassRef(query.model))
    if name == "instance" and query.relation is not None:
        return one(Instance(query.relation[0]))
    if name in ("_db", "db", "ordered"):
        return one(Constant(None))
    if query.kind >= 0:
        member = frame.analysis.member(query.kind, name)
        if member is not None and member[0] == "attribute":
            return frame.analysis.class_attribute(member[2], name) or UNKNOWN
    return one(Method(query, name))


def query_in(frame: "Frame", values: Values) -> Values:
    """What `get_object_or_404` and its like are given, as queries: a model, a manager, a query set."""
    found: Values = NOTHING
    for value in values:
        model = frame.analysis.model(value)
        found |= (
            one(default(model))
            if isinstance(model, Model)
            else one(value)
            if isinstance(value, Query)
            else NOTHING
        )
    return found


def execute(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`connection.cursor().execute("…")`."""
    last = path.rpartition(".")[2]
    if last in ("cursor", "chunked_cursor", "schema_editor"):
        return one(External("django.db.connection.cursor()"))
    if last in ("execute", "executemany"):
        if not raw_sql.execute(frame, arguments):
            frame.facts.unknown.add("a statement that is put together at run time")
            frame.note_read(("?",), arguments.node)
            text = text_in(arguments.get(0)) or ""
            if not text.lstrip().lower().startswith("select"):
                frame.note_write("?", "raw-sql", arguments.node)
        return one(External("django.db.connection.cursor()"))
    if last in ("fetchall", "fetchmany", "fetchone"):
        return many(one(Parts((PLAIN,)))) if last != "fetchone" else PLAIN
    return None
