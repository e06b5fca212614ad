"""Turning rows into an answer: schemas of marshmallow and its kin, field tables of Flask-RESTful, JSON encoders."""

from cache_strategy.profile import attributes
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node, line_of
from cache_strategy.profile.plugins import given
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Page,
    Parts,
    Query,
    Value,
    Values,
    contents,
    is_true,
    join,
    literal,
    one,
    text_in,
    texts_in,
)

_DUMP_HOOKS = frozenset({"post_dump", "pre_dump"})
_FIELDS = ("marshmallow.fields.", "flask_restful.fields.")
# Nested schemas of real applications stop long before; deeper ones are cycles.
_DEEPEST = 6
_NO_NAMES: frozenset[str] = frozenset()


def is_schema(frame: Frame, value: Value) -> bool:
    paths = frame.analysis.mro(value.index)[1] if isinstance(value, Instance | ClassRef) else ()
    return any(
        "marshmallow" in path and path.rstrip("()").endswith(("Schema", "SchemaBase")) for path in paths
    )


def serialize(frame: Frame, values: Values, schemas: Values, node: Node) -> None:
    """Notes what writing `values` out by a schema reads; a schema that cannot be resolved reads everything."""
    for schema in schemas or UNKNOWN:
        _Writing(frame, node).by(values, schema, 0)


class _Writing:
    """Writes an answer out; `seen` are the (schema, row) that were written already."""

    def __init__(self, frame: Frame, node: Node) -> None:
        self.frame, self.node, self.analysis = frame, node, frame.analysis
        self.seen: set[tuple[int, Value]] = set()

    def by(self, values: Values, schema: Value, level: int) -> None:
        made = schema.path if isinstance(schema, Made) else ""
        if level > _DEEPEST:
            return
        if is_schema(self.frame, schema) and isinstance(schema, Instance | ClassRef):
            self.dump(values, schema.index, level)
        elif isinstance(schema, Made) and made.startswith(_FIELDS):
            self.field(values, "", schema, schema.owner, level)
        elif made.endswith((".model()", ".clone()", ".inherit()")):
            for inner in NOTHING.union(*contents(schema)):
                if isinstance(inner, Mapping):
                    self.by(values, inner, level)
        elif isinstance(schema, Mapping):
            rows = rows_in(self.frame, values, self.node)
            for name, found in schema.fields:
                for inner in found:
                    if isinstance(inner, Made) and inner.path.startswith(_FIELDS):
                        self.field(rows, name, inner, -1, level)
                    elif isinstance(inner, Mapping):
                        self.by(rows, inner, level + 1)
                    else:
                        self.frame.consume(self.get(rows, name), self.node)
        else:
            encode(self.frame, values, self.node)

    def get(self, values: Values, name: str) -> Values:
        kept = (value for value in values if isinstance(value, Instance | Made | Mapping))
        return join(*(attributes.get(self.frame, one(value), name, self.node) for value in kept))

    def dump(
        self, values: Values, schema: int, level: int, excluded: frozenset[str] = _NO_NAMES,
        only: frozenset[str] = _NO_NAMES,
    ) -> None:  # fmt: skip
        rows = frozenset(v for v in rows_in(self.frame, values, self.node) if (schema, v) not in self.seen)
        if not rows or level > _DEEPEST:
            return
        self.seen.update((schema, value) for value in rows)
        for value in rows:
            row = self.analysis.row(value)
            if row is not None and isinstance(value, Instance) and value.new:
                # a row that was just committed is read again before it is written out
                self.frame.note_read(row.tables, self.node)
        done = set(excluded)
        for ancestor in self.analysis.mro(schema)[0]:
            info = self.analysis.classes[ancestor]
            for name in [n for n in info.attributes if n not in done and (not only or n in only)]:
                for made in self.analysis.class_attribute(ancestor, name):
                    if isinstance(made, Made) and made.path.startswith(_FIELDS):
                        self.field(rows, name, made, schema, level)
            for name, index in info.methods.items():
                hooks = {last_name(d) for d in self.analysis.functions[index].decorators}
                if name not in done and hooks & _DUMP_HOOKS:
                    self.frame.invoke(index, Instance(schema), given(self.node, UNKNOWN))
            done.update(info.attributes, info.methods)
            if "Meta" in info.classes:
                self.meta(rows, info.classes["Meta"])

    def meta(self, rows: Values, meta: int) -> None:
        attributes_of = self.analysis.classes[meta].attributes
        if "fields" in attributes_of:
            for name in texts_in(self.analysis.class_attribute(meta, "fields")):
                self.get(rows, name)
        for value in rows if "include_relationships" in attributes_of else ():
            mapped = self.analysis.row(value)
            for name in mapped.relations if mapped is not None else ():
                self.frame.iterate(self.get(one(value), name), self.node)

    def field(self, values: Values, name: str, made: Made, schema: int, level: int) -> None:
        frame = self.frame
        kind = made.path.rstrip("()").rpartition(".")[2]
        if is_true(made.keyword("load_only")):
            return
        if kind in ("Method", "Function"):
            for value in made.arg(0, "serialize"):
                method = self.analysis.method(schema, literal(value) or "") if schema >= 0 else None
                if method is not None:
                    frame.invoke(method, Instance(schema), given(self.node, values))
                elif isinstance(value, FunctionRef):
                    frame.invoke(value.index, value.receiver, given(self.node, values))
            return
        named = text_in(made.keyword("attribute"))
        if named is None and made.path.startswith("flask_restful.") and kind not in ("Nested", "List"):
            named = text_in(made.arg(0))
        found = values
        for part in (named or name).split(".") if name else ():
            found = self.get(found, part)
        inner = made.arg(0, "nested") or made.keyword("cls_or_instance")
        if kind not in ("Nested", "Pluck", "List"):
            frame.consume(found, self.node)
            return
        found = rows_in(frame, found, self.node)
        frame.loops += 1
        excluded, only = (frozenset(texts_in(made.keyword(word))) for word in ("exclude", "only"))
        for value in inner:
            if kind == "List" or isinstance(value, Mapping):
                self.by(found, value, level + 1)
            for nested in self.nested(value, schema) if kind != "List" else ():
                self.dump(found, nested, level + 1, excluded, only)
        frame.loops -= 1

    def nested(self, value: Value, schema: int) -> list[int]:
        """The schemas that a nested field names: a class, its name, a function that gives it."""
        if isinstance(value, Instance | ClassRef):
            return [value.index]
        if isinstance(value, FunctionRef):
            context = self.analysis.generic(self.analysis.functions[value.index])
            return [v.index for v in context.returns if isinstance(v, Instance | ClassRef)]
        name = literal(value)
        if name is None or name == "self":
            return [schema] if name else []
        named = [c.index for c in self.analysis.classes if c.name == name.rpartition(".")[2]]
        return [i for i in named[:3] if is_schema(self.frame, ClassRef(i))]


