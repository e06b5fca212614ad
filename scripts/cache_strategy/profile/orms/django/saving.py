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

SAVING = frozenset("create get_or_create update_or_create bulk_create bulk_update update delete".split())
OF_RELATION = frozenset(("add", "remove", "set", "clear"))
_SIGNALS, _OF_MODEL = "django signals", "django.db.models.signals."


def save(frame: "Frame", model: Model, node: Node, *, own: bool = True) -> None:
    """A row is saved; `own` where the model's own `save` runs too."""
    for table in model.tables:
        frame.note_write(table, "orm", node)
    method = frame.analysis.method(model.index, "save") if own else None
    if method is not None:
        frame.invoke(method, Instance(model.index), given(node))
    for name in ("pre_save", "post_save"):
        send(frame, _OF_MODEL + name, model, node)


def delete(frame: "Frame", model: Model, node: Node, how: WriterHow = "orm") -> None:
    analysis, gone = frame.analysis, [_OF_MODEL + name for name in ("pre_delete", "post_delete")]
    for table in model.tables:
        frame.note_write(table, how, node)
    for name in gone:
        send(frame, name, model, node)
    for table in sorted(_cascades(frame, model, node)):
        frame.note_write(table, "cascade", node)
        for child in [m for m in analysis.mapped.values() if m.table == table and isinstance(m, Model)]:
            if "CASCADE" in child.on_delete.values():
                # rows are loaded first where something hangs on them or somebody listens
                if analysis.cascades(table) or child.bases or any(listening(frame, n, child) for n in gone):
                    frame.note_read((table,), node)
                for name in gone:
                    send(frame, name, child, node)


def _cascades(frame: "Frame", model: Model, node: Node) -> set[str]:
    found, queue = set(), list(model.tables)
    for table in queue:
        found |= frame.analysis.cascades(table)
        mapped = [m for m in frame.analysis.mapped.values() if m.table == table]
        generic = {r.target for m in mapped for r in m.relations.values() if r.cascades}
        if generic:
            frame.note_read(("django_content_type",), node)
        queue.extend(sorted({frame.analysis.mapped[i].table for i in generic} - found - set(queue)))
    return (found | set(queue)) - set(model.tables)


def change(frame: "Frame", query: Query, model: Model | None, name: str, arguments: Arguments) -> Values:
    """Methods of managers and query sets that write."""
    from cache_strategy.profile.orms.django import queries

    node, is_bulk = arguments.node, name not in ("create", "get_or_create", "update_or_create")
    if model is None:
        frame.note_write(query.target or "?", "bulk" if is_bulk else "orm", node)
        return PLAIN
    row: Values = one(Instance(model.index))
    if not is_bulk:
        if name != "create":
            queries.run(frame, query, node)
        save(frame, model, node)
        _between(frame, query, node)
        return row if name == "create" else one(Parts((row, PLAIN)))
    frame.note_read(sorted(query.tables - set(model.tables)), node)
    for values in arguments.positional:
        frame.consume(values, node)
    if name == "delete":
        delete(frame, model, node, "bulk")
    else:
        for table in model.tables if name == "bulk_create" else model.tables[:1]:
            frame.note_write(table, "bulk", node)
    return many(row) if name == "bulk_create" else PLAIN


def _between(frame: "Frame", query: Query, node: Node) -> str:
    owner, name = query.relation or (-1, "")
    relation = frame.analysis.mapped[owner].relations.get(name) if owner >= 0 else None
    if relation is None or not relation.secondary:
        return ""
    frame.note_write(relation.secondary, "many-to-many", node)
    return relation.secondary


def replace_between(frame: "Frame", relation: Relation, node: Node) -> None:
    """The rows of a many-to-many table are replaced by others."""
    frame.note_read((*frame.analysis.mapped[relation.target].tables, relation.secondary), node)
    frame.note_write(relation.secondary, "many-to-many", node)


def change_relation(frame: "Frame", query: Query, model: Model, name: str, arguments: Arguments) -> Values:
    """`row.relation.add(…)` and its like."""
    node, between = arguments.node, _between(frame, query, arguments.node)
    for values in arguments.positional:
        frame.consume(values, node)
    if name == "set":
        frame.note_read((*model.tables, between) if between else model.tables, node)
    if not between:
        frame.note_write(model.tables[0], "orm", node)
    elif name == "add" and listening(frame, _OF_MODEL + "m2m_changed", None):
        frame.note_read((between,), node)
    if between:
        send(frame, _OF_MODEL + "m2m_changed", None, node)
    return NOTHING


def connect(frame: "Frame", signal: str, senders: Values, receivers: Values) -> None:
    """Remembers who listens to a signal of which senders."""
    models = [m for v in senders if (m := frame.analysis.model(v)) is not None]
    for name in [str(m.index) for m in models] or ["*"]:
        found = frozenset(v for v in receivers if isinstance(v, FunctionRef))
        frame.analysis.store((_SIGNALS, signal), name, found)


def listening(frame: "Frame", signal: str, model: Model | None) -> Values:
    analysis = frame.analysis
    if model is None:
        analysis.memory.cannot_repeat()
        return join(*(v for (o, _), v in list(analysis.stores.items()) if o == (_SIGNALS, signal)))
    kinds = [*map(str, analysis.mro(model.index)[0]), "*"]
    return join(*(analysis.stored((_SIGNALS, signal), kind) for kind in kinds))


def send(frame: "Frame", signal: str, model: Model | None, node: Node, sent: Arguments | None = None) -> None:
    row = (("instance", one(Instance(model.index))),) if model is not None else ()
    arguments = Arguments((), sent.keywords if sent is not None else row, node)
    for value in sorted(listening(frame, signal, model), key=repr):
        if isinstance(value, FunctionRef):
            frame.invoke(value.index, value.receiver, arguments)
