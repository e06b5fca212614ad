"""Rows and query sets written: save, delete with what hangs on it, many-to-many tables, receivers of signals."""

from typing import TYPE_CHECKING

from cache_strategy.model.evidence import WriterHow
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Relation
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    FunctionRef,
    Instance,
    Parts,
    Query,
    Values,
    join,
    many,
    one,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

SIGNALS = "django signals"


def save(frame: "Frame", model: Model, node: Node, *, own: bool = True, how: WriterHow = "orm") -> None:
    """A row is saved; `own` where the model's own `save` runs too."""
    for table in model.tables:
        frame.note_write(table, how, node)
    method = frame.analysis.method(model.index, "save") if own else None
    if method is not None:
        frame.invoke(method, Instance(model.index), given(node))
    for name in ("pre_save", "post_save"):
        send(frame, f"django.db.models.signals.{name}", model, node)


def delete(frame: "Frame", model: Model, node: Node, *, how: WriterHow = "orm", own: bool = False) -> None:
    """Rows are deleted, with what hangs on them."""
    for table in model.tables:
        frame.note_write(table, how, node)
    for child in sorted(cascades(frame, model)):
        frame.note_write(child, "cascade", node)
        for other in frame.analysis.mapped.values():
            if other.table == child and isinstance(other, Model) and "CASCADE" in other.on_delete.values():
                gone = [f"django.db.models.signals.{name}" for name in ("pre_delete", "post_delete")]
                if (
                    frame.analysis.cascades(child)
                    or other.bases
                    or any(listening(frame, name, other) for name in gone)
                ):
                    # their rows are loaded first, to find what hangs on them and to tell who listens
                    frame.note_read((child,), node)
                for name in gone:
                    send(frame, name, other, node)
    method = frame.analysis.method(model.index, "delete") if own else None
    if method is not None:
        frame.invoke(method, Instance(model.index), given(node))
    for name in ("pre_delete", "post_delete"):
        send(frame, f"django.db.models.signals.{name}", model, node)


def cascades(frame: "Frame", model: Model) -> set[str]:
    """The other tables that deleting a row of a model changes."""
    analysis = frame.analysis
    found: set[str] = set()
    queue = list(model.tables)
    for table in queue:
        found |= analysis.cascades(table)
        for mapped in analysis.mapped.values():
            if mapped.table == table:
                generic = [r.target for r in mapped.relations.values() if r.cascades]
                tables = {analysis.mapped[i].table for i in generic} - found - set(queue)
                queue.extend(tables)
                if generic:
                    frame.note_read(("django_content_type",), ("none",))
                found |= tables
    return found - set(model.tables)


def change(frame: "Frame", query: Query, model: Model, name: str, arguments: Arguments) -> Values:
    """Methods of managers and query sets that write."""
    from cache_strategy.profile.orms.django import queries

    node = arguments.node
    row: Values = one(Instance(model.index))
    if name in ("create", "get_or_create", "update_or_create"):
        if name != "create":
            queries.run(frame, query, node)
        save(frame, model, node)
        if query.relation is not None:
            _through(frame, query, node)
        return row if name == "create" else one(Parts((row, PLAIN)))
    others = query.tables - set(model.tables)
    if others:
        frame.note_read(sorted(others), node)
    if name == "delete":
        delete(frame, model, node, how="bulk")
        return PLAIN
    for table in model.tables if name == "bulk_create" else model.tables[:1]:
        frame.note_write(table, "bulk", node)
    for values in arguments.positional:
        frame.consume(values, node)
    return many(row) if name == "bulk_create" else PLAIN


def _through(frame: "Frame", query: Query, node: Node) -> str:
    """The rows of a relationship change: those of the table between, where there is one."""
    owner = frame.analysis.mapped[query.relation[0]] if query.relation is not None else None
    relation = (
        owner.relations.get(query.relation[1]) if owner is not None and query.relation is not None else None
    )
    if relation is not None and relation.secondary:
        frame.note_write(relation.secondary, "many-to-many", node)
        return relation.secondary
    return ""


def replace_between(frame: "Frame", relation: Relation, node: Node) -> None:
    """The rows of a many-to-many table are replaced by others: `row.relation.set(…)`."""
    frame.note_read((*frame.analysis.mapped[relation.target].tables, relation.secondary), node)
    frame.note_write(relation.secondary, "many-to-many", node)


def change_relation(frame: "Frame", query: Query, model: Model, name: str, arguments: Arguments) -> Values:
    """`row.relation.add(…)` and its like."""
    node = arguments.node
    for values in arguments.positional:
        frame.consume(values, node)
    between = _through(frame, query, node)
    if between:
        if name == "set":
            frame.note_read((*model.tables, between), node)
        elif name == "add" and listening(frame, "django.db.models.signals.m2m_changed", None):
            frame.note_read((between,), node)
        send(frame, "django.db.models.signals.m2m_changed", None, node)
    else:
        if name == "set":
            frame.note_read(model.tables, node)
        frame.note_write(model.tables[0], "orm", node)
    return NOTHING


# --- signals


def connect(frame: "Frame", signal: str, senders: Values, receivers: Values) -> None:
    """Remembers who listens to a signal of which senders."""
    models = [m for v in senders if (m := frame.analysis.model(v)) is not None]
    for name in [str(m.index) for m in models] or ["*"]:
        frame.analysis.store(
            (SIGNALS, signal), name, frozenset(v for v in receivers if isinstance(v, FunctionRef))
        )


def listening(frame: "Frame", signal: str, model: Model | None) -> Values:
    """Who listens to a signal of a model, or of any."""
    analysis = frame.analysis
    if model is None:
        return join(*(v for (o, _), v in list(analysis.stores.items()) if o == (SIGNALS, signal)))
    kinds = [str(c) for c in analysis.mro(model.index)[0]]
    return join(*(analysis.stored((SIGNALS, signal), kind) for kind in (*kinds, "*")))


def send(frame: "Frame", signal: str, model: Model | None, node: Node, sent: Arguments | None = None) -> None:
    """What listens to a signal runs."""
    row: Values = one(Instance(model.index)) if model is not None else NOTHING
    keywords = sent.keywords if sent is not None else (("instance", row),) if row else ()
    for value in sorted(listening(frame, signal, model), key=repr):
        if isinstance(value, FunctionRef):
            frame.invoke(value.index, value.receiver, Arguments((), keywords, node))
