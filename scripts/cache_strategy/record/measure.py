"""A trace to measurements of its endpoints."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from cache_strategy.model.evidence import UNKNOWN_TABLE, EndpointMeasurement, Measurement
from cache_strategy.model.trace import Access, Trace


def measure(
    trace: Trace, *, volume: bool, tables_of: Mapping[str, frozenset[str]] | None = None
) -> tuple[EndpointMeasurement, ...]:
    """
    What the trace says about each endpoint, in name order.

    Figures: `latency_ms_p50`, `latency_ms_p95`, `database_ms_p50`, `statements_per_request`, `answer_bytes` (median),
    `change_share` (of the consecutive answers to one key and user, the share that differs from the one before),
    `same_for_all_users_share` (of the consecutive answers to one key that went to different users, the share that is
    equal: near 1 the answer can be shared, near 0 it is private), and with `volume` `requests_per_hour` and
    `writes_per_hour`. A figure that the trace does not know is absent.

    Args:
        volume: the trace is of production or of a load like it. What a test suite requests is no volume.
        tables_of: tables that an endpoint reads, for `writes_per_hour`.
    """
    groups: dict[str, list[Access]] = defaultdict(list)
    for access in trace.accesses:
        groups[access.group].append(access)
    where = f"trace {trace.source}"
    measured = []
    for group, accesses in sorted(groups.items()):
        figures = _figures(accesses, where)
        if volume and trace.seconds > 0:
            figures.update(_volume(accesses, trace, (tables_of or {}).get(group), where))
        measured.append(EndpointMeasurement(id=group, figures=figures))
    return tuple(measured)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed (nearest rank); `values` are not empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _figures(accesses: Sequence[Access], where: str) -> dict[str, Measurement]:
    latency = _known(accesses, lambda access: access.duration_ms)
    database = _known(accesses, lambda access: access.database_ms)
    statements = _known(accesses, lambda access: access.statements)
    sizes = _known(
        (access for access in accesses if access.status in (None, 200)), lambda access: access.size_bytes
    )
    figures: dict[str, Measurement] = {}

    def add(name: str, value: float, unit: str, n: int) -> None:
        figures[name] = Measurement(value=round(value, 4), unit=unit, source="measured", where=where, n=n)

    if latency:
        add("latency_ms_p50", statistics.median(latency), "ms", len(latency))
        add("latency_ms_p95", percentile(latency, 0.95), "ms", len(latency))
    if database:
        add("database_ms_p50", statistics.median(database), "ms", len(database))
    if statements:
        add("statements_per_request", statistics.fmean(statements), "statements/request", len(statements))
    if sizes:
        add("answer_bytes", statistics.median(sizes), "bytes", len(sizes))
    changed, pairs = _changes(accesses)
    if pairs:
        add("change_share", changed / pairs, "share", pairs)
    same, meetings = _meetings(accesses)
    if meetings:
        add("same_for_all_users_share", same / meetings, "share", meetings)
    return figures


def _known(accesses: Iterable[Access], read: Callable[[Access], float | None]) -> list[float]:
    return [value for access in accesses if (value := read(access)) is not None]


def _answers(accesses: Iterable[Access]) -> Iterable[Access]:
    """Answers whose content is known and meant: an error page says nothing about the data."""
    return (access for access in accesses if access.digest and access.status in (None, 200))


def _changes(accesses: Iterable[Access]) -> tuple[int, int]:
    last: dict[tuple[str, str], str] = {}
    changed = pairs = 0
    for access in _answers(accesses):
        before = last.get((access.key, access.user))
        if before is not None:
            pairs += 1
            changed += before != access.digest
        last[access.key, access.user] = access.digest
    return changed, pairs


def _meetings(accesses: Iterable[Access]) -> tuple[int, int]:
    by_key: dict[str, list[Access]] = defaultdict(list)
    for access in _answers(accesses):
        by_key[access.key].append(access)
    same = meetings = 0
    for answers in by_key.values():
        for before, after in pairwise(answers):
            if before.user != after.user:
                meetings += 1
                same += before.digest == after.digest
    return same, meetings


def _volume(
    accesses: Sequence[Access], trace: Trace, tables: frozenset[str] | None, where: str
) -> dict[str, Measurement]:
    hours = trace.seconds / 3600
    figures = {
        "requests_per_hour": Measurement(
            value=round(len(accesses) / hours, 2),
            unit="requests/hour",
            source="measured",
            where=f"{where}, {trace.seconds:.0f} s",
            n=len(accesses),
        )
    }
    if tables is not None and trace.writes and UNKNOWN_TABLE not in tables:
        lower = {table.lower() for table in tables}
        writes = sum(not lower.isdisjoint(table.lower() for table in write.tables) for write in trace.writes)
        figures["writes_per_hour"] = Measurement(
            value=round(writes / hours, 2),
            unit="writes/hour",
            source="measured",
            where=f"{where}, {trace.seconds:.0f} s, tables {', '.join(sorted(tables))}",
            n=writes,
        )
    return figures
