"""Which writer invalidates an entry, and how."""

from cache_strategy.model.contract import Dependency, Invalidator, writer_name
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
