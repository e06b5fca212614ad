"""Turning rows into an answer: schemas of marshmallow and its kin, field tables of Flask-RESTful, JSON encoders."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes
from cache_strategy.profile.lowering import Node
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

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_SCHEMAS = frozenset(
    """Schema SQLAlchemySchema SQLAlchemyAutoSchema ModelSchema TableSchema HyperlinkModelSchema""".split()
)
_DUMP_HOOKS = frozenset({"post_dump", "pre_dump"})
_FIELDS = ("marshmallow.fields.", "flask_restful.fields.")
# Nested schemas of real applications stop long before; deeper ones are cycles.
_DEEPEST = 6


def is_schema(frame: "Frame", value: Value) -> bool:
    if isinstance(value, Instance | ClassRef):
        return any(
            path.rstrip("()").rpartition(".")[2] in _SCHEMAS and "marshmallow" in path
            for path in frame.analysis.mro(value.index)[1]
        )
    return False


def serialize(frame: "Frame", values: Values, schemas: Values, node: Node) -> None:
    """Notes what writing `values` out by a schema reads; a schema that cannot be resolved reads everything."""
    for schema in schemas:
        if is_schema(frame, schema) and isinstance(schema, Instance | ClassRef):
            dump(frame, values, schema.index, node)
        elif isinstance(schema, Made) and schema.path.startswith(_FIELDS):
            _field(frame, values, "", schema, schema.owner, node, 0, frozenset())
        else:
            made = isinstance(schema, Made) and schema.path.endswith((".model()", ".clone()", ".inherit()"))
            inner = NOTHING.union(*contents(schema)) if made else one(schema)
            tables = [fields for fields in inner if isinstance(fields, Mapping)]
            for fields in tables:
                _by_fields(frame, values, fields, node, 0)
            if not tables:
                encode(frame, values, node)
    if not schemas:
        encode(frame, values, node)


def dump(
    frame: "Frame",
    values: Values,
    schema: int,
    node: Node,
    level: int = 0,
    excluded: frozenset[str] = frozenset(),
    only: frozenset[str] = frozenset(),
    seen: frozenset[tuple[int, Value]] = frozenset(),
) -> None:
    analysis = frame.analysis
    items = rows_in(frame, values, node)
    fresh = frozenset(v for v in items if (schema, v) not in seen)
    if not fresh or level > _DEEPEST:
        return
    seen = seen | frozenset((schema, v) for v in fresh)
    for value in fresh:
        row = analysis.row(value)
        if row is not None and isinstance(value, Instance) and value.new:
            # a row that was just committed is read again before it is written out
            frame.note_read(row.tables, node)
    done: set[str] = set()
    for ancestor in analysis.mro(schema)[0]:
        info = analysis.classes[ancestor]
        for name in info.attributes:
            if name in done or name in excluded or (only and name not in only):
                continue
            done.add(name)
            for made in analysis.class_attribute(ancestor, name):
                if isinstance(made, Made) and made.path.startswith(_FIELDS):
                    _field(frame, fresh, name, made, schema, node, level, seen)
        for name, index in info.methods.items():
            function = analysis.functions[index]
            if name not in done and any(last_name(d) in _DUMP_HOOKS for d in function.decorators):
                done.add(name)
                frame.invoke(index, Instance(schema), given(node, UNKNOWN))
        if "Meta" in info.classes:
            _meta(frame, fresh, info.classes["Meta"], node)


def loaded(frame: "Frame", schema: int) -> Values:
    """What `schema.load(data)` gives: a new row where the schema makes rows, else plain data."""
    analysis = frame.analysis
    for ancestor in analysis.mro(schema)[0]:
        meta = analysis.classes[ancestor].classes.get("Meta")
        if meta is None or "model" not in analysis.classes[meta].attributes:
            continue
        for value in analysis.class_attribute(meta, "model"):
            if isinstance(value, ClassRef) and analysis.model(value) is not None:
                row = one(Instance(value.index, True))
                # marshmallow 2 gives (data, errors)
                return row | one(Mapping((("data", row), ("errors", PLAIN))))
    return PLAIN


def _meta(frame: "Frame", values: Values, meta: int, node: Node) -> None:
    analysis = frame.analysis
    info = analysis.classes[meta]
    if "fields" in info.attributes:
        for name in texts_in(analysis.class_attribute(meta, "fields")):
            attributes.get(frame, values, name, node)
    if "include_relationships" in info.attributes:
        for value in values:
            mapped = analysis.row(value)
            for name in mapped.relations if mapped is not None else ():
                frame.iterate(attributes.get(frame, one(value), name, node), node)


def _field(
    frame: "Frame",
    values: Values,
    name: str,
    made: Made,
    schema: int,
    node: Node,
    level: int,
    seen: frozenset[tuple[int, Value]],
) -> None:
    if is_true(made.keyword("load_only")):
        return
    kind = made.path.rstrip("()").rpartition(".")[2]
    if kind in ("Method", "Function"):
        _computed(frame, values, made, schema, node)
        return
    named = text_in(made.keyword("attribute"))
    if named is None and made.path.startswith("flask_restful.") and kind not in ("Nested", "List"):
        named = text_in(made.arg(0))
    found = values
    if name:
        for part in (named or name).split("."):
            found = _of_rows(frame, found, part, node)
    inner = made.arg(0, "nested") or made.keyword("cls_or_instance")
    if kind in ("Nested", "Pluck"):
        frame.loops += 1
        excluded = frozenset(texts_in(made.keyword("exclude")))
        only = frozenset(texts_in(made.keyword("only")))
        for nested in _schemas_of(frame, inner, schema):
            dump(frame, found, nested, node, level + 1, excluded, only, seen)
        for value in inner:
            if isinstance(value, Mapping):
                _by_fields(frame, found, value, node, level + 1)
        frame.loops -= 1
    elif kind == "List":
        items = rows_in(frame, found, node)
        frame.loops += 1
        for value in inner:
            if isinstance(value, Made) and value.path.startswith(_FIELDS):
                _field(frame, items, "", value, schema, node, level + 1, seen)
        frame.loops -= 1
    else:
        frame.consume(found, node)


def _computed(frame: "Frame", values: Values, made: Made, schema: int, node: Node) -> None:
    for value in made.arg(0, "serialize"):
        name = literal(value)
        method = frame.analysis.method(schema, name) if name is not None and schema >= 0 else None
        if method is not None:
            frame.invoke(method, Instance(schema), given(node, values))
        elif isinstance(value, FunctionRef):
            frame.invoke(value.index, value.receiver, given(node, values))


def _schemas_of(frame: "Frame", values: Values, schema: int) -> list[int]:
    analysis = frame.analysis
    found = []
    for value in values:
        if isinstance(value, Instance | ClassRef):
            found.append(value.index)
        elif isinstance(value, FunctionRef):
            context = analysis.generic(analysis.functions[value.index])
            found.extend(v.index for v in context.returns if isinstance(v, Instance | ClassRef))
        elif literal(value) == "self":
            found.append(schema)
        elif (name := literal(value)) is not None:
            named = [c.index for c in analysis.classes if c.name == name.rpartition(".")[2]]
            found.extend(i for i in named[:3] if is_schema(frame, ClassRef(i)))
    return found


def _by_fields(frame: "Frame", values: Values, fields: Mapping, node: Node, level: int) -> None:
    if level > _DEEPEST:
        return
    items = rows_in(frame, values, node)
    for name, found in fields.fields:
        for made in found:
            if isinstance(made, Made) and made.path.startswith(_FIELDS):
                _field(frame, items, name, made, -1, node, level, frozenset())
            elif isinstance(made, Mapping):
                _by_fields(frame, items, made, node, level + 1)
            else:
                frame.consume(_of_rows(frame, items, name, node), node)


def _of_rows(frame: "Frame", values: Values, name: str, node: Node) -> Values:
    kept = (value for value in values if isinstance(value, Instance | Made | Mapping))
    return join(*(attributes.get(frame, one(value), name, node) for value in kept))


def rows_in(frame: "Frame", values: Values, node: Node) -> Values:
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


def encode(frame: "Frame", values: Values, node: Node, level: int = 0) -> None:
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


def close_over(frame: "Frame", value: Instance, node: Node, seen: set[int] | None = None) -> None:
    seen = set() if seen is None else seen
    analysis = frame.analysis
    mapped = analysis.mapped.get(value.index)
    if mapped is None or value.index in seen:
        return
    seen.add(value.index)
    for name in mapped.relations:
        for inner in rows_in(frame, attributes.get(frame, one(value), name, node), node):
            if isinstance(inner, Instance):
                close_over(frame, inner, node, seen)
    for ancestor in analysis.mro(value.index)[0]:
        for index in analysis.classes[ancestor].methods.values():
            if analysis.binding(analysis.functions[index]) == "property":
                frame.invoke(index, value, given(node))
