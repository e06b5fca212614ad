"""A trace to measurements of its endpoints."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cache_strategy.model.evidence import UNKNOWN_TABLE, EndpointMeasurement, Measurement
from cache_strategy.model.trace import Access, Accesses, Call, Trace
from cache_strategy.record.answers import Answer, Comparison, compare


def measure(
    trace: Trace, *, volume: bool, tables_of: Mapping[str, frozenset[str]] | None = None
) -> tuple[EndpointMeasurement, ...]:
    """
    What the trace says about each endpoint and candidate function, in name order; a figure that it does not know is absent.

    `change_share` is the share of answers that differ from the one before to the same key and user, `unexplained_change_share`
    that among those with no write between. `same_for_all_users_share` is that of answers which equal the one before to the
    same key and another user, `differs_between_users_share` that of answers which differ from two equal ones to another user
    around them: above 0 the answer is private whatever the code seems to say.

    Args:
        volume: the trace is of production or of a load like it. What a test suite requests is no volume.
        tables_of: tables that an endpoint or function reads.
    """
    where = f"trace {trace.source}"
    known = tables_of or {}
    measured = []
    for group, accesses in _by_group(trace.accesses):
        figures = _figures(accesses, where)
        answers = [
            Answer(a.process, a.key, a.user, a.digest, a.time_s, a.time_s + (a.duration_ms or 0) / 1000)
            for a in accesses.answers
        ]
        figures.update(_comparison(compare(answers, _writes(trace, known.get(group))), where, volume))
        if volume and trace.seconds > 0:
            figures.update(
                _volume(accesses.requests or len(accesses.latency), trace, known.get(group), where)
            )
        reads, writes = (_tables(accesses, kind) for kind in ("read", "write"))
        measured.append(
            EndpointMeasurement(
                id=group, figures=figures, reads=reads, writes=writes, cookies=accesses.cookies
            )
        )
    return (*measured, *_functions(trace, known, where, volume))


def _functions(
    trace: Trace, known: Mapping[str, frozenset[str]], where: str, volume: bool
) -> Iterator[EndpointMeasurement]:
    functions: dict[str, list[Call]] = defaultdict(list)
    for call in trace.calls:
        functions[call.function].append(call)
    for name, calls in sorted(functions.items()):
        figures = _figures(_Group([], [], calls=[call.duration_ms for call in calls]), where)
        figures["distinct_arguments"] = _measured(
            len({call.key for call in calls}), "keys", where, len(calls)
        )
        answers = [
            Answer(c.process, c.key, c.user, c.digest, c.time_s, c.time_s + c.duration_ms / 1000)
            for c in calls
            if c.digest and c.key
        ]
        figures.update(_comparison(compare(answers, _writes(trace, known.get(name))), where, volume))
        if volume and trace.seconds > 0:
            figures["calls_per_hour"] = _measured(
                len(calls) / trace.seconds * 3600, "calls/hour", where, len(calls)
            )
        yield EndpointMeasurement(id=name, figures=figures)


def _measured(value: float, unit: str, where: str, n: int) -> Measurement:
    return Measurement(value=round(value, 4), unit=unit, source="measured", where=where, n=n)


def _writes(trace: Trace, tables: frozenset[str] | None) -> list[float]:
    """When something was written that may change an answer made of these tables; all writes where they are not known."""
    lower = {table.lower() for table in tables or ()}
    is_known = tables is not None and UNKNOWN_TABLE not in lower
    return sorted(
        write.time_s
        for write in (*trace.writes, *trace.undone)
        if not is_known or not write.tables or not lower.isdisjoint(table.lower() for table in write.tables)
    )


def _comparison(found: Comparison, where: str, volume: bool) -> dict[str, Measurement]:
    shares = {
        "change_share": (found.changes, found.repeats),
        "unexplained_change_share": (found.unexplained, found.quiet),
        "same_for_all_users_share": (found.same, found.meetings),
        "differs_between_users_share": (found.private, found.returns),
    }
    figures = {name: _measured(part / n, "share", where, n) for name, (part, n) in shares.items() if n}
    if volume and found.seconds > 0:
        per_hour = found.changes / found.seconds * 3600
        figures["changes_per_key_hour"] = _measured(per_hour, "changes/hour", where, found.repeats)
    return figures


def _tables(group: "_Group", kind: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                t
                for access in group.queries
                for how, names, *_ in access
                if how == kind
                for t in names.split(",")
                if t
            }
        )
    )


@dataclass
class _Group:
    """Of each access of a group, in time order; of answers and sizes only those that were no error page or redirection."""

    latency: Sequence[float | None]
    sizes: Sequence[float | None]
    database: Sequence[float | None] = ()
    statements: Sequence[float | None] = ()
    answers: Sequence[Access] = ()
    outside: Sequence[float | None] = ()
    calls: Sequence[float] = ()
    queries: Sequence[tuple[tuple[str, str, int, float], ...]] = ()
    cookies: tuple[str, ...] = ()
    requests: int = 0
    """Where there are more than have room."""

    def own(self) -> Iterator[float]:
        """What is neither the database's nor an outside call's, where both are known."""
        for latency, database, outside in zip(self.latency, self.database, self.outside, strict=False):
            if latency is not None and database is not None and outside is not None:
                yield max(0.0, latency - database - outside)


def _by_group(accesses: Sequence[Access]) -> Iterator[tuple[str, _Group]]:
    """In name order; a log's columns are not taken apart, there may be millions of them."""
    if isinstance(accesses, Accesses):
        for group, number in sorted((group, number) for number, group in enumerate(accesses.groups)):
            own = accesses.group == number
            good = own & ((accesses.status == 200) | (accesses.status < 0)) & (accesses.size_bytes >= 0)
            took, many = _spread(accesses, accesses.duration_ms, own)
            latency = [None if ms != ms else ms for ms in took]
            yield group, _Group(latency, _spread(accesses, accesses.size_bytes, good)[0], requests=many)
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
                [access.outside_ms for access in members],
                queries=[access.queries for access in members if access.queries],
                cookies=tuple(sorted({name for access in good for name in access.cookies})),
            ),
        )


def _spread(accesses: Accesses, column: Any, at: Any) -> tuple[list[float], int]:
    """Values of a column, of a sample each as often as it counts; and of how many requests they are."""
    values = column[at]
    if accesses.sample is None or not len(values):
        return values.tolist(), len(values)
    so_far = accesses.sample.stands_for[at].cumsum()
    step = float(so_far[-1]) / len(values)
    even = so_far.searchsorted([(n + 0.5) * step for n in range(len(values))])
    return values[even].tolist(), round(float(so_far[-1]))


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
    add("outside_ms_p50", statistics.median, "ms", group.outside)
    add("own_ms_p50", statistics.median, "ms", group.own())
    add("call_ms_p50", statistics.median, "ms", group.calls)
    add("call_ms_p95", _p95, "ms", group.calls)
    add("statements_per_request", statistics.fmean, "statements/request", group.statements)
    add("answer_bytes", statistics.median, "bytes", group.sizes)
    return figures


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
