"""What would test an entry that the command left untested."""

from collections import Counter
from collections.abc import Sequence

from cache_strategy.model.contract import Entry
from cache_strategy.model.trace import CacheEvent


def untested_hint(entry: Entry, events: Sequence[CacheEvent]) -> str:
    """One sentence about why there was no compared hit, and one about what to run; `events` are the entry's own."""
    count = Counter(event.event for event in events)
    computed = count["miss"] or count["store"]
    if count["hit"]:
        found = f"{count['hit']} hits could not be compared with the origin{_reason(events, 'uncompared')}."
    elif computed:
        found = f"It was computed {computed} times and no key was asked for again."
    elif count["bypass"]:
        found = (
            f"All {count['bypass']} calls went past the cache{_reason(events, 'bypass')}; inside a transaction that has "
            "written to its tables nothing is cached."
        )
    else:
        found = "The command never used it."
    groups = Counter(event.group for event in events if event.group)
    what = f"reach {entry.target.partition(':')[2] or entry.target} twice with the same arguments"
    if groups:
        what = (
            f"request {groups.most_common(1)[0][0]} twice with the same arguments, in committed transactions"
        )
    elif entry.kind == "view":
        what = f"read {entry.id} twice after a refresh of its view"
    return f"{found} To test it, {what}."


def _reason(events: Sequence[CacheEvent], kind: str) -> str:
    """The most frequent reason of such events, in brackets."""
    reasons = Counter(event.reason for event in events if event.event == kind and event.reason)
    return f" ({reasons.most_common(1)[0][0]})" if reasons else ""
