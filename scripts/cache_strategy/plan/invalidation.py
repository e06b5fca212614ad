"""Which writer invalidates an entry, and how."""

from collections.abc import Iterable
from dataclasses import replace

from cache_strategy.model.contract import Dependency, Entry, Invalidator, writer_name
from cache_strategy.model.evidence import UNKNOWN_TABLE, Candidate


def choose_dependencies(candidate: Candidate) -> tuple[Dependency, ...]:
    """The tables behind an entry; a row where the key holds the primary key of the only row that is read."""
    rows = {row.table: row.key for row in candidate.rows}
    return tuple(
        Dependency(table=table, row=rows.get(table, ""))
        for table in sorted(candidate.reads)
        if table != UNKNOWN_TABLE
    )


def choose_invalidators(candidate: Candidate) -> tuple[Invalidator, ...]:
    """
    Every writer of the tables, each by events of the ORM's session.

    The session's events see every statement that goes through it (flush, bulk update, core, raw SQL, cascades that the
    schema declares) and act after the commit, so they are the default for all of them.
    """
    found: dict[str, tuple[set[str], list[str]]] = {}
    for writer in sorted(candidate.writers, key=lambda w: (w.path, w.line)):
        tables, ways = found.setdefault(writer_name(writer), (set(), []))
        tables.update(writer.tables)
        if writer.how not in ways:
            ways.append(writer.how)
    return tuple(
        Invalidator(writer=name, tables=tuple(sorted(tables)), how="event", writes=", ".join(ways))
        for name, (tables, ways) in found.items()
    )


def all_writers(entries: Iterable[Entry]) -> tuple[Invalidator, ...]:
    """The writers of all entries, each once with all its tables, in an order that the entries' own lists keep."""
    known: dict[str, Invalidator] = {}
    order: list[str] = []
    for entry in entries:
        before = 0
        for one in entry.invalidated_by:
            if one.how != "event":
                continue
            if one.writer in known:
                tables = tuple(sorted({*known[one.writer].tables, *one.tables}))
                ways = {*known[one.writer].writes.split(", "), *one.writes.split(", ")}
                known[one.writer] = replace(one, tables=tables, writes=", ".join(sorted(ways)))
                before = order.index(one.writer) + 1
            else:
                known[one.writer] = one
                order.insert(before, one.writer)
                before += 1
    return tuple(known[name] for name in order)


def writers_of(depends_on: Iterable[Dependency], writers: Iterable[Invalidator]) -> tuple[Invalidator, ...]:
    """Of all writers those that change a dependency, with the tables that it has."""
    own = {dependency.table for dependency in depends_on}
    return tuple(
        replace(writer, tables=tuple(t for t in writer.tables if t in own))
        for writer in writers
        if own & set(writer.tables)
    )
