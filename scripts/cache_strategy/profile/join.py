"""Confronts what the code says with what was measured: a guess that is refuted costs the candidate its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cache_strategy.model.evidence import (
    UNKNOWN_TABLE,
    Candidate,
    Contradiction,
    EndpointMeasurement,
    Evidence,
    Measurement,
    Rejected,
)

ENOUGH = 20
"""Comparisons without a difference that make an answer worth calling the same for all (assumed)."""
QUIET = 5
"""Repeats without a write between from which on their changes count (assumed)."""
ONCE = 1.5
"""One change without a write may be a mistake of the measurement; two are not (assumed)."""
PER_USER = ("user", "session", "cookie", "header", "tenant")


@dataclass(frozen=True)
class _Refuted:
    """What was measured against a candidate, and what follows."""

    target: str
    static: str
    measured: str


def confronted(evidence: Evidence) -> Evidence:
    """The evidence with what the measurements contradict: candidates that it refutes are rejected, with the figures."""
    evidence = replace(evidence, measurements=tuple(_with_writes(evidence)))
    measured = {item.id: item for item in evidence.measurements}
    kept, rejected, contradictions = [], list(evidence.rejected), []
    for candidate in evidence.candidates:
        refuted = list(_against(candidate, measured, evidence))
        for one in refuted:
            contradictions.append(
                Contradiction(
                    target=one.target, static=one.static, measured=one.measured,
                    consequence=f"{candidate.path}:{candidate.qualname} is not cached as it stands",
                )
            )  # fmt: skip
        if refuted:
            reason = f"measured: {refuted[0].measured}, though the code says: {refuted[0].static} ({refuted[0].target})"
            rejected.append(
                Rejected(path=candidate.path, line=candidate.line, qualname=candidate.qualname, reason=reason)
            )
        else:
            kept.append(candidate)
            contradictions += _too_careful(candidate, measured)
    contradictions += _unseen_tables(measured, evidence)
    unique = tuple(dict.fromkeys(contradictions))
    kept = [replace(candidate, rank=rank) for rank, candidate in enumerate(kept, 1)]
    return replace(evidence, candidates=tuple(kept), rejected=tuple(rejected), contradictions=unique)


def _measurements(
    candidate: Candidate, measured: Mapping[str, EndpointMeasurement]
) -> Iterator[EndpointMeasurement]:
    """Of an endpoint its requests, of anything else its own calls."""
    ids = candidate.endpoints if candidate.kind == "endpoint" else (f"{candidate.path}:{candidate.qualname}",)
    yield from (measured[name] for name in ids if name in measured)


def _is_per_user(candidate: Candidate) -> bool:
    return candidate.per_user or any(part.source in PER_USER for part in candidate.key)


def _against(
    candidate: Candidate, measured: Mapping[str, EndpointMeasurement], evidence: Evidence
) -> Iterator[_Refuted]:
    for item in _measurements(candidate, measured):
        differs = item.figures.get("differs_between_users_share")
        if differs is not None and differs.value > 0 and not _is_per_user(candidate):
            words = f"{_counted(differs)} answers to the same question differ between users"
            yield _Refuted(item.id, "shared, it reads nothing of the user", words)
        changes = item.figures.get("unexplained_change_share")
        if changes is not None and (changes.n or 0) >= QUIET and changes.value * (changes.n or 0) > ONCE:
            tables = ", ".join(candidate.reads) or "no table"
            words = f"{_counted(changes)} answers differ from the one before with no write to them between"
            yield _Refuted(item.id, f"it changes with {tables}", words)
        if candidate.kind == "endpoint" and item.cookies and "http" in candidate.layers:
            yield _Refuted(
                item.id, "the answer can be shared", f"it sets the cookie {', '.join(item.cookies)}"
            )


def _counted(share: Measurement) -> str:
    n = share.n or 0
    return f"{round(share.value * n):,} of {n:,}"


def _too_careful(
    candidate: Candidate, measured: Mapping[str, EndpointMeasurement]
) -> Iterator[Contradiction]:
    """Told and not acted on: what users were seen to get alike may differ for the next one."""
    for item in _measurements(candidate, measured):
        differs = item.figures.get("differs_between_users_share")
        if (
            differs is not None
            and differs.value == 0
            and (differs.n or 0) >= ENOUGH
            and _is_per_user(candidate)
        ):
            yield Contradiction(
                target=item.id,
                static="depends on the user",
                measured=f"none of {differs.n:,} answers to the same question differed between users",
                consequence="stays keyed by the user; take the user out of the code below it, and one entry serves all",
            )


def _unseen_tables(
    measured: Mapping[str, EndpointMeasurement], evidence: Evidence
) -> Iterator[Contradiction]:
    """Tables of the application that the database was asked for, and that the code was not seen to use."""
    known = {table.name.lower() for table in evidence.tables}
    for endpoint in evidence.endpoints:
        item = measured.get(endpoint.id)
        if item is None or UNKNOWN_TABLE in (*endpoint.reads, *endpoint.writes):
            continue
        own = {table.lower() for table in (*endpoint.reads, *endpoint.writes)}
        unseen = sorted({t.lower() for t in (*item.reads, *item.writes)} & known - own)
        if unseen:
            yield Contradiction(
                target=endpoint.id,
                static=f"uses {', '.join(sorted(own)) or 'no table'}",
                measured=f"its statements also use {', '.join(unseen)}",
                consequence="a write to these may not invalidate what it keeps: look at the code, and report it as a mistake of ours",
            )


def _with_writes(evidence: Evidence) -> Iterator[EndpointMeasurement]:
    """Writes per hour to what an endpoint reads, from the database's own count where no trace has them; and reads per write."""
    per_hour = {
        o.name.lower(): o.figures["writes_per_hour"]
        for o in evidence.observations
        if "writes_per_hour" in o.figures
    }
    reads = {endpoint.id: endpoint.reads for endpoint in evidence.endpoints}
    for item in evidence.measurements:
        figures, tables = dict(item.figures), [table.lower() for table in reads.get(item.id, ())]
        if "writes_per_hour" not in figures and tables and all(table in per_hour for table in tables):
            value = sum(per_hour[table].value for table in tables)
            where = f"{per_hour[tables[0]].where}, the sum of {', '.join(tables)}"
            n = sum(per_hour[table].n or 0 for table in tables)
            figures["writes_per_hour"] = Measurement(
                value=round(value, 4), unit="writes/hour", source="derived", where=where, n=n
            )
        asked, written = figures.get("requests_per_hour"), figures.get("writes_per_hour")
        if asked and written and written.value and "reads_per_write" not in figures:
            where = f"requests per hour ({asked.where}) over writes per hour ({written.where})"
            figures["reads_per_write"] = Measurement(
                value=round(asked.value / written.value, 2), unit="reads/write", source="derived", where=where
            )
        yield replace(item, figures=figures)
