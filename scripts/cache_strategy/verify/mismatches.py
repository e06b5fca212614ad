"""Why a served value differed from the origin's: which write, by which code, or none."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from cache_strategy.model.contract import Entry
from cache_strategy.model.trace import CacheEvent, Trace, Write
from cache_strategy.model.verdict import Mismatch

_VERBS = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|REPLACE|MERGE|TRUNCATE|CREATE|DROP|ALTER|COPY)\b", re.IGNORECASE
)
SHOWN_CHARACTERS = 160
LISTED_AT_MOST = 20
"""Mismatches that are listed per entry (assumed); the rest are counted in a note."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """`hits` that were compared, the mismatches that refute the entry, and what else is worth saying about it."""

    hits: int
    mismatches: tuple[Mismatch, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Comparison:
    """One hit that was compared. `origin` is what the origin answered, None when it was the served value."""

    time_s: float
    stored_s: float
    served: str = ""
    origin: str | None = None


def judge(entry: Entry, trace: Trace) -> Judgement:
    """
    What the oracle's run says about one entry.

    A stale value is excused when a committed write to a dependency explains it and the first such write since the
    value was last known to be right is no older than `staleness_bound_seconds`. A difference without any write is
    never excused: it is not staleness.
    """
    judge = _Judge(entry, trace)
    hits = 0
    for key, comparisons in _comparisons(entry, trace.cache_events).items():
        hits += len(comparisons)
        judge.key(key, comparisons)
    found = judge.mismatches
    distinct = {(m.key, m.write.split(" at ")[0], m.writer, m.reason): m for m in reversed(found)}
    listed = tuple(reversed(distinct.values()))[:LISTED_AT_MOST]
    notes = []
    if judge.within_bound:
        notes.append(
            f"{judge.within_bound} hits were stale within the bound of {entry.staleness_bound_seconds} s that the contract allows."
        )
    if len(found) > len(listed):
        notes.append(f"{len(found)} hits differed, {len(listed)} of them are listed.")
    return Judgement(hits=hits, mismatches=listed, notes=tuple(notes))


def _comparisons(entry: Entry, events: Iterable[CacheEvent]) -> dict[str, list[_Comparison]]:
    """
    By key, in time order.

    A mismatch, or the word that a hit was not compared, belongs to the latest hit of its key that has neither yet.
    """
    by_key: dict[str, list[_Comparison]] = defaultdict(list)
    for event in events:
        if event.entry != entry.id:
            continue
        of_key = by_key[event.key]
        stored = event.time_s if event.stored_s is None else event.stored_s
        if event.event == "hit":
            of_key.append(_Comparison(event.time_s, stored))
            continue
        place = next((i for i in reversed(range(len(of_key))) if of_key[i].origin is None), None)
        if event.event == "uncompared" and place is not None:
            del of_key[place]
        elif event.event == "mismatch":
            comparison = _Comparison(event.time_s, stored) if place is None else of_key[place]
            comparison.time_s, comparison.served, comparison.origin = event.time_s, event.served, event.origin
            if place is None:
                of_key.append(comparison)
    return by_key


class _Judge:
    """Collects what refutes an entry."""

    def __init__(self, entry: Entry, trace: Trace) -> None:
        self.entry = entry
        self.trace = trace
        self.mismatches: list[Mismatch] = []
        self.within_bound = 0
        self._tables = {dependency.table.rpartition(".")[2].lower() for dependency in entry.depends_on}
        firsts = [items[0].time_s for items in (trace.accesses, trace.writes, trace.cache_events) if items]
        self._start_s = min(firsts, default=0.0)

    def key(self, key: str, comparisons: Sequence[_Comparison]) -> None:
        wavering = _wavering(comparisons, self.trace.writes)
        known_right: dict[float, float] = {}
        for comparison in comparisons:
            stored = round(comparison.stored_s, 3)
            if comparison.origin is None:
                known_right[stored] = comparison.time_s
                continue
            since = max(comparison.stored_s, known_right.get(stored, comparison.stored_s))
            writes = [write for write in self.trace.writes if since <= write.time_s <= comparison.time_s]
            relevant = [w for w in writes if not self._tables.isdisjoint(t.lower() for t in w.tables)]
            if relevant and not wavering:
                age_s = comparison.time_s - relevant[0].time_s
                if age_s <= self.entry.staleness_bound_seconds:
                    self.within_bound += 1
                    continue
            write, reason = self._explained(comparison, relevant, writes, wavering)
            served, origin = _around_the_difference(comparison.served, comparison.origin)
            self.mismatches.append(
                Mismatch(
                    entry=self.entry.id,
                    key=key,
                    served=served,
                    origin=origin,
                    write=self._shown(write) if write else "",
                    writer=_writer(write) if write else "",
                    reason=reason,
                )
            )

    def _explained(
        self, comparison: _Comparison, relevant: Sequence[Write], writes: Sequence[Write], wavering: str
    ) -> tuple[Write | None, str]:
        """The write that made the served value wrong, where one did, and the reason in words."""
        if wavering:
            return None, wavering
        if relevant:
            return relevant[-1], self._what_followed(relevant[-1], comparison)
        if writes:
            tables = ", ".join(sorted(self._tables)) or "nothing"
            return writes[-1], (
                f"No dependency was written since the value was stored. {', '.join(writes[-1].tables)} was, and is not "
                f"among what the entry depends on ({tables}): add it to depends_on."
            )
        return None, (
            "No write was seen since the value was stored: the key misses an input (user, header, locale), the answer "
            "depends on the time, or the data changed where the probe cannot see (a trigger, another program)."
        )

    def _what_followed(self, write: Write, comparison: _Comparison) -> str:
        for event in self.trace.cache_events:
            if event.event != "invalidate" or not write.time_s <= event.time_s <= comparison.time_s:
                continue
            if any(tag.partition(":")[0].lower() in self._tables for tag in event.tags):
                return "The dependency was invalidated after this write, yet the old value was served."
        reason = f"No invalidation of {', '.join(write.tables)} followed this write."
        named = {invalidator.writer for invalidator in self.entry.invalidated_by}
        if write.path and f"{write.path}:{write.qualname}" not in named:
            reason += " The contract does not name its writer in invalidated_by."
        return reason

    def _shown(self, write: Write) -> str:
        """What was done, of a WITH the first that changes something, and when: seconds since the trace began."""
        verb = _VERBS.search(write.statement)
        at = f"{write.time_s - self._start_s:.1f} s"
        return f"{verb[0].upper() if verb else 'write'} {', '.join(write.tables)} at {at}"


def _around_the_difference(served: str, origin: str) -> tuple[str, str]:
    """Both texts from a little before the place where they part, at most SHOWN_CHARACTERS each."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(served, origin, strict=False)))
    start = max(0, same - SHOWN_CHARACTERS // 4) if max(len(served), len(origin)) > SHOWN_CHARACTERS else 0

    def cut(text: str) -> str:
        rest = text[start:]
        return "…" * bool(start) + rest[:SHOWN_CHARACTERS] + "…" * (len(rest) > SHOWN_CHARACTERS)

    return cut(served), cut(origin)


def _wavering(comparisons: Sequence[_Comparison], writes: Sequence[Write]) -> str:
    """A reason when the origin's answers to one key changed although nothing was written; else ""."""
    texts = {round(c.stored_s, 3): c.served for c in comparisons if c.origin is not None}
    seen: set[str] = set()
    changed = False
    for before, after in pairwise(comparisons):
        first, second = _answer(before, texts), _answer(after, texts)
        if first is None or second is None:
            continue
        seen.add(first)
        if first == second or any(before.time_s <= write.time_s <= after.time_s for write in writes):
            continue
        changed = True
        if second in seen:
            return (
                "The key misses an input: with no write between them the origin gave two different answers to this "
                "one key, and then the first again."
            )
    if changed:
        return (
            "With no write between them the origin gave different answers to this one key: the key misses an input "
            "(user, header, locale), or the answer depends on the time or on chance."
        )
    return ""


def _answer(comparison: _Comparison, texts: dict[float, str]) -> str | None:
    if comparison.origin is not None:
        return comparison.origin
    return texts.get(round(comparison.stored_s, 3))


def _writer(write: Write) -> str:
    return f"{write.path}:{write.line} {write.qualname}" if write.path else "code outside the repository"
