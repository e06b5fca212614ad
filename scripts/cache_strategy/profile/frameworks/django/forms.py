"""Forms and serializers: the models behind them, what checking and showing them reads, what saving them writes."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.frameworks.django.knowledge import REST_REQUEST
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import saving
from cache_strategy.profile.orms.django.models import Model, user_model
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
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

REST = "rest_framework.serializers."
FORMS = tuple(f"django.forms.{kind}()" for kind in ("Form", "ModelForm", "BaseForm", "BaseModelForm"))
_MADE = "django.forms.ModelForm<"
_USER_FORMS = ("UserCreationForm", "UserChangeForm", "BaseUserCreationForm", "AdminUserCreationForm")
_BY_KEY = ("PrimaryKeyRelatedField", "HyperlinkedIdentityField", "HiddenField")
_DEEPEST = 6


def kind_of(value: Value) -> str:
    """The class of a field or serializer of REST framework; "" for anything else."""
    return value.path[len(REST) : -2] if isinstance(value, Made) and value.path.startswith(REST) else ""


def is_form(value: Value) -> bool:
    return isinstance(value, Made) and (value.path in FORMS or value.path.startswith(_MADE))


def model_behind(frame: "Frame", values: Values) -> Model | None:
    """The model of a form, a serializer or a class of them."""
    return next((m for v in values if (m := _model(frame.analysis, v)) is not None), None)


def _model(analysis: "Analysis", value: Value) -> Model | None:
    path = value.path if isinstance(value, External | Made) else ""
    index = (
        value.owner
        if isinstance(value, Made)
        else value.index
        if isinstance(value, Instance | ClassRef)
        else -1
    )
    found = None
    if path.startswith(_MADE):
        found = analysis.mapped.get(int(path[len(_MADE) :].partition(">")[0]))
    elif index >= 0:
        found = next(
            (m for v in meta(analysis, index, "model") if (m := analysis.model(v)) is not None), None
        )
        if found is None and any(p.rpartition(".")[2] in _USER_FORMS for p in analysis.mro(index)[1]):
            found = user_model(analysis)
    return found if isinstance(found, Model) else None


def meta(analysis: "Analysis", index: int, name: str) -> Values:
    """What `Meta` of a form or a serializer says."""
    classes = (analysis.classes[c].classes.get("Meta") for c in analysis.mro(index)[0]) if index >= 0 else ()
    return next(
        (found for inner in classes if inner is not None and (found := analysis.attribute_of(inner, name))),
        NOTHING,
    )


def fields_of(frame: "Frame", made: Made) -> dict[str, Made | None]:
    """The fields that a form or a serializer shows, with their declarations where it has some."""
    analysis, model = frame.analysis, _model(frame.analysis, made)
    declared: dict[str, Made | None] = {}
    for ancestor in reversed(analysis.mro(made.owner)[0]) if made.owner >= 0 else ():
        for name in analysis.classes[ancestor].attributes:
            for value in analysis.class_attribute(ancestor, name):
                if isinstance(value, Made) and (kind_of(value) or _is_choice(value)):
                    declared[name] = value
    said = texts_in(meta(analysis, made.owner, "fields"))
    if model is None:
        return declared
    if not said or said == ["__all__"]:
        excluded = texts_in(meta(analysis, made.owner, "exclude"))
        return {**{name: None for name in model.fields() if name not in excluded}, **declared}
    return {name: declared.get(name) for name in (said if kind_of(made) else [*said, *declared])}


def _is_choice(made: Made) -> bool:
    return made.path.startswith("django.forms.Model") and made.path.endswith("Field()")


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """`form.instance`, `serializer.data` and their like."""
    if not isinstance(value, Made) or not (is_form(value) or kind_of(value).endswith("Serializer")):
        return None
    rest = bool(kind_of(value))
    if name == "data" and rest:
        represent(frame, value, _row(frame, value), node)
        return one(External("rest_framework.response.data"))
    if name == "instance":
        return _row(frame, value)
    if name == "context" and rest:
        request = ("request", one(External(f"{REST_REQUEST}()")))
        known = frozenset(v for v in value.keyword("context") if isinstance(v, Mapping))
        return known or one(Mapping((request,), UNKNOWN))
    if name in ("initial_data", "validated_data"):
        frame.note_context("body", "", node)
        return UNKNOWN
    return (
        PLAIN
        if name in ("cleaned_data", "errors", "non_field_errors", "initial", "data", "partial")
        else None
    )


def _given(made: Made) -> Values:
    first = made.args[0] if made.args and kind_of(made) else NOTHING
    found = first | made.keyword("instance")
    return frozenset(v for v in found if not isinstance(v, Constant | Argument | Unknown))


def _row(frame: "Frame", made: Made) -> Values:
    model = _model(frame.analysis, made)
    return _given(made) or (one(Instance(model.index)) if model is not None else NOTHING)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`form.is_valid()`, `serializer.save(…)`, what `super()` does in them."""
    last, node = path.rpartition(".")[2], arguments.node
    if path.startswith(_MADE) and path.endswith(">"):
        return one(
            Made(path + "()", (frame.module.path, arguments.line), arguments.positional, arguments.keywords)
        )
    if path == "rest_framework.response.Response":
        frame.consume(arguments.get(0, "data"), node)
        return one(External(path + "()"))
    if not isinstance(receiver, Made) or not (is_form(receiver) or kind_of(receiver)):
        return None
    if last in ("is_valid", "full_clean"):
        frame.note_context("body", "", node)
        check(frame, receiver, node)
        return PLAIN
    if last == "save" and is_form(receiver):
        unsaved = arguments.get(0, "commit") == one(Constant(False))
        return _row(frame, receiver) if unsaved else _write(frame, receiver, NOTHING, node)
    if last == "save":
        return _save(frame, receiver, arguments)
    if last in ("create", "update", "save_m2m"):
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
        if last in ("add_error", "clean", "get_fields", "fail", "as_p")
        else None
    )


