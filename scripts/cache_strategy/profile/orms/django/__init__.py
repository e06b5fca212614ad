"""Django's ORM: models of every app, managers and query sets, what they read and write."""

from typing import TYPE_CHECKING

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms import raw_sql
from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.orms.django import models, queries, saving, settings
from cache_strategy.profile.orms.django.models import MANAGER, ORM, Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.rows import attribute as row_attribute
from cache_strategy.profile.values import (
    PLAIN,
    UNKNOWN,
    ClassRef,
    External,
    Instance,
    Made,
    Method,
    Parts,
    Query,
    Value,
    Values,
    join,
    many,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

_THROUGH, _SIGNAL, _CURSOR = "django.through()", "django.dispatch.Signal()", "django.db.connection.cursor()"
_SAVES = ("save", "asave", "save_base")
_OF_ROW = frozenset((*_SAVES, *"delete adelete refresh_from_db full_clean validate_unique".split()))
_GETTING = {
    "get_object_or_404": "get",
    "aget_object_or_404": "get",
    "get_list_or_404": "filter",
    "get_object_or_None": "get",
}
_MODULES = "base fields.related fields.json fields.files fields manager query expressions aggregates functions query_utils".split()
_STRUCTURAL = tuple(
    "django.db.models. django.contrib.postgres. django.contrib.contenttypes.fields. mptt. modelcluster. taggit. sortedm2m. "
    "annoying. model_utils. polymorphic.".split()
)  # fmt: skip


def start(analysis: "Analysis") -> None:
    """Loads what Django is, where it is used; then finds the models."""
    settings.start(analysis)
    if "django" in analysis.notes:
        models.Reader(analysis).read()
        analysis.forget_evaluations()


def bases(frame: "Frame", value: Value) -> Values | None:
    """`class M(Manager.from_queryset(Q))` has the methods of Q."""
    is_made = isinstance(value, Made) and value.path.endswith(".from_queryset()")
    return value.args[0] if is_made and isinstance(value, Made) and value.args else None


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    analysis = frame.analysis
    if isinstance(value, Query):
        return queries.attribute(frame, value, name) if value.orm == ORM else None
    if isinstance(value, Made) and value.path == _THROUGH:
        table = value.place[0]
        return (
            one(value) if name == "through" else one(Query(ORM, "select", PLAIN, frozenset((table,)), table))
        )
    model = analysis.model(value) or analysis.row(value)
    if not isinstance(model, Model):
        return None
    if name in model.managers:
        return one(queries.all_of(model, model.managers[name]))
    if (
        name in ("objects", "_default_manager", "_base_manager")
        and analysis.member(model.index, name) is None
    ):
        return one(queries.all_of(model) if name == "objects" else queries.default(model))
    if isinstance(value, ClassRef):
        relation = model.relation(name)
        if relation is not None and relation.secondary:
            return one(Made(_THROUGH, (relation.secondary, 0)))
        raised = name in ("DoesNotExist", "MultipleObjectsReturned")
        return one(External(f"django.core.exceptions.{name}")) if raised else None
    for base in model.bases:
        found = row_attribute(frame, base, name, node) or attribute(frame, Instance(base.index), name, node)
        if found is not None and found != UNKNOWN:
            return found
    if name in ("pk", "id") or name.endswith("_display"):
        return PLAIN
    if name in model.generic:
        frame.note_read(("django_content_type", "?"), node)
    return one(Method(value, name)) if name in _OF_ROW else UNKNOWN


def method(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    analysis, node = frame.analysis, arguments.node
    if isinstance(receiver, Query):
        return queries.method(frame, receiver, name, arguments) if receiver.orm == ORM else None
    if isinstance(receiver, ClassRef) and models.is_query_class(analysis, receiver.index):
        if name == "as_manager":
            return one(Made(MANAGER + "()", (frame.module.path, arguments.line), (one(receiver),)))
        models_given = [m for v in arguments.get(0, "model") if isinstance(m := analysis.model(v), Model)]
        if name == "()" and len(models_given) == 1:
            return one(queries.all_of(models_given[0], receiver.index))
    model = analysis.row(receiver)
    if not isinstance(model, Model):
        return None
    if name in _SAVES:
        saving.save(frame, model, node, own=False)
    elif name in ("delete", "adelete"):
        saving.delete(frame, model, node)
    elif name in _OF_ROW or name.startswith(("get_next_by_", "get_previous_by_")):
        frame.note_read(model.tables, node)
        clean = analysis.method(model.index, "clean") if name == "full_clean" else None
        if clean is not None:
            frame.invoke(clean, Instance(model.index), given(node))
        return one(receiver)
    elif not name.endswith("_display"):
        return None
    return PLAIN


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    last, analysis = path.rpartition(".")[2], frame.analysis
    if last in _GETTING:
        rest = Arguments(
            arguments.positional[1:], tuple(k for k in arguments.keywords if k[0] != "klass"), arguments.node
        )
        chosen = queries.query_in(frame, arguments.get(0, "klass"))
        found = join(*(queries.method(frame, query, _GETTING[last], rest) for query in chosen))
        return (many(frame.iterate(found, arguments.node)) if "list" in last else found) or UNKNOWN
    if not path.startswith("django."):
        return None
    if path.startswith("django.db.connection"):
        return _of_connection(frame, last, arguments)
    if last in ("get_user_model", "get_model"):
        name = ".".join(t for v in arguments.positional if (t := text_in(v)))
        model = (
            models.user_model(analysis) if last == "get_user_model" else models.model_named(analysis, name)
        )
        return one(ClassRef(model.index)) if model is not None else UNKNOWN
    if last == "from_queryset()" and isinstance(receiver, Made):
        return one(Made(MANAGER + "()", receiver.place, receiver.args))
    if path == "django.db.models.QuerySet":
        return frozenset(queries.query_in(frame, arguments.get(0, "model"))) or None
    name = signal_name(receiver) or path.rpartition(".")[0]
    if not name.startswith(_SIGNAL) and ".signals." not in name:
        return None
    if last == "connect":
        saving.connect(frame, name, _senders(frame, arguments, 1), arguments.get(0, "receiver"))
    elif last in ("send", "send_robust", "asend"):
        saving.send(frame, name, None, arguments.node, arguments)
    return many(PLAIN)


def _of_connection(frame: "Frame", last: str, arguments: Arguments) -> Values | None:
    """`connection.cursor().execute("…")`."""
    if last in ("execute", "executemany") and not raw_sql.execute(frame, arguments):
        frame.facts.unknown.add("a statement that is put together at run time")
        frame.note_read(("?",), arguments.node)
        if not (text_in(arguments.get(0)) or "").lstrip().lower().startswith("select"):
            frame.note_write("?", "raw-sql", arguments.node)
    if last in ("cursor", "execute", "executemany"):
        return one(External(_CURSOR))
    return {"fetchall": many(one(Parts((PLAIN,)))), "fetchmany": many(PLAIN), "fetchone": PLAIN}.get(last)


def signal_name(value: Value | None) -> str:
    """What tells a signal of the application from others; "" where it is none."""
    return f"{value.path}{value.place}" if isinstance(value, Made) and value.path == _SIGNAL else ""


def _senders(frame: "Frame", arguments: Arguments, place: int) -> Values:
    said = arguments.get(-1, "sender") or arguments.get(place)
    named = [models.model_named(frame.analysis, text) for text in texts_in(said)]
    if any(isinstance(v, External) and v.path.endswith("AUTH_USER_MODEL") for v in said):
        named.append(models.user_model(frame.analysis))
    return said | {ClassRef(m.index) for m in named if m is not None}


def receive(frame: "Frame", receivers: Values, arguments: Arguments) -> None:
    """`@receiver(post_save, sender=Article)`."""
    said = arguments.get(0, "signal")
    for signal in said | frame.iterate(said, arguments.node):
        name = signal_name(signal) or (signal.path if isinstance(signal, External) else "")
        saving.connect(frame, name, _senders(frame, arguments, 9), receivers)


def unresolved(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """A row that is not known is saved or deleted: some table is written."""
    if "django" not in frame.analysis.notes:
        return None
    saves = (name in _SAVES and not arguments.positional) or (name == "delete" and not arguments.all())
    if saves and {k for k, _ in arguments.keywords} <= {
        "commit",
        "update_fields",
        "using",
        "force_insert",
        "",
    }:
        frame.note_write("?", "orm", arguments.node)
        return UNKNOWN
    if name == "get_model" and arguments.positional:
        return call(frame, "django.apps.apps.get_model", None, arguments)
    is_row = any(isinstance(frame.analysis.row(v), Model) for v in arguments.get(0))
    return UNKNOWN if is_row and name in ("add", "merge", "remove") else None


def canonical(path: str) -> str:
    if path.startswith("django.db.models."):
        part = next((p for p in _MODULES if path.startswith(f"django.db.models.{p}.")), "")
        return "django.db.models." + path[18 + len(part) :] if part else path
    if path.startswith(
        ("django.contrib.gis.db.models.", "polymorphic.models.Polymorphic", "polymorphic.managers.")
    ):
        return "django.db.models." + path.rpartition(".")[2].removeprefix("Polymorphic")
    return path


orm = Orm(
    __name__,
    packages=("django",),
    structural=frozenset({_SIGNAL}),
    structural_prefixes=_STRUCTURAL,
    canonical=canonical,
    start=start,
    bases=bases,
    attribute=attribute,
    call=call,
    method=method,
    iterate=queries.run,
    unresolved=unresolved,
)