def loaded(frame: Frame, schema: int) -> Values:
    """What `schema.load(data)` gives: a new row where the schema makes rows, else plain data."""
    analysis = frame.analysis
    for ancestor in analysis.mro(schema)[0]:
        meta = analysis.classes[ancestor].classes.get("Meta")
        models = (
            analysis.class_attribute(meta, "model")
            if meta and "model" in analysis.classes[meta].attributes
            else ()
        )
        for value in models:
            if isinstance(value, ClassRef) and analysis.model(value) is not None:
                row = one(Instance(value.index, True))
                # marshmallow 2 gives (data, errors)
                return row | one(Mapping((("data", row), ("errors", PLAIN))))
    return PLAIN


def rows_in(frame: Frame, values: Values, node: Node) -> Values:
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Many | Page | Parts):
            # parts: (body, status) of an endpoint
            found = join(found, *(rows_in(frame, part, node) for part in contents(value)))
        elif isinstance(value, Query):
            found = join(found, frame.iterate(one(value), node))
        else:
            found = join(found, one(value))
    return found


def encode(frame: Frame, values: Values, node: Node, level: int = 0) -> None:
    """
    Notes what writing values out by an encoder that is not known reads: queries are run; of a row everything
    that hangs on it, since nobody can say what the encoder takes.
    """
    for value in values:
        if isinstance(value, Instance) and frame.analysis.row(value) is not None:
            close_over(frame, value, node)
            frame.facts.unknown.add("how rows are written out")
        elif isinstance(value, Query):
            encode(frame, frame.iterate(one(value), node), node, level + 1)
        elif level < _DEEPEST and not isinstance(value, Made):
            for part in contents(value):
                encode(frame, part, node, level + 1)


def close_over(frame: Frame, value: Instance, node: Node) -> None:
    """Notes everything that hangs on a row; looked up once per kind of row, and noted again at each place."""
    analysis = frame.analysis
    kept = analysis.closures
    key = (value, frame.loops > 0)
    found = kept.get(key)
    if found is None:
        outer, frame.facts = frame.facts, Facts()
        try:
            _close_over(frame, value, node, set())
            found = kept[key] = frame.facts
        finally:
            frame.facts = outer
    for call in found.calls:
        # one that is being evaluated was asked for during its own evaluation
        analysis.contexts[call.callee].again = True
    frame.facts.include(found.at(line_of(node)))


def _close_over(frame: Frame, value: Instance, node: Node, seen: set[int]) -> None:
    analysis = frame.analysis
    mapped = analysis.mapped.get(value.index)
    if mapped is None or value.index in seen:
        return
    seen.add(value.index)
    whole, key = frame.facts, (value, frame.loops > 0)
    known = analysis.rows_over.get(key)
    if known is not None:
        whole.include(known[0].at(line_of(node)))
        for row in known[1]:
            _close_over(frame, row, node, seen)
        return
    own = Facts()
    inside: list[Instance] = []
    for name in mapped.relations:
        frame.facts = own
        found = rows_in(frame, attributes.get(frame, one(value), name, node), node)
        frame.facts = whole
        for inner in found:
            if isinstance(inner, Instance):
                inside.append(inner)
                _close_over(frame, inner, node, seen)
    frame.facts = own
    for ancestor in analysis.mro(value.index)[0]:
        for index in analysis.classes[ancestor].methods.values():
            if analysis.binding(analysis.functions[index]) == "property":
                frame.invoke(index, value, given(node))
    frame.facts = whole
    whole.include(own)
    analysis.rows_over[key] = (own, inside)
