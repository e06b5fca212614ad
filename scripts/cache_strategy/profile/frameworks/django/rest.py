"""Serializers and filters of REST framework: what writing rows out reads, what checking and saving does."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.frameworks.django import forms
from cache_strategy.profile.frameworks.django.knowledge import REST_REQUEST
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import queries, saving, settings
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Method,
    Page,
    Parts,
    Query,
    Unknown,
    Value,
    Values,
    is_true,
    join,
    many,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

PREFIX = "rest_framework.serializers."
_DEEPEST = 6
_BY_KEY = ("PrimaryKeyRelatedField", "HyperlinkedIdentityField", "HiddenField")
_BACKENDS = "DEFAULT_FILTER_BACKENDS"


def kind_of(value: Value) -> str:
    """The class of a field or serializer of the package; "" for anything else."""
    return (
        value.path[len(PREFIX) : -2]
        if isinstance(value, Made) and value.path.startswith(PREFIX) and value.path.endswith("()")
        else ""
    )


def is_serializer(value: Value) -> bool:
    """Whether a value is a serializer."""
    return kind_of(value).endswith("Serializer")


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """`serializer.data` and its like."""
    if not isinstance(value, Made) or not is_serializer(value):
        return None
    if name == "data":
        represent(frame, value, _given(value) or _created(frame, value), node)
        return one(External("rest_framework.response.data"))
    if name == "instance":
        return _given(value) or _created(frame, value)
    if name == "context":
        request = one(External(f"{REST_REQUEST}()"))
        return frozenset(v for v in value.keyword("context") if isinstance(v, Mapping)) or one(
            Mapping((("request", request),), UNKNOWN)
        )
    if name in ("initial_data", "validated_data"):
        frame.note_context("body", "", node)
        return UNKNOWN
    return PLAIN if name in ("errors", "fields", "_errors", "partial") else None


def _given(made: Made) -> Values:
    """The rows that a serializer was given."""
    found = (made.args[0] if made.args else NOTHING) | made.keyword("instance")
    return frozenset(v for v in found if not isinstance(v, Constant | Argument | Unknown))


def _created(frame: "Frame", made: Made) -> Values:
    """A row of the serializer's model, where none is known."""
    model = forms.model_behind(frame, one(made))
    return one(Instance(model.index)) if model is not None else NOTHING


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`serializer.is_valid()`, `serializer.save(…)`, what `super()` does in a serializer, responses."""
    if path == "rest_framework.response.Response":
        frame.consume(arguments.get(0, "data"), arguments.node)
        return one(External(path + "()"))
    last = path.rpartition(".")[2]
    if last == "register" and isinstance(receiver, Made):
        return _register(frame, receiver, arguments)
    if not isinstance(receiver, Made) or not kind_of(receiver):
        return None
    node = arguments.node
    if last == "is_valid":
        frame.note_context("body", "", node)
        check(frame, receiver, node)
        return PLAIN
    if last == "save":
        return _save(frame, receiver, arguments)
    if last in ("create", "update"):
        return _write(frame, receiver, arguments.get(0) if last == "update" else NOTHING, node)
    if last == "to_representation":
        represent(frame, receiver, arguments.get(0), node, own=False)
        return one(Mapping((), PLAIN))
    if last in ("validate", "to_internal_value", "run_validation"):
        return arguments.get(0)
    return (
        UNKNOWN
        if last == "get_queryset"
        else PLAIN
        if last in ("get_fields", "get_value", "fail", "bind", "get_attribute")
        else None
    )


def _register(frame: "Frame", receiver: Made, arguments: Arguments) -> Values | None:
    from cache_strategy.profile.frameworks.django import urls

    if receiver.path not in urls.ROUTERS:
        return None
    urls.register(
        frame.analysis, receiver, text_in(arguments.get(0, "prefix")) or "", arguments.get(1, "viewset")
    )
    return NOTHING


# --- writing out


def represent(frame: "Frame", serializer: Made, values: Values, node: Node, level: int = 0, own: bool = True,
              seen: frozenset[tuple[int, Value]] = frozenset()) -> None:  # fmt: skip
    """Notes what writing rows out by a serializer reads."""
    analysis = frame.analysis
    rows = rows_of(frame, values, node)
    index = serializer.owner
    fresh = frozenset(v for v in rows if (index, v) not in seen)
    if not fresh or level > _DEEPEST or index < 0:
        return
    seen |= {(index, v) for v in fresh}
    frame.loops += level > 0 or any(isinstance(v, Query | Many) for v in values)
    if own and analysis.method(index, "to_representation") is not None:
        calls.call_method(frame, serializer, "to_representation", given(node, fresh))
    else:
        declared = fields_of(frame, index)
        model = forms.model_behind(frame, one(serializer))
        names = list(declared)
        if model is not None:
            names = forms.names_of(analysis, index, model)
            names = (
                list(dict.fromkeys([*names, *declared]))
                if "__all__" in texts_in(forms.meta(analysis, index, "fields"))
                else names
            )
        for name in names:
            _field(frame, serializer, fresh, name, declared.get(name), node, level, seen)
    frame.loops -= level > 0 or any(isinstance(v, Query | Many) for v in values)


def fields_of(frame: "Frame", index: int) -> dict[str, Made]:
    """The fields that a serializer declares."""
    analysis = frame.analysis
    found: dict[str, Made] = {}
    for ancestor in reversed(analysis.mro(index)[0]):
        for name in analysis.classes[ancestor].attributes:
            for value in analysis.class_attribute(ancestor, name):
                if isinstance(value, Made) and kind_of(value):
                    found[name] = value
    return found


def _field(frame: "Frame", serializer: Made, rows: Values, name: str, made: Made | None, node: Node, level: int,
           seen: frozenset[tuple[int, Value]]) -> None:  # fmt: skip
    kind = kind_of(made) if made is not None else ""
    if made is not None and is_true(made.keyword("write_only")):
        return
    if made is not None and kind == "SerializerMethodField":
        method = text_in(made.args[0] if made.args else made.keyword("method_name")) or f"get_{name}"
        frame.consume(calls.call_method(frame, serializer, method, given(node, rows)), node)
        return
    source = (text_in(made.keyword("source")) if made is not None else None) or name
    single = "." not in source and all(_is_key(frame, v, source) for v in rows)
    if single and (made is None or kind in _BY_KEY):
        depth = forms.meta(frame.analysis, serializer.owner, "depth")
        if not depth or made is not None:
            return
    found = rows if source == "*" else _along(frame, rows, source, node)
    if made is not None and is_serializer(made):
        represent(frame, made, found, node, level + 1, seen=seen)
    elif (
        made is not None
        and made.owner >= 0
        and frame.analysis.method(made.owner, "to_representation") is not None
    ):
        calls.call_method(frame, made, "to_representation", given(node, rows_of(frame, found, node) or found))
    else:
        for child in (
            made.keyword("child") | (made.args[0] if made.args else NOTHING) if made is not None else ()
        ):
            if isinstance(child, Made) and is_serializer(child):
                represent(frame, child, found, node, level + 1, seen=seen)
        inner = rows_of(frame, found, node)
        if kind == "StringRelatedField":
            for value in inner:
                if isinstance(value, Instance) and frame.analysis.method(value.index, "__str__") is not None:
                    calls.call_method(frame, value, "__str__", given(node))
        elif kind == "SlugRelatedField" and made is not None:
            _along(frame, inner, text_in(made.keyword("slug_field")) or "pk", node)


def _is_key(frame: "Frame", value: Value, name: str) -> bool:
    model = frame.analysis.row(value)
    return (
        isinstance(model, Model)
        and (relation := model.relation(name)) is not None
        and not relation.many
        and model.is_forward(name)
    )


def _along(frame: "Frame", values: Values, source: str, node: Node) -> Values:
    """`author.profile.image`: attributes in turn, what can be called is called."""
    for part in source.split("."):
        values = attributes.get(
            frame, frozenset(v for v in values if not isinstance(v, Constant)), part, node
        )
        called: Values = NOTHING
        for value in values:
            called = join(
                called,
                calls.call_value(frame, value, given(node))
                if isinstance(value, FunctionRef | Method)
                else one(value),
            )
        values = called
    return values


def rows_of(frame: "Frame", values: Values, node: Node) -> Values:
    """The single rows in values; queries among them are run."""
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Many | Page):
            found = join(found, rows_of(frame, value.items, node))
        elif isinstance(value, Query):
            found = join(found, frame.iterate(one(value), node))
        elif isinstance(value, Parts):
            found = join(found, *(rows_of(frame, part, node) for part in value.parts))
        elif isinstance(value, Instance | Mapping | Made):
            found = join(found, one(value))
    return found


# --- reading in


def check(frame: "Frame", serializer: Made, node: Node, level: int = 0) -> None:
    """What is sent is checked: the application's own methods, rows that are named, values that no two rows may share."""
    analysis = frame.analysis
    index = serializer.owner
    if index < 0 or level > _DEEPEST:
        return
    model = forms.model_behind(frame, one(serializer))
    declared = fields_of(frame, index)
    names = forms.names_of(analysis, index, model) if model is not None else list(declared)
    if model is not None and (model.unique - set(model.primary_key)) & (
        set(names) - set(texts_in(forms.meta(analysis, index, "read_only_fields")))
    ):
        frame.note_read(model.tables[:1], node)
    for name in names:
        made = declared.get(name)
        if made is None:
            relation = model.relation(name) if model is not None else None
            if (
                relation is not None
                and relation.target in analysis.mapped
                and name not in texts_in(forms.meta(analysis, index, "read_only_fields"))
            ):
                frame.note_read(analysis.mapped[relation.target].tables, node)
        elif not is_true(made.keyword("read_only")):
            frame.consume(frozenset(v for v in made.keyword("queryset") if isinstance(v, Query)), node)
            if is_serializer(made):
                check(frame, made, node, level + 1)
            elif made.owner >= 0 and analysis.method(made.owner, "to_internal_value") is not None:
                calls.call_method(frame, made, "to_internal_value", given(node, UNKNOWN))
    for ancestor in analysis.mro(index)[0]:
        for name in analysis.classes[ancestor].methods:
            if name == "validate" or name.startswith("validate_"):
                calls.call_method(frame, serializer, name, given(node, one(Mapping((), UNKNOWN))))


