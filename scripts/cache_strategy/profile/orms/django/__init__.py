"""Django's ORM: models of every app, managers and query sets, what they read and write."""

from typing import TYPE_CHECKING

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.orms.django import models, queries, saving, settings
from cache_strategy.profile.orms.django.models import MANAGER, ORM, QUERYSET, Model
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.rows import attribute as row_attribute
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    External,
    FunctionRef,
    Instance,
    Made,
    Method,
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

_THROUGH = "django.through()"
_OF_ROW = frozenset(
    "save asave delete adelete refresh_from_db arefresh_from_db full_clean validate_unique clean save_base".split()
)
_GETTING = {
    "get_object_or_404": "get",
    "aget_object_or_404": "get",
    "get_list_or_404": "filter",
    "get_object_or_None": "get",
}
_SENDING = ("send", "send_robust", "asend")
SIGNAL = "django.dispatch.Signal()"


def start(analysis: "Analysis") -> None:
    """Loads what Django is, where it is used; then finds the models."""
    settings.start(analysis)
    if "django" in analysis.notes:
        models.start(analysis)
        analysis.forget_evaluations()


def bases(frame: "Frame", value: Value) -> Values | None:
    """`class M(Manager.from_queryset(Q))` has the methods of Q."""
    if isinstance(value, Made) and value.path.endswith(".from_queryset()") and value.args:
        return frozenset(v for v in value.args[0] if isinstance(v, ClassRef))
    return None


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """Attributes of models, rows, managers and query sets."""
    analysis = frame.analysis
    if isinstance(value, Query):
        return queries.attribute(frame, value, name) if value.orm == ORM else None
    if isinstance(value, Made) and value.path == _THROUGH:
        table = value.place[0]
        if name in ("objects", "_default_manager"):
            return one(Query(ORM, "select", PLAIN, frozenset((table,)), table))
        return one(value) if name == "through" else None
    model = analysis.mapped.get(value.index) if isinstance(value, ClassRef | Instance) else None
    if not isinstance(model, Model):
        return None
    if name in model.managers:
        return one(queries.all_of(model, model.managers[name]))
    if (
        name in ("objects", "_default_manager", "_base_manager")
        and analysis.member(model.index, name) is None
    ):
        return one(queries.default(model) if name != "objects" else queries.all_of(model))
    if isinstance(value, ClassRef):
        relation = model.relation(name)
        if relation is not None and relation.secondary:
            return one(Made(_THROUGH, (relation.secondary, 0)))
        return (
            one(External(f"django.core.exceptions.{name}"))
            if name in ("DoesNotExist", "MultipleObjectsReturned")
            else None
        )
    for base in model.bases:
        found = row_attribute(frame, base, name, node) or attribute(frame, Instance(base.index), name, node)
        if found is not None and found != UNKNOWN:
            return found
    if name in ("pk", "id") or (name.startswith("get_") and name.endswith("_display")):
        return PLAIN
    if name in model.generic:
        content = models.model_named(analysis, "contenttypes.ContentType") or models.model_named(
            analysis, "ContentType"
        )
        frame.note_read((*(content.tables if content is not None else ()), "?"), node)
        return UNKNOWN
    return one(Method(value, name)) if name in _OF_ROW else UNKNOWN


