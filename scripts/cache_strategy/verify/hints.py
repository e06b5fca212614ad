"""What would test an entry that the command left untested."""

from collections import Counter
from collections.abc import Sequence

from cache_strategy.model.contract import Entry
from cache_strategy.model.trace import CacheEvent


def untested_hint(entry: Entry, events: Sequence[CacheEvent]) -> str:
    """One sentence about why there was no compared hit, and one about what to run; `events` are the entry's own."""
    count = Counter(event.event for event in events)
    if entry.emit != "runtime":
        return (
            f"{entry.emit} cannot be compared with the origin; only that the command still passes was tested."
        )
    if count["hit"]:
        reasons = Counter(event.reason for event in events if event.event == "uncompared")
        because = f": {reasons.most_common(1)[0][0]}" if reasons else ""
        return (
            f"{count['hit']} hits could not be compared with the origin{because}. {_ask_twice(entry, events)}"
        )
    if count["miss"] or count["store"]:
        return f"It was computed {count['miss'] or count['store']} times and no key was asked for again. {_ask_twice(entry, events)}"
    if count["bypass"]:
        reasons = Counter(event.reason for event in events if event.event == "bypass" and event.reason)
        because = f" ({reasons.most_common(1)[0][0]})" if reasons else ""
        return (
            f"All {count['bypass']} calls went past the cache{because}; inside a transaction that has written to its "
            f"tables nothing is cached. {_ask_twice(entry, events)}"
        )
    return f"The command never used it. {_ask_twice(entry, events)}"


def _ask_twice(entry: Entry, events: Sequence[CacheEvent]) -> str:
    groups = Counter(event.group for event in events if event.group)
    if groups:
        return f"To test it, request {groups.most_common(1)[0][0]} twice with the same arguments, in committed transactions."
    _, _, name = entry.target.partition(":")
    what = (
        f"read {entry.id} after a refresh of its view"
        if entry.kind == "view"
        else f"reach {name or entry.target}"
    )
    return f"To test it, {what} twice with the same arguments."
