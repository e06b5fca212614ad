"""What running systems said, for the report: endpoints and functions with their time, then the database and Redis."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cache_strategy.model.evidence import Contradiction, Evidence, Measurement, Observation
from cache_strategy.report import figures

MOST = 25
"""Rows that a reader looks through; the rest stands in the evidence."""
COLUMNS = {
    "Volume": ("requests_per_hour", "calls_per_hour", "calls"),
    "Time, median (of a profile, mean)": ("latency_ms_p50", "call_ms_p50", "call_ms_mean"),
    "Database": ("database_ms_p50", "database_seconds"),
    "Outside": ("outside_ms_p50", "outside_seconds"),
    "Own": ("own_ms_p50", "own_seconds"),
    "Reads per write": ("reads_per_write",),
    "Answer changes": ("changes_per_key_hour", "change_share"),
    "Differs between users": ("differs_between_users_share",),
}
TITLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "statement": ("Statements that took longest", ("calls", "mean_ms", "total_ms", "rows_per_call")),
    "plan": ("Plans of aggregates (EXPLAIN, not run)", ("plan_cost", "plan_rows")),
    "table": ("Tables", ("rows", "size_bytes", "scans_per_hour", "row_writes_per_hour", "writes_per_hour")),
    "entry": ("Caches, as they count themselves", ("reads", "hit_rate", "compute_ms_mean")),
    "server": ("Redis", ("memory_bytes", "keys", "hit_rate", "evicted_keys", "commands_per_second")),
    "prefix": ("Keys of Redis by prefix", ("keys", "memory_bytes", "hit_rate", "idle_seconds_p50", "without_expiry_share")),
    "key": ("Keys that stand out", ("size_bytes", "frequency", "reads_per_second")),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table: what each row is, its cells ("" where not known), what is to be seen in it, and where it comes from."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured, nothing where no source was given."""

    contradictions: tuple[Contradiction, ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        return bool(self.contradictions or self.grids or self.notes)


def measured_of(evidence: Evidence) -> Measured:
    grids = [_endpoints(evidence)] if evidence.measurements else []
    for kind, (title, names) in TITLES.items():
        found = [one for one in evidence.observations if one.kind == kind]
        if found:
            grids.append(_observations(title, names, found))
    return Measured(contradictions=evidence.contradictions, grids=tuple(grids), notes=evidence.source_notes)


def _endpoints(evidence: Evidence) -> Grid:
    """The busiest first: by time in all where volume and time are known, else by how often they were seen."""
    ranked = sorted(evidence.measurements, key=lambda item: _weight(item.figures), reverse=True)
    rows = tuple(
        (item.id, *(_first(item.figures, names) for names in COLUMNS.values()), _sources(_used(item.figures)))
        for item in ranked[:MOST]
    )
    return Grid(
        title="Endpoints and functions",
        head=("", *COLUMNS, "from"),
        rows=rows,
        more=max(0, len(ranked) - MOST),
    )


def _used(measured: Mapping[str, Measurement]) -> list[Measurement]:
    found = (next((measured[name] for name in names if name in measured), None) for names in COLUMNS.values())
    return [one for one in found if one is not None]


def _weight(measured: Mapping[str, Measurement]) -> float:
    counts = [one.n or 0 for one in measured.values()]
    volume = measured.get("requests_per_hour")
    took = measured.get("latency_ms_p50") or measured.get("call_ms_p50")
    return (volume.value if volume else max(counts, default=0)) * (took.value if took else 1.0)


def _first(measured: Mapping[str, Measurement], names: Iterable[str]) -> str:
    return next((figures.value_of(measured[name]) for name in names if name in measured), "")


def _sources(used: Sequence[Measurement]) -> str:
    """measured or derived, and from what, each once."""
    words: dict[str, list[str]] = {}
    for one in used:
        words.setdefault(one.source, []).append(one.where)
    n = max((one.n or 0 for one in used), default=0)
    told = "; ".join(f"{source}: {', '.join(dict.fromkeys(where))}" for source, where in words.items())
    return f"{told}, n = {n:,}" if n else told


def _shown(one: Measurement) -> str:
    """A count without a point."""
    counts = one.value == int(one.value) and one.unit in ("calls", "rows", "keys", "reads", "scans")
    return f"{one.value:,.0f}" if counts else figures.value_of(one)


def _observations(title: str, names: tuple[str, ...], found: Sequence[Observation]) -> Grid:
    known = tuple(name for name in names if any(name in one.figures for one in found))
    rows = tuple(
        (
            one.name if len(one.name) <= 160 else one.name[:159] + "…",
            *(_shown(one.figures[name]) if name in one.figures else "" for name in known),
            "; ".join(
                (
                    *one.notes,
                    *([f"may be {', '.join(used)}"] if (used := (*one.functions, *one.endpoints)) else ()),
                )
            ),
            _sources([one.figures[name] for name in known if name in one.figures]),
        )
        for one in found[:MOST]
    )
    head = ("", *(name.removesuffix("_p50").replace("_", " ") for name in known), "", "from")
    return Grid(title=title, head=head, rows=rows, more=max(0, len(found) - MOST))
