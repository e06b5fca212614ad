"""A trace to measurements of its endpoints."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cache_strategy.model.evidence import UNKNOWN_TABLE, EndpointMeasurement, Measurement
from cache_strategy.model.trace import Access, Accesses, Trace


def measure(
    trace: Trace, *, volume: bool, tables_of: Mapping[str, frozenset[str]] | None = None
) -> tuple[EndpointMeasurement, ...]:
    """
    What the trace says about each endpoint, in name order; a figure that it does not know is absent.

    `change_share` is the share of answers that differ from the one before to the same key and user,
    `same_for_all_users_share` that of answers which equal the one before to the same key and another user: near 1 the
    answer can be shared, near 0 it is private.

    Args:
        volume: the trace is of production or of a load like it. What a test suite requests is no volume.
        tables_of: tables that an endpoint reads, for `writes_per_hour`.
    """
    where = f"trace {trace.source}"
    measured = []
    for group, accesses in _by_group(trace.accesses):
        figures = _figures(accesses, where)
        if volume and trace.seconds > 0:
            figures.update(_volume(len(accesses.latency), trace, (tables_of or {}).get(group), where))
        measured.append(EndpointMeasurement(id=group, figures=figures))
    return tuple(measured)


@dataclass
class _Group:
    """Of each access of a group, in time order; of answers and sizes only those that were no error page or redirection."""

    latency: Sequence[float | None]
    sizes: Sequence[float | None]
    database: Sequence[float | None] = ()
    statements: Sequence[float | None] = ()
    answers: Sequence[Access] = ()


def _by_group(accesses: Sequence[Access]) -> Iterator[tuple[str, _Group]]:
    """In name order; a log's columns are not taken apart, there may be millions of them."""
    if isinstance(accesses, Accesses):
        for group, number in sorted((group, number) for number, group in enumerate(accesses.groups)):
            own = accesses.group == number
            good = own & ((accesses.status == 200) | (accesses.status < 0)) & (accesses.size_bytes >= 0)
            latency = [None if took != took else took for took in accesses.duration_ms[own].tolist()]
            yield group, _Group(latency, accesses.size_bytes[good].tolist())
        return
    groups: dict[str, list[Access]] = defaultdict(list)
    for access in accesses:
        groups[access.group].append(access)
    for group, members in sorted(groups.items()):
        good = [access for access in members if access.status in (None, 200)]
        yield (
            group,
            _Group(
                [access.duration_ms for access in members],
                [access.size_bytes for access in good],
                [access.database_ms for access in members],
                [access.statements for access in members],
                [access for access in good if access.digest],
            ),
        )


def _p95(values: Sequence[float]) -> float:
    """By nearest rank."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def _figures(group: _Group, where: str) -> dict[str, Measurement]:
    figures: dict[str, Measurement] = {}

    def add(
        name: str, figure: Callable[[Sequence[float]], float], unit: str, values: Iterable[float | None]
    ) -> None:
        known = [value for value in values if value is not None]
        if known:
            value = round(figure(known), 4)
            figures[name] = Measurement(value=value, unit=unit, source="measured", where=where, n=len(known))

    add("latency_ms_p50", statistics.median, "ms", group.latency)
    add("latency_ms_p95", _p95, "ms", group.latency)
    add("database_ms_p50", statistics.median, "ms", group.database)
    add("statements_per_request", statistics.fmean, "statements/request", group.statements)
    add("answer_bytes", statistics.median, "bytes", group.sizes)
    add("change_share", statistics.fmean, "share", _changes(group.answers))
    add("same_for_all_users_share", statistics.fmean, "share", _meetings(group.answers))
    return figures


def _changes(answers: Iterable[Access]) -> Iterator[bool]:
    """Of each answer but the first to one key and user, whether it differs from the one before."""
    last: dict[tuple[str, str], str] = {}
    for access in answers:
        before = last.get((access.key, access.user))
        if before is not None:
            yield before != access.digest
        last[access.key, access.user] = access.digest


def _meetings(answers: Iterable[Access]) -> Iterator[bool]:
    """Of each answer to a key that went to another user than the one before, whether it is the same."""
    last: dict[str, Access] = {}
    for access in answers:
        before = last.get(access.key)
        if before is not None and before.user != access.user:
            yield before.digest == access.digest
        last[access.key] = access


def _volume(requests: int, trace: Trace, tables: frozenset[str] | None, where: str) -> dict[str, Measurement]:
    where = f"{where}, {trace.seconds:.0f} s"

    def per_hour(what: str, n: int, more: str = "") -> Measurement:
        value = round(n / trace.seconds * 3600, 2)
        return Measurement(value=value, unit=f"{what}/hour", source="measured", where=where + more, n=n)

    figures = {"requests_per_hour": per_hour("requests", requests)}
    if tables is not None and trace.writes and UNKNOWN_TABLE not in tables:
        lower = {table.lower() for table in tables}
        writes = sum(not lower.isdisjoint(table.lower() for table in write.tables) for write in trace.writes)
        figures["writes_per_hour"] = per_hour("writes", writes, f", tables {', '.join(sorted(tables))}")
    return figures
