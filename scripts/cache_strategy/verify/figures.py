"""Before and after: what the endpoints of an entry cost with its cache off and on."""

import statistics
from collections.abc import Sequence

from cache_strategy.model.contract import Entry
from cache_strategy.model.evidence import Measurement
from cache_strategy.model.trace import Access, Trace

Figures = dict[str, Measurement]


def before_and_after(
    entry: Entry, off: Sequence[Trace], on: Sequence[Trace]
) -> tuple[Figures | None, Figures | None]:
    """
    Figures of the requests in which the entry was used, in the runs without caches and in those with them.

    Medians over all those requests, first ones included, with the quartiles as their spread; `statements_per_request`
    is a mean. `after` has `hits` too, of `n` reads. None where no request used the entry.
    """
    events = [event for trace in on for event in trace.cache_events if event.entry == entry.id]
    groups = sorted({event.group for event in events if event.group})
    before = _figures(_answered(off, groups), f"verify, caches off: {', '.join(groups)}")
    after = _figures(_answered(on, groups), f"verify, caches on: {', '.join(groups)}")
    hits = sum(event.event == "hit" for event in events)
    asked = hits + sum(event.event in ("miss", "bypass") for event in events)
    if after is not None:
        after["hits"] = Measurement(
            value=hits, unit="hits", source="measured", where="verify, caches on", n=asked
        )
    return before, after


def _answered(traces: Sequence[Trace], groups: Sequence[str]) -> list[Access]:
    return [
        access
        for trace in traces
        for access in trace.accesses
        if access.group in groups and (access.status is None or access.status < 400)
    ]


def _figures(accesses: Sequence[Access], where: str) -> Figures | None:
    if not accesses:
        return None
    figures: Figures = {}

    def add(name: str, value: float, unit: str, n: int) -> None:
        figures[name] = Measurement(value=round(value, 4), unit=unit, source="measured", where=where, n=n)

    for name, values in (
        ("latency_ms", [access.duration_ms for access in accesses if access.duration_ms is not None]),
        ("database_ms", [access.database_ms for access in accesses if access.database_ms is not None]),
    ):
        if not values:
            continue
        add(f"{name}_p50", statistics.median(values), "ms", len(values))
        if len(values) > 1:
            low, _, high = statistics.quantiles(values, n=4, method="inclusive")
            add(f"{name}_p25", low, "ms", len(values))
            add(f"{name}_p75", high, "ms", len(values))
    counted = [access.statements for access in accesses if access.statements is not None]
    if counted:
        add("statements_per_request", statistics.fmean(counted), "statements/request", len(counted))
    return figures
