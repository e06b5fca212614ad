"""Reads the probe's journals."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Access, CacheEvent, Trace, Write

_KINDS: dict[str, Any] = {"access": Access, "write": Write, "cache": CacheEvent}
_FIELDS = {kind: {each.name for each in fields(noun)} for kind, noun in _KINDS.items()}
_TIMES = {"t": "time_s", "stored_t": "stored_s"}


@dataclass
class _Heap:
    found: dict[str, list[Any]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    rolled_back: int = 0
    problems: list[str] = field(default_factory=list)
    bad: int = 0


def read_trace(trace_dir: Path) -> Trace:
    """
    Everything that the processes of one recording wrote down, sorted by time.

    A line that cannot be read (a killed process may leave a torn one) is counted. Writes that were rolled back are left
    out and counted in `notes`.

    Raises:
        CacheStrategyError: no such folder.
    """
    if not trace_dir.is_dir():
        raise CacheStrategyError(
            f"{trace_dir}: is not a folder; a trace is a folder of journals. Make one: cache-strategy record -- CMD"
        )
    heap = _Heap()
    files = sorted(trace_dir.glob("*.jsonl"))
    for file in files:
        with file.open("rb") as stream:
            for line in stream:
                try:
                    _take(json.loads(line), heap)
                except (ValueError, KeyError, TypeError):
                    heap.bad += 1
    for items in heap.found.values():
        items.sort(key=lambda item: item.time_s)
    ends = [item.time_s for items in heap.found.values() if items for item in (items[0], items[-1])]
    return Trace(
        accesses=tuple(heap.found["access"]),
        writes=tuple(heap.found["write"]),
        cache_events=tuple(heap.found["cache"]),
        seconds=max(ends) - min(ends) if ends else 0.0,
        bad_lines=heap.bad,
        source=trace_dir.name,
        notes=tuple(_notes(heap, len(files))),
    )


def _take(record: dict[str, Any], heap: _Heap) -> None:
    kind = record["kind"]
    if kind == "process":
        return
    if kind == "problem":
        heap.problems.append(str(record["text"]))
    elif record.get("rolled_back"):
        heap.rolled_back += 1
    else:
        values = {_TIMES.get(name, name): value for name, value in record.items()}
        known = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in _FIELDS[kind]
        }
        heap.found[kind].append(_KINDS[kind](**known | {"time_s": float(record["t"])}))


def _notes(heap: _Heap, files: int) -> list[str]:
    notes = []
    if not files:
        notes.append(
            "The probe ran in no process: the command starts no Python, or a Python that ignores PYTHONPATH (-I, -E, -S)."
        )
    elif not any(heap.found.values()):
        notes.append("Nothing was recorded: no request to Flask, no write of SQLAlchemy, no cache was seen.")
    if heap.rolled_back:
        notes.append(f"{heap.rolled_back} writes were rolled back and do not count.")
    if heap.bad:
        notes.append(f"{heap.bad} lines could not be read.")
    return notes + heap.problems[:10]