# --- showing


def show(frame: "Frame", form: Made, node: Node) -> None:
    """The rows that a form offers for choice are read."""
    model = _model(frame.analysis, form)
    for name, made in fields_of(frame, form).items():
        relation = model.relation(name) if model is not None else None
        target = frame.analysis.mapped.get(relation.target) if relation is not None else None
        if made is not None:
            frame.consume((made.args[0] if made.args else NOTHING) | made.keyword("queryset"), node)
        elif relation is not None and target is not None:
            between = (relation.secondary,) if relation.secondary and _given(form) else ()
            frame.note_read((*target.tables, *between), node)


def represent(frame: "Frame", made: Made, values: Values, node: Node, level: int = 0, own: bool = True, seen: frozenset[object] = frozenset()) -> None:  # fmt: skip
    """Notes what writing rows out by a serializer reads."""
    rows = rows_of(frame, values, node)
    fresh = frozenset(v for v in rows if (made.owner, v) not in seen)
    if not fresh or level > _DEEPEST or made.owner < 0:
        return
    seen |= {(made.owner, v) for v in fresh}
    loops, frame.loops = (
        frame.loops,
        frame.loops + (level > 0 or any(isinstance(v, Query | Many) for v in values)),
    )
    if own and frame.analysis.method(made.owner, "to_representation") is not None:
        calls.call_method(frame, made, "to_representation", given(node, fresh))
    else:
        for name, field in fields_of(frame, made).items():
            _field(frame, made, fresh, name, field, node, level, seen)
    frame.loops = loops


def _field(frame: "Frame", owner: Made, rows: Values, name: str, made: Made | None, node: Node, level: int, seen: frozenset[object]) -> None:  # fmt: skip
    kind = kind_of(made) if made is not None else ""
    made = made or Made("", ("", 0))
    first = made.args[0] if made.args else NOTHING
    if is_true(made.keyword("write_only")):
        return
    if kind == "SerializerMethodField":
        method = text_in(first or made.keyword("method_name")) or f"get_{name}"
        frame.consume(calls.call_method(frame, owner, method, given(node, rows)), node)
        return
    source = text_in(made.keyword("source")) or name
    depth = meta(frame.analysis, owner.owner, "depth")
    if (kind in _BY_KEY or (not kind and not depth)) and all(_is_key(frame, v, source) for v in rows):
        return
    found = rows if source == "*" else _along(frame, rows, source, node)
    nested = [v for v in (made, *first, *made.keyword("child")) if kind_of(v).endswith("Serializer")]
    inner = rows_of(frame, found, node)
    for serializer in nested:
        if isinstance(serializer, Made):
            represent(frame, serializer, found, node, level + 1, seen=seen)
    if not nested and made.owner >= 0 and frame.analysis.method(made.owner, "to_representation") is not None:
        calls.call_method(frame, made, "to_representation", given(node, inner or found))
    elif kind in ("StringRelatedField", "SlugRelatedField"):
        _along(frame, inner, text_in(made.keyword("slug_field")) or "__str__", node)


