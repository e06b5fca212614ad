"""What the code says today that a contract does not: only that is worth a proposal beside a person's own decisions."""

from cache_strategy.model.contract import Contract, Entry


def differences(current: Contract, proposal: Contract, functions: frozenset[str]) -> list[str]:
    """
    One sentence for each thing that the proposal knows and the contract in force does not.

    `functions` are all of the repository, as "path:qualname".

    A choice of the person (layer, time to live, key order, an entry moved to `rejected`) is no difference; a new place
    worth a cache, a writer or a table that an entry does not know, and a target that is gone are.
    """
    decided = {e.target for e in current.entries} | {r.target for r in current.rejected}
    proposed = {e.target: e for e in proposal.entries}
    found = [
        f"{e.target} may be worth an entry ({e.id})" for e in proposal.entries if e.target not in decided
    ]
    for entry in current.entries:
        if entry.target in proposed:
            found += _grown(entry, proposed[entry.target])
        elif entry.target not in functions:
            found.append(f"{entry.id}: {entry.target} is not in the code any more")
    return found


def _grown(entry: Entry, proposed: Entry) -> list[str]:
    tables = {d.table for d in entry.depends_on}
    writers = {i.writer for i in entry.invalidated_by}
    found = [
        f"{entry.id}: reads {d.table}, which it does not depend on"
        for d in proposed.depends_on
        if d.table not in tables
    ]
    # Where the session's events carry a table, they carry a writer that the contract does not name as well.
    by_events = {t for i in entry.invalidated_by if i.how == "event" for t in i.tables}
    for invalidator in proposed.invalidated_by:
        unseen = [t for t in invalidator.tables if t in tables and t not in by_events]
        if invalidator.writer not in writers and unseen:
            found.append(
                f"{entry.id}: {invalidator.writer} writes {', '.join(unseen)} and is not among its writers"
            )
    return found
