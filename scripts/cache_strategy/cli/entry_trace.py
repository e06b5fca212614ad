"""A trace as the entries of a contract see it: their requests under their keys, reads against writes."""

import dataclasses
from collections.abc import Mapping, Sequence

from cache_strategy.model.contract import Contract, Entry, endpoints_of
from cache_strategy.model.evidence import Endpoint, EndpointMeasurement, Evidence, KeyPart, Measurement
from cache_strategy.model.trace import Access, Trace

SAFE = ("GET", "HEAD")
KEPT_STATUS = (None, 200, 304)


def trace_of(entry: Entry, evidence: Evidence, trace: Trace) -> Trace | None:
    """
    The requests that read the entry, each with the entry's id as its group and the entry's key.

    Only of endpoints whose requests show every part of the key; None where no such request is in the trace. Digests are
    left out: what makes this entry old is a write to its tables, not what else the answer holds.
    """
    accesses: list[Access] = []
    for endpoint in endpoints_of(entry, evidence):
        if endpoint.method not in SAFE:
            continue
        asked = [a for a in trace.accesses if a.group == endpoint.id and a.status in KEPT_STATUS]
        keys = _keys(entry.key, endpoint, asked)
        if keys is None:
            continue
        accesses.extend(
            dataclasses.replace(access, group=entry.id, key=key, user="", digest="")
            for access, key in zip(asked, keys, strict=True)
        )
    if not accesses:
        return None
    return dataclasses.replace(
        trace,
        accesses=tuple(sorted(accesses, key=lambda access: access.time_s)),
        cache_events=(),
        notes=(),
    )


def measured_entries(contract: Contract, evidence: Evidence, trace: Trace) -> list[EndpointMeasurement]:
    """Reads per write of each entry: requests of its endpoints, and writes to the tables it depends on."""
    found: dict[str, EndpointMeasurement] = {}
    for entry in contract.entries:
        groups = {e.id for e in endpoints_of(entry, evidence) if e.method in SAFE}
        tables = {d.table.lower() for d in entry.depends_on}
        reads = sum(a.group in groups for a in trace.accesses)
        writes = sum(not tables.isdisjoint(t.lower() for t in w.tables) for w in trace.writes)
        if reads and tables and trace.writes:
            ratio = Measurement(
                value=round(reads / writes, 2) if writes else reads,
                unit="reads/write" if writes else "reads without a write",
                source="measured",
                where=f"trace {trace.source}, {reads:,} requests of its endpoints, {writes:,} writes to {', '.join(sorted(tables))}",
            )
            found[entry.target] = EndpointMeasurement(id=entry.target, figures={"reads_per_write": ratio})
    return list(found.values())


def _keys(parts: Sequence[KeyPart], endpoint: Endpoint, asked: Sequence[Access]) -> list[str] | None:
    """The entry's key of each request; None where a part of it cannot be told from the requests."""
    shown = [_shown(access.key) for access in asked]
    in_queries = {name for _, query in shown for name in query}
    keys = [""] * len(asked)
    for part in parts:
        values = _values(part, endpoint, asked, shown, in_queries)
        if values is None:
            return None
        keys = [f"{key}&{value}" for key, value in zip(keys, values, strict=True)]
    return keys


def _values(
    part: KeyPart,
    endpoint: Endpoint,
    asked: Sequence[Access],
    shown: Sequence[tuple[Mapping[str, str], Mapping[str, str]]],
    in_queries: set[str],
) -> list[str] | None:
    if part.source in ("path", "argument") and f"{{{part.name}}}" in endpoint.route:
        return [path.get(part.name, "") for path, _ in shown]
    if part.source == "query" or (part.source == "argument" and part.name in in_queries):
        return [query.get(part.name, "") for _, query in shown]
    if part.source in ("user", "session") and any(access.user for access in asked):
        return [access.user for access in asked]
    return None


def _shown(key: str) -> tuple[dict[str, str], dict[str, str]]:
    """Values by name, of the path and of the query: a trace writes "id=7&?page=2"."""
    path: dict[str, str] = {}
    query: dict[str, str] = {}
    for item in key.split("&"):
        name, _, value = item.partition("=")
        if name.startswith("?"):
            query[name[1:]] = f"{query[name[1:]]},{value}" if name[1:] in query else value
        else:
            path[name] = value
    return path, query