def _is_key(frame: "Frame", value: Value, name: str) -> bool:
    model = frame.analysis.row(value)
    return (
        isinstance(model, Model)
        and (r := model.relation(name)) is not None
        and not r.many
        and model.is_forward(name)
    )


def _along(frame: "Frame", values: Values, source: str, node: Node) -> Values:
    """`author.profile.image`: attributes in turn, what can be called is called."""
    for part in source.split("."):
        values = attributes.get(
            frame, frozenset(v for v in values if not isinstance(v, Constant)), part, node
        )
        called = {v: isinstance(v, FunctionRef | Method) for v in values}
        values = join(*(calls.call_value(frame, v, given(node)) if called[v] else one(v) for v in values))
    return values


def rows_of(frame: "Frame", values: Values, node: Node) -> Values:
    """The single rows in values; queries among them are run."""
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Many | Page | Query | Parts):
            found = join(found, rows_of(frame, frame.iterate(one(value), node), node))
        elif isinstance(value, Instance | Mapping | Made):
            found = join(found, one(value))
    return found


# --- reading in


def check(frame: "Frame", made: Made, node: Node, level: int = 0) -> None:
    """What is sent is checked: the application's own methods, rows that are named, values that no two rows may share."""
    analysis, model, fields = frame.analysis, _model(frame.analysis, made), fields_of(frame, made)
    fixed = texts_in(meta(analysis, made.owner, "read_only_fields"))
    if model is not None and model.unique & (fields.keys() - set(fixed)):
        frame.note_read(model.tables[:1], node)
    if is_form(made):
        show(frame, made, node)
    for name, field in fields.items() if kind_of(made) and level < _DEEPEST else ():
        relation = model.relation(name) if model is not None and field is None and name not in fixed else None
        if relation is not None and relation.target in analysis.mapped:
            frame.note_read(analysis.mapped[relation.target].tables, node)
        if field is None or is_true(field.keyword("read_only")):
            continue
        frame.consume(frozenset(v for v in field.keyword("queryset") if isinstance(v, Query)), node)
        if kind_of(field).endswith("Serializer"):
            check(frame, field, node, level + 1)
        elif field.owner >= 0 and analysis.method(field.owner, "to_internal_value") is not None:
            calls.call_method(frame, field, "to_internal_value", given(node, UNKNOWN))
    for ancestor in analysis.mro(made.owner)[0] if made.owner >= 0 else ():
        for name in analysis.classes[ancestor].methods:
            if name in ("clean", "validate") or name.startswith(("clean_", "validate_")):
                sent = given(node, one(Mapping((), UNKNOWN))) if kind_of(made) else given(node)
                calls.call_method(frame, made, name, sent)


def _save(frame: "Frame", made: Made, arguments: Arguments) -> Values:
    """`serializer.save(author=…)` runs `create` or `update` of the serializer."""
    rows, data = rows_of(frame, _given(made), arguments.node), one(Mapping(arguments.keywords, UNKNOWN))
    name, sent = ("update", (rows, data)) if rows else ("create", (data,))
    if made.owner >= 0 and frame.analysis.method(made.owner, name) is not None:
        return calls.call_method(frame, made, name, given(arguments.node, *sent))
    return _write(frame, made, rows, arguments.node)


def _write(frame: "Frame", made: Made, rows: Values, node: Node) -> Values:
    model = _model(frame.analysis, made)
    model = model or next((m for v in rows if isinstance(m := frame.analysis.row(v), Model)), None)
    if model is None:
        frame.note_write("?", "orm", node)
        return rows or UNKNOWN
    saving.save(frame, model, node)
    for name, field in fields_of(frame, made).items():
        source = (text_in(field.keyword("source")) if field is not None else None) or name
        relation = model.relation(source)
        if (
            relation is not None
            and relation.secondary
            and not (field is not None and is_true(field.keyword("read_only")))
        ):
            saving.replace_between(frame, relation, node)
    return one(Instance(model.index))
