"""The admin and migrations: classes that write tables without a function of their own that says so."""

from typing import TYPE_CHECKING

from cache_strategy.model.evidence import WriterHow
from cache_strategy.profile import sql
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.orms.django import queries, saving
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    FunctionRef,
    Instance,
    Value,
    Values,
    one,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

_REGISTERED = "django admin"


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`admin.site.register(Article, ArticleAdmin)`."""
    if not path.endswith(".register") or not path.startswith(
        ("django.contrib.admin.", "django.contrib.gis.admin.")
    ):
        return None
    classes = [v for v in arguments.get(1, "admin_class") if isinstance(v, ClassRef)]
    _register(frame, arguments.get(0), classes[0].index if classes else -1, arguments)
    return NOTHING


def decorated_class(frame: Frame, index: int, path: str, arguments: Arguments | None) -> bool:
    """`@admin.register(Article)`."""
    if not path.endswith("admin.register") or arguments is None:
        return False
    for values in arguments.positional:
        _register(frame, values, index, arguments)
    return True


def _register(frame: Frame, values: Values, index: int, arguments: Arguments) -> None:
    for value in (
        *values,
        *frame.iterate(frozenset(v for v in values if not isinstance(v, ClassRef)), arguments.node),
    ):
        model = frame.analysis.model(value)
        if isinstance(model, Model):
            frame.analysis.notes.setdefault(_REGISTERED, {})[model.index, index] = frame.module.index
            if index < 0 and not frame.module.is_test:
                _write(frame, model)


def _write(frame: Frame, model: Model) -> None:
    """Everything that editing rows of a model by the admin writes."""
    node = ("none", 0)
    saving.save(frame, model, node, own=False)
    saving.delete(frame, model, node)
    for relation in model.relations.values():
        if relation.secondary:
            frame.note_write(relation.secondary, "many-to-many", node)


def note(analysis: "Analysis") -> None:
    """Writers that are classes: those of the admin, and migrations that run SQL."""
    if "django" not in analysis.notes:
        return
    writers: dict[tuple[int, str, WriterHow], None] = analysis.notes.setdefault("class writers", {})
    for model_index, index in list(analysis.notes.get(_REGISTERED, {})):
        model = analysis.mapped[model_index]
        if index < 0 or not isinstance(model, Model):
            continue
        facts = Facts()
        info = analysis.classes[index]
        frame = Frame(analysis, analysis.modules[info.module], None, None, {}, facts)
        _write(frame, model)
        for inline in _inlines(frame, index):
            _write(frame, inline)
        _own_methods(analysis, frame, model, index)
        for table, how, _ in facts.writes:
            writers[index, table, how] = None
    for info in analysis.classes:
        if info.name == "Migration" and "operations" in info.attributes:
            for table in _migrated(analysis, info.index):
                writers[info.index, table, "raw-sql"] = None


def _inlines(frame: Frame, index: int) -> list[Model]:
    found: list[Model] = []
    member = frame.analysis.member(index, "inlines")
    values = (
        frame.analysis.class_attribute(member[2], "inlines")
        if member is not None and member[0] == "attribute"
        else NOTHING
    )
    for inline in frame.iterate(values, ("none", 0)):
        inner = frame.analysis.member(inline.index, "model") if isinstance(inline, ClassRef) else None
        for value in (
            frame.analysis.class_attribute(inner[2], "model")
            if inner is not None and inner[0] == "attribute"
            else ()
        ):
            model = frame.analysis.model(value)
            if isinstance(model, Model):
                found.append(model)
    return found


def _own_methods(analysis: "Analysis", frame: Frame, model: Model, index: int) -> None:
    """What an admin class overrides, and its actions, are given rows of the model."""
    named: set[str] = set()
    member = analysis.member(index, "actions")
    values = (
        analysis.class_attribute(member[2], "actions")
        if member is not None and member[0] == "attribute"
        else NOTHING
    )
    for value in frame.iterate(values, ("none", 0)):
        named.update(t for t in texts_in(one(value)))
        if isinstance(value, FunctionRef):
            _given(analysis, model, value.index, None)
    for ancestor in analysis.mro(index)[0]:
        for function in analysis.classes[ancestor].methods.values():
            _given(analysis, model, function, Instance(index))


def _given(analysis: "Analysis", model: Model, index: int, receiver: Instance | None) -> None:
    rows = {name: one(Instance(model.index)) for name in ("obj", "instance", "object")}
    rows |= {name: one(queries.all_of(model)) for name in ("queryset", "qs", "query_set")}
    function = analysis.functions[index]
    bound = {p[0]: rows[p[0]] for p in function.parameters if p[0] in rows}
    if bound:
        analysis.context(function, receiver, bound)


def _migrated(analysis: "Analysis", index: int) -> list[str]:
    """The tables that the SQL of a migration writes."""
    info = analysis.classes[index]
    frame = Frame(analysis, analysis.modules[info.module], None, None, {}, Facts(), owner=index)
    node = info.attributes["operations"][0]
    found: list[str] = []
    for item in node[2] if node is not None and node[0] == "seq" else ():
        if item[0] == "call" and last_name(item) == "RunSQL" and item[3]:
            for text in texts_in(frame.expression(item[3][0])):
                statement = sql.read_statement(text)
                if statement is not None and statement.verb != "ddl":
                    found.extend(statement.writes)
    return found
