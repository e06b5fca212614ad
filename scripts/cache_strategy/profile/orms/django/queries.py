"""Managers and query sets: how they are put together, what their lookups reach, what running one reads."""

from collections.abc import Iterable
from dataclasses import replace as changed
from typing import TYPE_CHECKING

from cache_strategy.profile import calls, sql
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import saving
from cache_strategy.profile.orms.django.models import ORM, Model, is_manager
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    Instance,
    Made,
    Many,
    Mapping,
    Method,
    Parts,
    Query,
    RowKey,
    Values,
    join,
    many,
    one,
    replace,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

_ONE = frozenset(
    "get first last latest earliest get_by_natural_key get_for_model get_for_id get_current".split()
)
_PLAIN = frozenset("count exists aggregate contains explain".split())
_LOADING = frozenset(("select_related", "prefetch_related"))
_NAMING = frozenset(
    "order_by values values_list annotate alias aggregate only defer distinct dates datetimes".split()
)
_BUILDING = _LOADING | _NAMING | frozenset(
    "all filter exclude using reverse union intersection difference none select_for_update extra complex_filter "
    "get_queryset get_query_set db_manager non_polymorphic".split()
)  # fmt: skip
_KNOWN = _ONE | _PLAIN | _BUILDING | saving.SAVING | saving.OF_RELATION | {"iterator", "in_bulk"}
_AGGREGATES = frozenset("Count Sum Avg Min Max StdDev Variance ArrayAgg StringAgg".split())
_LITERAL = frozenset(("Value", "OuterRef", "Cast", "RawSQL"))
_OF_KEY = frozenset("id pk exact in isnull gt gte lt lte range iexact".split())


class Reached:
    """What the arguments of a query's methods name: `tables`, those of subqueries also in `inner`."""

    def __init__(self, analysis: "Analysis", model: Model) -> None:
        self.analysis = analysis
        self.model = model
        self.tables: set[str] = set()
        self.inner: set[str] = set()
        self.keys: set[RowKey] = set()
        self.aggregate = False

    def path(self, text: str, whole: bool = False) -> None:
        """`author__profile__name`; `whole` where the rows at its end are loaded too."""
        current, parts = self.model, text.lstrip("-+?").split("__")
        for number, part in enumerate(parts):
            relation = current.relation(part)
            target = self.analysis.mapped.get(relation.target) if relation is not None else None
            if relation is None or not isinstance(target, Model):
                return
            if relation.secondary:
                self.tables.add(relation.secondary)
            rest = "".join(parts[number + 1 : number + 2])
            by_key = not whole and (not rest or (rest in _OF_KEY and target.relation(rest) is None))
            if by_key and (relation.secondary or current.is_forward(part)):
                return
            of_parent = rest and rest not in target.columns and target.relation(rest) is None
            self.tables.update(target.tables if whole or of_parent else target.tables[:1])
            current = target

    def lookups(self, keywords: Iterable[tuple[str, Values]], exact: bool = True) -> None:
        """`filter(author__name=…, pk=pk)`; `exact` where every row must fulfil them."""
        for name, values in keywords:
            self.path(name)
            self.named(values, names=False)
            attribute = self.model.primary_key[0] if name == "pk" else name.removesuffix("__exact")
            if exact and (attribute,) == self.model.primary_key:
                argument = next((v.name for v in values if isinstance(v, Argument) and len(values) == 1), "")
                self.keys.add(RowKey(self.model.table, self.model.key(), argument))

    def named(self, values: Values, *, names: bool = True, whole: bool = False) -> None:
        """`F("author__name")`, `Count("comments")`, subqueries, in lists too; `names` where plain texts are names."""
        for value in values:
            if isinstance(value, Constant) and isinstance(value.value, str) and names:
                self.path(value.value, whole)
            elif isinstance(value, Query):
                self.tables |= value.tables
                self.inner |= value.tables
            elif isinstance(value, Many | Parts):
                for part in (value.items,) if isinstance(value, Many) else value.parts:
                    self.named(part, names=names, whole=whole)
            elif isinstance(value, Made) and value.path.startswith(
                ("django.db.", "django.contrib.postgres.")
            ):
                self.expression(value, value.path[:-2].rpartition(".")[2], whole)

    def expression(self, made: Made, kind: str, whole: bool) -> None:
        self.aggregate = self.aggregate or kind in _AGGREGATES
        for argument in made.args:
            self.named(argument, names=kind not in _LITERAL, whole=whole or kind == "Prefetch")
        if kind in ("Q", "When"):
            self.lookups([k for k in made.keywords if k[0] not in ("then", "condition")], exact=False)
        for _, argument in made.keywords:
            self.named(argument, names=False)


def all_of(model: Model, kind: int = -1) -> Query:
    row = one(Instance(model.index))
    return Query(ORM, "select", row, frozenset(model.tables), kind=kind, model=model.index)


def default(model: Model) -> Query:
    return all_of(model, next(iter(model.managers.values()), -1))


def model_of(frame: "Frame", query: Query) -> Model | None:
    """The model that a query is about."""
    rows = (frame.analysis.row(v) for v in query.entities)
    found = frame.analysis.mapped.get(query.model) or next((m for m in rows if m is not None), None)
    return found if isinstance(found, Model) else None


