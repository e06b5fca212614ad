"""A trace as the entries of a contract see it: their requests under their keys, reads against writes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cache_strategy.model.contract import Contract, Entry, endpoints_of
from cache_strategy.model.evidence import Endpoint, EndpointMeasurement, Evidence, KeyPart, Measurement
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate.columns import cacheable, columns_of
from cache_strategy.simulate.forecast import requests_in

SAFE = ("GET", "HEAD")
USERS = ("user", "session")


def trace_of(entry: Entry, evidence: Evidence, trace: Trace) -> Trace | None:
    """
    The requests that read the entry, each with the entry's id as its group and the entry's key.

    Only of endpoints whose requests show every part of the key; None where no such request is in the trace. Digests are
    left out: what makes this entry old is a write to its tables, not what else the answer holds.
    """
    accesses = columns_of(trace.accesses)
    parts: list[tuple[Any, Any]] = []
    keys: dict[tuple[str, ...], int] = {}
    for endpoint in endpoints_of(entry, evidence):
        if endpoint.method not in SAFE or endpoint.id not in accesses.groups:
            continue
        at = np.flatnonzero((accesses.group == accesses.groups.index(endpoint.id)) & cacheable(accesses))
        numbers, place = np.unique(accesses.key[at], return_inverse=True)
        values = _values(entry.key, endpoint, [_shown(accesses.keys[number]) for number in numbers])
        per_user = any(part.source in USERS for part in entry.key)
        if not len(at) or values is None or (per_user and not accesses.user[at].any()):
            continue
        own = np.array([keys.setdefault(value, len(keys)) for value in values], "i8")[place]
        parts.append((at, own * len(accesses.users) + accesses.user[at] * per_user))
    if not parts:
        return None
    at, key = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    numbers, key = np.unique(key, return_inverse=True)
    order = np.argsort(at, kind="stable")
    chosen = {
        column: getattr(accesses, column)[at[order]]
        for column in ("time_s", "status", "duration_ms", "size_bytes")
    }
    nothing, sample = np.zeros(len(at), "i4"), accesses.sample
    if sample is not None:
        here = at[order]
        sample = dataclasses.replace(sample, unit=sample.unit[here], repeats=sample.repeats[here])
    own_accesses = Accesses(
        **chosen,
        group=nothing,
        key=key[order],
        user=nothing,
        digest=nothing,
        groups=(entry.id,),
        keys=_names(list(keys), numbers, len(accesses.users), entry),
        users=("",),
        digests=("",),
        sample=sample,
    )
    return dataclasses.replace(trace, accesses=own_accesses, cache_events=(), notes=())


def _names(values: Sequence[tuple[str, ...]], numbers: Any, users: int, entry: Entry) -> tuple[str, ...]:
    """Keys as people read them; "" where a user is a part of them."""
    if any(part.source in USERS for part in entry.key):
        return ("",) * len(numbers)
    return tuple(", ".join(filter(None, values[number // users])) for number in numbers.tolist())


def measured_entries(contract: Contract, evidence: Evidence, trace: Trace) -> list[EndpointMeasurement]:
    """Reads per write of each entry: requests of its endpoints, and writes to the tables it depends on."""
    found: dict[str, EndpointMeasurement] = {}
    accesses = columns_of(trace.accesses)
    for entry in contract.entries:
        groups = {e.id for e in endpoints_of(entry, evidence) if e.method in SAFE}
        tables = {d.table.lower() for d in entry.depends_on}
        reads = sum(
            requests_in(accesses, accesses.group == n)
            for n, group in enumerate(accesses.groups)
            if group in groups
        )
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


def _values(
    parts: Sequence[KeyPart], endpoint: Endpoint, shown: Sequence[tuple[Mapping[str, str], Mapping[str, str]]]
) -> list[tuple[str, ...]] | None:
    """What each of the trace's keys gives the entry's key; None where a part of it cannot be told from a request."""
    in_queries = {name for _, query in shown for name in query}
    columns: list[list[str]] = [[""] * len(shown)]
    for part in parts:
        if part.source in ("path", "argument") and f"{{{part.name}}}" in endpoint.route:
            columns.append([path.get(part.name, "") for path, _ in shown])
        elif part.source == "query" or (part.source == "argument" and part.name in in_queries):
            columns.append([query.get(part.name, "") for _, query in shown])
        elif part.source not in USERS:
            return None
    return list(zip(*columns, strict=True))


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
