"""Forms: the models behind them, what checking and showing them reads, what saving them writes."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import saving
from cache_strategy.profile.orms.django.models import Model, fields_of
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    ClassRef,
    Constant,
    External,
    Instance,
    Made,
    Query,
    Value,
    Values,
    join,
    one,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

FORMS = tuple(f"django.forms.{kind}()" for kind in ("Form", "ModelForm", "BaseForm", "BaseModelForm"))
_CHOICES = ("ModelChoiceField", "ModelMultipleChoiceField")
_MADE = "django.forms.ModelForm<"
_USER_FORMS = (
    "UserCreationForm",
    "UserChangeForm",
    "BaseUserCreationForm",
    "AdminUserCreationForm",
    "PasswordChangeForm",
    "SetPasswordForm",
)


def model_behind(frame: "Frame", values: Values) -> Model | None:
    """The model of a form or of its class."""
    for value in values:
        found = _model(frame.analysis, value)
        if found is not None:
            return found
    return None


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
        for name in ("model", "queryset"):
            for inner in meta(analysis, index, name):
                found = found or analysis.model(inner)
        if found is None and any(p.rpartition(".")[2] in _USER_FORMS for p in analysis.mro(index)[1]):
            from cache_strategy.profile.orms.django.models import user_model

            found = user_model(analysis)
    return found if isinstance(found, Model) else None


def meta(analysis: "Analysis", index: int, name: str) -> Values:
    """What `Meta` of a form or a serializer says."""
    for ancestor in analysis.mro(index)[0]:
        inner = analysis.classes[ancestor].classes.get("Meta")
        member = analysis.member(inner, name) if inner is not None else None
        if member is not None and member[0] == "attribute":
            return analysis.class_attribute(member[2], name)
    return NOTHING


def names_of(analysis: "Analysis", index: int, model: Model) -> list[str]:
    """The model's fields that a form or a serializer shows."""
    given = texts_in(meta(analysis, index, "fields")) if index >= 0 else []
    if not given or given == ["__all__"]:
        excluded = texts_in(meta(analysis, index, "exclude")) if index >= 0 else []
        return [name for name in fields_of(model) if name not in excluded]
    return given


def is_form(value: Value) -> bool:
    """Whether a value is a form."""
    return isinstance(value, External | Made) and (
        value.path in FORMS or (value.path.startswith(_MADE) and value.path.endswith("()"))
    )


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """`form.instance` and what was entered."""
    if not is_form(value):
        return None
    if name == "instance":
        return instance(frame, value)
    return (
        PLAIN
        if name in ("cleaned_data", "errors", "non_field_errors", "initial", "prefix", "data", "changed_data")
        else None
    )


def instance(frame: "Frame", form: Value) -> Values:
    """The row that a form is about."""
    model = _model(frame.analysis, form)
    given_row = form.keyword("instance") - one(Constant(None)) if isinstance(form, Made) else NOTHING
    return given_row or (one(Instance(model.index)) if model is not None else NOTHING)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`form.is_valid()`, `form.save()`, `form_class(…)` of a generic view."""
    if path.startswith(_MADE) and path.endswith(">"):
        return one(
            Made(path + "()", (frame.module.path, arguments.line), arguments.positional, arguments.keywords)
        )
    if receiver is None or not is_form(receiver):
        return None
    last = path.rpartition(".")[2]
    node = arguments.node
    if last in ("is_valid", "full_clean"):
        check(frame, receiver, node)
        return PLAIN
    if last in ("save", "save_m2m", "_save_m2m"):
        return save(frame, receiver, arguments)
    return PLAIN if last in ("add_error", "clean", "as_p", "as_table", "add_prefix", "has_changed") else None


def check(frame: "Frame", form: Value, node: Node) -> None:
    """A form is checked: the application's own `clean` methods, choices of rows, values that no two rows may share."""
    analysis = frame.analysis
    index = form.owner if isinstance(form, Made) else -1
    model = _model(analysis, form)
    show(frame, form, node)
    if model is not None and (model.unique - set(model.primary_key)) & set(names_of(analysis, index, model)):
        frame.note_read(model.tables[:1], node)
    for ancestor in analysis.mro(index)[0] if index >= 0 else ():
        for name in analysis.classes[ancestor].methods:
            if name == "clean" or name.startswith("clean_"):
                calls.call_method(frame, form, name, given(node))


def show(frame: "Frame", form: Value, node: Node) -> None:
    """The rows that a form offers for choice are read."""
    analysis = frame.analysis
    index = form.owner if isinstance(form, Made) else -1
    model = _model(analysis, form)
    if model is not None:
        for name in names_of(analysis, index, model):
            relation = model.relation(name)
            if relation is not None and relation.target in analysis.mapped:
                frame.note_read(analysis.mapped[relation.target].tables, node)
                if (
                    relation.secondary
                    and isinstance(form, Made)
                    and form.keyword("instance") - one(Constant(None))
                ):
                    frame.note_read((relation.secondary,), node)
    for ancestor in analysis.mro(index)[0] if index >= 0 else ():
        for name in analysis.classes[ancestor].attributes:
            for value in analysis.class_attribute(ancestor, name):
                if isinstance(value, Made) and value.path[:-2].rpartition(".")[2] in _CHOICES:
                    offered = (value.args[0] if value.args else NOTHING) or value.keyword("queryset")
                    frame.consume(frozenset(v for v in offered if isinstance(v, Query)), node)


def save(frame: "Frame", form: Value, arguments: Arguments) -> Values:
    """`form.save()`: the row is written, and its many-to-many rows; nothing with `commit=False`."""
    model = _model(frame.analysis, form)
    row = instance(frame, form)
    unsaved = arguments.get(0, "commit") == one(Constant(False))
    if model is None:
        if not row:
            frame.note_write("?", "orm", arguments.node)
        return row or PLAIN
    if not unsaved:
        saving.save(frame, model, arguments.node)
        index = form.owner if isinstance(form, Made) else -1
        for name in names_of(frame.analysis, index, model):
            relation = model.relation(name)
            if relation is not None and relation.secondary:
                saving.replace_between(frame, relation, arguments.node)
    return join(row, one(Instance(model.index)))


_ = attributes