def _save(frame: "Frame", serializer: Made, arguments: Arguments) -> Values:
    """`serializer.save(author=…)` runs `create` or `update` of the serializer."""
    rows = rows_of(frame, _given(serializer), arguments.node)
    data = one(Mapping(arguments.keywords, UNKNOWN))
    found: Values = NOTHING
    for name, sent in (("update", (rows, data)), ("create", (data,))):
        if (name == "update") == bool(rows):
            if serializer.owner >= 0 and frame.analysis.method(serializer.owner, name) is not None:
                found = join(found, calls.call_method(frame, serializer, name, given(arguments.node, *sent)))
            else:
                found = join(found, _write(frame, serializer, rows, arguments.node))
    return found


def _write(frame: "Frame", serializer: Made, rows: Values, node: Node) -> Values:
    """What a serializer of a model does by itself: the row is saved, then its many-to-many rows."""
    model = forms.model_behind(frame, one(serializer))
    if model is None:
        model = next((m for v in rows if isinstance(m := frame.analysis.row(v), Model)), None)
    if model is None:
        frame.note_write("?", "orm", node)
        return rows or UNKNOWN
    saving.save(frame, model, node)
    declared = fields_of(frame, serializer.owner)
    for name in forms.names_of(frame.analysis, serializer.owner, model):
        made = declared.get(name)
        relation = model.relation((text_in(made.keyword("source")) if made is not None else None) or name)
        if (
            relation is not None
            and relation.secondary
            and not (made is not None and is_true(made.keyword("read_only")))
        ):
            saving.replace_between(frame, relation, node)
    return one(Instance(model.index))


