"""The admin and migrations: classes that write tables without a function of their own that says so."""

from typing import TYPE_CHECKING

from cache_strategy.profile import sql
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.lowering import NONE
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


def register(frame: Frame, values: Values, index: int) -> None:
    """`admin.site.register(Article, ArticleAdmin)`, `@admin.register(Article)`."""
    for value in values | frame.iterate(frozenset(v for v in values if not isinstance(v, ClassRef)), NONE):
        model = frame.analysis.model(value)
        if isinstance(model, Model):
            frame.analysis.notes.setdefault(_REGISTERED, {})[model.index, index] = None
            if index < 0 and not frame.module.is_test:
                _write(frame, model)


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    if not path.endswith(".register") or not path.startswith(
        ("django.contrib.admin.", "django.contrib.gis.admin.")
    ):
        return None
    chosen = [v.index for v in arguments.get(1, "admin_class") if isinstance(v, ClassRef)]
    register(frame, arguments.get(0), chosen[0] if chosen else -1)
    return NOTHING


def _write(frame: Frame, model: Model) -> None:
    saving.save(frame, model, NONE, own=False)
    saving.delete(frame, model, NONE)
    for relation in model.relations.values():
        if relation.secondary:
            frame.note_write(relation.secondary, "many-to-many", NONE)


def note(analysis: "Analysis") -> None:
    """Writers that are classes: those of the admin, and migrations that run SQL."""
    writers = analysis.notes.setdefault("class writers", {})
    for model_index, index in list(analysis.notes.get(_REGISTERED, {})):
        model, info = analysis.mapped[model_index], analysis.classes[index]
        if index >= 0 and isinstance(model, Model):
            frame = Frame(analysis, analysis.modules[info.module], None, None, {}, Facts())
            inlines = frame.iterate(analysis.attribute_of(index, "inlines"), NONE)
            inner = [
                m for v in inlines if isinstance(v, ClassRef) for m in analysis.attribute_of(v.index, "model")
            ]
            for one_model in (model, *map(analysis.model, inner)):
                if isinstance(one_model, Model):
                    _write(frame, one_model)
            for action in frame.iterate(analysis.attribute_of(index, "actions"), NONE):
                if isinstance(action, FunctionRef):
                    _given(analysis, model, action.index, None)
            for ancestor in analysis.mro(index)[0]:
                for function in analysis.classes[ancestor].methods.values():
                    _given(analysis, model, function, Instance(index))
            writers |= {(index, table, how): None for table, how, _ in frame.facts.writes}
    for info in analysis.classes:
        operations = info.attributes.get("operations", (None,))[0] if info.name == "Migration" else None
        frame = Frame(analysis, analysis.modules[info.module], None, None, {}, Facts(), owner=info.index)
        for item in operations[2] if operations and operations[0] == "seq" else ():
            texts = texts_in(frame.expression(item[3][0])) if last_name(item) == "RunSQL" and item[3] else []
            for statement in map(sql.read_statement, texts):
                if statement is not None and statement.verb != "ddl":
                    writers |= {(info.index, table, "raw-sql"): None for table in statement.writes}


def _given(analysis: "Analysis", model: Model, index: int, receiver: Instance | None) -> None:
    row, rows = one(Instance(model.index)), one(queries.all_of(model))
    known = {"obj": row, "instance": row, "queryset": rows, "qs": rows}
    bound = {p[0]: known[p[0]] for p in analysis.functions[index].parameters if p[0] in known}
    if bound:
        analysis.context(analysis.functions[index], receiver, bound)