def method(frame: "Frame", query: Query, name: str, arguments: Arguments) -> Values:
    """`query.name(…)`: a method of its manager's or query set's class, else the ORM's own."""
    analysis, model = frame.analysis, model_of(frame, query)
    wanted = name.removeprefix("super().")
    if name == "model" and query.model >= 0:
        return calls.call_value(frame, ClassRef(query.model), arguments)
    if query.kind < 0 and query.relation is not None and model is not None:
        query = replace(query, kind=default(model).kind, model=model.index)
    if query.kind >= 0 and not (name in saving.OF_RELATION and query.relation is not None):
        classes = analysis.mro(query.kind)[0]
        owner = frame.function.owner if frame.function is not None else -1
        if wanted != name and owner in classes:
            classes = classes[classes.index(owner) + 1 :]
        own = (analysis.classes[c].methods.get(wanted) for c in classes)
        found = next((m for m in own if m is not None), None)
        if found is not None:
            return _custom(frame, query, found, arguments)
        getter = analysis.method(query.kind, "get_queryset")
        if getter is not None and wanted == name and not query.target and is_manager(analysis, query.kind):
            narrowed = _custom(frame, query, getter, given(arguments.node))
            rows = [
                replace(v, relation=query.relation, target="rows") for v in narrowed if isinstance(v, Query)
            ]
            if rows:
                return join(*(method(frame, row, name, arguments) for row in rows))
    is_asynchronous = wanted[:1] == "a" and wanted[1:] in _KNOWN
    return builtin(frame, query, model, wanted[1:] if is_asynchronous else wanted, arguments)


def _custom(frame: "Frame", query: Query, function: int, arguments: Arguments) -> Values:
    model = model_of(frame, query)
    plain = query if model is None else all_of(model, query.kind)
    found = frame.invoke(function, None, changed(arguments, positional=(one(plain), *arguments.positional)))
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
    if name in saving.OF_RELATION and query.relation is not None and model is not None:
        return saving.change_relation(frame, query, model, name, arguments)
    built, node = query, arguments.node
    if model is not None:
        reached = Reached(frame.analysis, model)
        if name in _NAMING | _LOADING:
            for values in arguments.positional:
                reached.named(values, whole=name in _LOADING)
            for _, values in arguments.keywords:
                reached.named(values, names=False)
        elif name not in ("create", "bulk_create", "bulk_update", "update", "raw", "extra"):
            for values in arguments.positional:
                reached.named(values, names=False)
            reached.lookups([k for k in arguments.keywords if "defaults" not in k[0]], name != "exclude")
        built = replace(
            query,
            tables=query.tables | reached.tables,
            inner=query.inner | reached.inner,
            keys=query.keys | reached.keys,
            aggregate=query.aggregate or reached.aggregate or name in ("count", "aggregate"),
            joins=query.joins + (bool(reached.tables - query.tables) and name != "prefetch_related"),
        )
    if name in saving.SAVING:
        return saving.change(frame, built, model, name, arguments)
    if name == "raw":
        statement = sql.read_statement(text_in(arguments.get(0, "raw_query")) or "")
        reads = statement.reads if statement is not None else ("?",)
        return one(replace(query, tables=frozenset(reads), aggregate=bool(statement and statement.aggregate)))
    if name in ("values", "values_list", "dates", "datetimes"):
        return one(replace(built, entities=one(Mapping((), PLAIN)) if name == "values" else PLAIN))
    if name in _BUILDING:
        return one(built)
    found = run(frame, built, node)
    if name in _ONE:
        return found
    if name in _PLAIN:
        return one(Mapping((), PLAIN)) if name == "aggregate" else PLAIN
    if name in ("iterator", "in_bulk"):
        return many(found, lazy=True) if name == "iterator" else one(Mapping((), found))
    # a method that is not known narrows the query or runs it
    for values in arguments.all():
        frame.consume(values, node)
    return join(one(query), UNKNOWN)


def run(frame: "Frame", query: Query, node: Node) -> Values:
    keys = {key.table: key for key in sorted(query.keys, key=repr) if key.argument}
    for table in sorted(query.tables):
        frame.note_read((table,), node, keys.get(table) if table not in query.inner else None)
    line = node[1] if len(node) > 1 and isinstance(node[1], int) else 0
    if query.aggregate:
        frame.facts.aggregates.add(line)
    frame.facts.joins |= {(line, str(number)) for number in range(min(query.joins, 6))}
    return query.entities or UNKNOWN


def attribute(frame: "Frame", query: Query, name: str) -> Values:
    if name == "model" and query.model >= 0:
        return one(ClassRef(query.model))
    if name == "instance" and query.relation is not None:
        return one(Instance(query.relation[0]))
    if name in ("_db", "db"):
        return one(Constant(None))
    return (frame.analysis.attribute_of(query.kind, name) if query.kind >= 0 else NOTHING) or one(
        Method(query, name)
    )


def query_in(frame: "Frame", values: Values) -> list[Query]:
    """What `get_object_or_404` and its like are given, as queries: a model, a manager, a query set."""
    models = [m for v in values if isinstance(m := frame.analysis.model(v), Model)]
    return [default(m) for m in models] + [v for v in values if isinstance(v, Query)]