# --- filters


def filtered(frame: "Frame", view: Value, values: Values, backends: Values, node: Node) -> Values:
    """A query set after the filter backends of a view."""
    analysis = frame.analysis
    found = many(backends) if backends else NOTHING
    chosen = (
        list(frame.iterate(backends, node))
        if found
        else [v for t in settings.rest_default(analysis, _BACKENDS) for v in settings.by_name(analysis, t)]
    )
    request = view.keyword("request") if isinstance(view, Made) else NOTHING
    for backend in sorted(chosen, key=repr):
        if isinstance(backend, ClassRef) and analysis.method(backend.index, "filter_queryset") is not None:
            values = (
                calls.call_method(
                    frame, Instance(backend.index), "filter_queryset", given(node, request, values, one(view))
                )
                or values
            )
        elif isinstance(backend, External | ClassRef):
            values = _by_fields(frame, view, values, node)
    return values


def _by_fields(frame: "Frame", view: Value, values: Values, node: Node) -> Values:
    names: list[str] = []
    for attribute_name in ("search_fields", "filterset_fields", "filter_fields", "ordering_fields"):
        if isinstance(view, Made) and frame.analysis.member(view.owner, attribute_name) is not None:
            for value in attributes.get(frame, one(view), attribute_name, node):
                names.extend(
                    texts_in(one(value)) if not isinstance(value, Mapping) else [n for n, _ in value.fields]
                )
            frame.note_context("query", "", node)
    for name in ("filterset_class", "filter_class"):
        if isinstance(view, Made) and frame.analysis.member(view.owner, name) is not None:
            frame.note_context("query", "", node)
            for value in attributes.get(frame, one(view), name, node):
                names.extend(
                    _of_filterset(frame, value.index, values, node) if isinstance(value, ClassRef) else ()
                )
    lookups = Arguments((), tuple((n.lstrip("^=@$-"), PLAIN) for n in names if n != "__all__"), node)
    return (
        join(
            *(queries.method(frame, v, "filter", lookups) if isinstance(v, Query) else one(v) for v in values)
        )
        if names
        else values
    )


def _of_filterset(frame: "Frame", index: int, values: Values, node: Node) -> list[str]:
    analysis = frame.analysis
    names = texts_in(forms.meta(analysis, index, "fields"))
    for value in forms.meta(analysis, index, "fields"):
        names.extend([n for n, _ in value.fields] if isinstance(value, Mapping) else [])
    for ancestor in analysis.mro(index)[0]:
        for name in analysis.classes[ancestor].attributes:
            for made in analysis.class_attribute(ancestor, name):
                if isinstance(made, Made) and made.path.startswith("django_filters."):
                    names.append(text_in(made.keyword("field_name")) or text_in(made.keyword("name")) or name)
                    method = text_in(made.keyword("method"))
                    if method and analysis.method(index, method) is not None:
                        calls.call_method(frame, Instance(index), method, given(node, values, PLAIN, PLAIN))
    return names
