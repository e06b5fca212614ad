"""Joins what running systems say with what the code says, endpoint by endpoint and function by function."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.cli.terminal import progress

WATCHED_FUNCTIONS = 50
"""Candidates whose calls a recording notes (assumed)."""

if TYPE_CHECKING:
    from cache_strategy.model.evidence import EndpointMeasurement, Evidence, Observation
    from cache_strategy.model.trace import Trace


def asked(
    pg: str = "",
    redis: str = "",
    redis_monitor: float = 0,
    otel: list[Path] | None = None,
    stacks: list[Path] | None = None,
    cache_metrics: list[Path] | None = None,
) -> list[tuple[str, str]]:
    """The sources of a command line, each as option and place."""
    found = [("pg", pg)] if pg else []
    if redis:
        found.append(("redis", f"{redis}#monitor={redis_monitor}" if redis_monitor else redis))
    found += [("otel", str(path)) for path in otel or ()]
    found += [("cache-metrics", str(path)) for path in cache_metrics or ()]
    return found + [("stacks", str(path)) for path in stacks or ()]


def joined(
    evidence: "Evidence", traces: "Sequence[tuple[Trace | None, bool]]", places: Sequence[tuple[str, str]]
) -> "Evidence":
    """
    The evidence with the figures of all sources, and what they contradict taken out of it.

    Each trace comes with whether it is of production, so that its volume counts.
    """
    from cache_strategy.profile.join import confronted
    from cache_strategy.profile.measurements import load_sources
    from cache_strategy.record.measure import measure

    parts: list[EndpointMeasurement] = []
    for trace, is_production in traces:
        if trace is not None:
            parts += measure(trace, volume=is_production, tables_of=_tables_of(evidence))
            if trace.notes:
                print(*trace.notes, sep="\n", file=sys.stderr)
            evidence = dataclasses.replace(evidence, source_notes=(*evidence.source_notes, *trace.notes))
    known = load_sources()
    for option, place in places:
        with progress() as say:
            say(f"Asking --{option}")
            found = known[option].read(place, evidence)
        parts += found.endpoints
        evidence = dataclasses.replace(
            evidence,
            observations=(*evidence.observations, *found.observations),
            source_notes=(*evidence.source_notes, *found.notes),
        )
        for note in found.notes:
            print(note, file=sys.stderr)
    return confronted(dataclasses.replace(evidence, measurements=tuple(by_id(parts))))


def candidate_functions_of(repo: Path) -> list[str]:
    """The functions that rank highest in the evidence, for the probe to look at; [] where there is none yet or it is old."""
    from cache_strategy.model.document import read_json
    from cache_strategy.model.errors import CacheStrategyError
    from cache_strategy.model.evidence import Evidence

    try:
        evidence = read_json(repo / ".cache-strategy" / "evidence.json", Evidence, "cache-strategy profile")
    except CacheStrategyError:
        return []
    found = [c for c in evidence.candidates if c.kind == "function"]
    return [f"{c.path}:{c.qualname}" for c in found[:WATCHED_FUNCTIONS]]


def _tables_of(evidence: "Evidence") -> dict[str, frozenset[str]]:
    """The tables that each endpoint and function reads, and those whose deletions the database hands on to them."""
    above: dict[str, set[str]] = {}
    for table in evidence.tables:
        for below in table.cascades:
            above.setdefault(below, set()).add(table.name)
    reads = {endpoint.id: endpoint.reads for endpoint in evidence.endpoints}
    reads |= {
        f"{function.path}:{function.qualname}": function.effects.reads for function in evidence.functions
    }
    return {
        name: frozenset(tables).union(*(above.get(t, ()) for t in tables)) for name, tables in reads.items()
    }


def observed_in(option: str, places: Sequence[tuple[str, str]]) -> "list[Observation]":
    """What running systems say of themselves, without a repository at hand."""
    from cache_strategy.model.evidence import Evidence
    from cache_strategy.profile.measurements import load_sources

    nothing = Evidence(
        repo="", commit="", frameworks=(), orms=(), files=0, lines=0, seconds=0, unread=(), endpoints=(), candidates=(), rejected=()
    )  # fmt: skip
    observations: list[Observation] = []
    for _, place in places:
        found = load_sources()[option].read(place, nothing)
        observations += found.observations
        for note in found.notes:
            print(note, file=sys.stderr)
    return observations


def by_id(parts: "Iterable[EndpointMeasurement]") -> "Iterable[EndpointMeasurement]":
    """One of each endpoint or function; of two sources that know the same figure the first counts."""
    found: dict[str, EndpointMeasurement] = {}
    for part in parts:
        before = found.get(part.id)
        figures = {**part.figures, **(before.figures if before else {})}
        found[part.id] = dataclasses.replace(part, figures=figures)
    return [found[name] for name in sorted(found)]