def method(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """Methods of models, rows, managers and query sets."""
    analysis = frame.analysis
    if isinstance(receiver, Query):
        return queries.method(frame, receiver, name, arguments) if receiver.orm == ORM else None
    if isinstance(receiver, ClassRef):
        if name == "as_manager" and models.is_query_class(analysis, receiver.index):
            return one(Made(MANAGER + "()", (frame.module.path, arguments.line), (one(receiver),)))
        if name == "()" and models.is_query_class(analysis, receiver.index):
            chosen = [m for v in arguments.get(0, "model") if isinstance(m := analysis.model(v), Model)]
            return one(queries.all_of(chosen[0], receiver.index)) if len(chosen) == 1 else None
    model = analysis.row(receiver)
    if not isinstance(model, Model):
        return None
    if name in ("save", "asave", "save_base"):
        saving.save(frame, model, arguments.node, own=False)
    elif name in ("delete", "adelete"):
        saving.delete(frame, model, arguments.node)
    elif name in ("refresh_from_db", "arefresh_from_db", "validate_unique", "full_clean"):
        frame.note_read(model.tables, arguments.node)
        clean = analysis.method(model.index, "clean") if name == "full_clean" else None
        if clean is not None:
            frame.invoke(clean, receiver, Arguments((), (), arguments.node))  # type: ignore[arg-type]
    elif name.startswith(("get_next_by_", "get_previous_by_")):
        frame.note_read(model.tables, arguments.node)
        return one(receiver)
    elif not (name.startswith("get_") and name.endswith("_display")):
        return None
    return PLAIN


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """Calls by path: shortcuts, cursors, signals, the registry of models."""
    last = path.rpartition(".")[2]
    if last in _GETTING:
        found: Values = NOTHING
        for value in queries.query_in(frame, arguments.get(0, "klass")):
            if isinstance(value, Query):
                rest = Arguments(
                    arguments.positional[1:],
                    tuple(k for k in arguments.keywords if k[0] != "klass"),
                    arguments.node,
                )
                found = join(found, queries.method(frame, value, _GETTING[last], rest))
        return (
            frame.iterate(found, arguments.node) and many(frame.iterate(found, arguments.node))
            if "list" in last
            else found or UNKNOWN
        )
    if not path.startswith("django."):
        return None
    if path.startswith(("django.db.connection", "django.db.connections")):
        return queries.execute(frame, path, receiver, arguments)
    if last == "get_user_model":
        user = models.user_model(frame.analysis)
        return one(ClassRef(user.index)) if user is not None else UNKNOWN
    if last in ("get_model", "get_registered_model"):
        name = ".".join(t for v in arguments.positional if (t := text_in(v)))
        chosen = models.model_named(frame.analysis, name)
        return one(ClassRef(chosen.index)) if chosen is not None else UNKNOWN
    if last == "from_queryset()":
        return one(
            Made(
                MANAGER + "()",
                (frame.module.path, arguments.line),
                receiver.args if isinstance(receiver, Made) else (),
            )
        )
    if path == QUERYSET:
        queried = queries.query_in(frame, arguments.get(0, "model"))
        return queried or None
    return _signal(frame, path, last, receiver, arguments)


def _signal(
    frame: "Frame", path: str, last: str, receiver: Value | None, arguments: Arguments
) -> Values | None:
    name = signal_name(receiver) or path.rpartition(".")[0]
    if last == "connect" and (name.startswith(SIGNAL) or ".signals." in name):
        saving.connect(frame, name, _senders(frame, arguments), arguments.get(0, "receiver"))
        return NOTHING
    if last in _SENDING and (name.startswith(SIGNAL) or ".signals." in name):
        saving.send(frame, name, None, arguments.node, arguments)
        return many(PLAIN)
    return None


def signal_name(value: Value | None) -> str:
    """What tells a signal of the application from others; "" where it is none."""
    return f"{value.path}{value.place}" if isinstance(value, Made) and value.path == SIGNAL else ""


def _senders(frame: "Frame", arguments: Arguments) -> Values:
    given = arguments.get(-1, "sender") or arguments.get(1, "sender")
    named = [models.model_named(frame.analysis, t) for t in texts_in(given)]
    user = any(isinstance(v, External) and v.path.endswith("AUTH_USER_MODEL") for v in given)
    owner = models.user_model(frame.analysis) if user else None
    return given | frozenset(ClassRef(m.index) for m in (*named, owner) if m is not None)


def receiver_decorated(frame: "Frame", function: int, path: str, arguments: Arguments | None) -> bool:
    """`@receiver(post_save, sender=Article)`."""
    if path != "django.dispatch.receiver" or arguments is None:
        return False
    signals = [v for value in arguments.get(0, "signal") for v in (
        frame.iterate(one(value), arguments.node) if not isinstance(value, External | Made) else (value,))]  # fmt: skip
    for signal in signals:
        name = signal_name(signal) or (signal.path if isinstance(signal, External) else "")
        if name:
            saving.connect(
                frame,
                name,
                _senders(frame, Arguments((), arguments.keywords, arguments.node)),
                one(FunctionRef(function)),
            )
    return True


def unresolved(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """A row that is not known is saved or deleted: some table is written."""
    saves = name in ("save", "asave") and not arguments.positional
    if (
        "django" in frame.analysis.notes
        and (saves or (name in ("delete", "bulk_create") and not arguments.all()))
        and all(
            key in ("commit", "update_fields", "using", "force_insert", "force_update", "")
            for key, _ in arguments.keywords
        )
    ):
        frame.note_write("?", "orm", arguments.node)
        return UNKNOWN
    if name in ("add", "merge", "remove") and any(
        isinstance(frame.analysis.row(v), Model) for v in arguments.get(0)
    ):
        return UNKNOWN
    if name == "get_model" and arguments.positional:
        return call(frame, "django.apps.apps.get_model", None, arguments)
    return None


def canonical(path: str) -> str:
    """One spelling for what can be imported from several places."""
    if path.startswith("django.db.models."):
        for part in ("base", "fields.related", "fields.json", "fields.files", "fields", "manager", "query", "expressions",
                     "aggregates", "functions", "query_utils", "enums"):  # fmt: skip
            if path.startswith(f"django.db.models.{part}."):
                return "django.db.models." + path[len(f"django.db.models.{part}.") :]
    elif path.startswith(
        ("django.contrib.gis.db.models.", "polymorphic.models.Polymorphic", "django.db.models.Polymorphic")
    ):
        last = path.rpartition(".")[2]
        return "django.db.models." + last.removeprefix("Polymorphic")
    return path


orm = Orm(
    __name__,
    packages=("django",),
    structural=frozenset({SIGNAL}),
    structural_prefixes=models.STRUCTURAL,
    canonical=canonical,
    start=start,
    bases=bases,
    attribute=attribute,
    call=call,
    method=method,
    iterate=queries.run,
    unresolved=unresolved,
)
