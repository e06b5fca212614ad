"""Rows of mapped classes, whatever the ORM: what reading or assigning an attribute does."""

from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Mapped, Relation
from cache_strategy.profile.values import PLAIN, Instance, Many, Query, RowKey, Values, many, one


def attribute(frame: Frame, mapped: Mapped, name: str, node: Node) -> Values | None:
    """`row.name`: a column is plain data, a relationship reads its tables; None where it is neither."""
    relation = mapped.relations.get(name)
    if relation is not None:
        return follow(frame, mapped, name, relation, node)
    if name in mapped.columns:
        return PLAIN
    return None


def follow(frame: Frame, mapped: Mapped, name: str, relation: Relation, node: Node) -> Values:
    tables = tables_of_relation(frame, relation)
    target = Instance(relation.target)
    if relation.lazy:
        return one(
            Query(mapped.orm, "select", one(target), tables, inner=tables, relation=(mapped.index, name))
        )
    frame.note_read(sorted(tables), node)
    if relation.attribute:
        from cache_strategy.profile import attributes

        inner = attributes.get(frame, one(target), relation.attribute, node)
        return many(inner) if relation.many else inner
    return one(Many(one(target), relation=(mapped.index, name))) if relation.many else one(target)


def tables_of_relation(frame: Frame, relation: Relation) -> frozenset[str]:
    target = frame.analysis.mapped.get(relation.target)
    tables = set(target.tables if target is not None else ())
    if relation.secondary:
        tables.add(relation.secondary)
    return frozenset(tables)


def store(frame: Frame, mapped: Mapped, name: str, values: Values, node: Node) -> bool:
    relation = mapped.relations.get(name)
    if mapped.explicit:
        return relation is not None or name in mapped.columns
    if relation is not None:
        write_relation(frame, mapped, relation, node)
        write_new(frame, values, node)
        return True
    if name in mapped.columns:
        frame.note_write(mapped.table, "orm", node)
        return True
    return False


def write_relation(frame: Frame, mapped: Mapped, relation: Relation, node: Node) -> None:
    """A relationship changes: rows of the association table, or the foreign key on one of the sides."""
    if relation.secondary:
        frame.note_write(relation.secondary, "many-to-many", node)
        return
    target = frame.analysis.mapped.get(relation.target)
    if relation.many and target is not None:
        frame.note_write(target.table, "orm", node)
    else:
        frame.note_write(mapped.table, "orm", node)


def write_new(frame: Frame, values: Values, node: Node) -> None:
    for value in values:
        mapped = frame.analysis.row(value)
        if mapped is not None and isinstance(value, Instance) and value.new:
            frame.note_write(mapped.table, "orm", node)
        elif isinstance(value, Many):
            write_new(frame, value.items, node)


def key_of_argument(table: str, column: str, values: Values) -> RowKey | None:
    """The row key where `values` are exactly an argument of the function; None where they are anything else."""
    from cache_strategy.profile.values import Argument

    names = [v.name for v in values if isinstance(v, Argument)]
    return RowKey(table, column, names[0]) if len(names) == 1 and len(values) == 1 else None


def delete(frame: Frame, mapped: Mapped, node: Node) -> None:
    """A row is deleted: its table, what the database deletes with it, what the ORM deletes with it."""
    for table in mapped.tables:
        frame.note_write(table, "orm", node)
    for relation in mapped.relations.values():
        # the ORM loads what hangs on the row, to delete it or to cut it off
        if relation.many and not relation.passive and not relation.attribute:
            frame.note_read(sorted(tables_of_relation(frame, relation)), node)
    for table in sorted(cascades_of(frame, mapped, set())):
        if table not in mapped.tables:
            frame.note_write(table, "cascade", node)


def cascades_of(frame: Frame, mapped: Mapped, seen: set[int]) -> set[str]:
    """The tables whose rows change with a deleted row of this class, by the ORM or the database, directly or not."""
    if mapped.index in seen:
        return set()
    seen.add(mapped.index)
    found = set()
    for relation in mapped.relations.values():
        if relation.secondary:
            found.add(relation.secondary)
        elif relation.many:
            target = frame.analysis.mapped.get(relation.target)
            if target is None:
                continue
            # without a cascade the ORM sets the children's foreign key to NULL
            found.add(target.table)
            if relation.cascades:
                found |= cascades_of(frame, target, seen)
    found |= frame.analysis.cascades(mapped.table)
    return found
