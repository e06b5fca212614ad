"""Reads the probe's journals."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Access, CacheEvent, Call, Trace, Write

_KINDS: dict[str, Any] = {"access": Access, "write": Write, "cache": CacheEvent, "call": Call}
_FIELDS = {kind: {each.name for each in fields(noun)} for kind, noun in _KINDS.items()}
_TIMES = {"t": "time_s", "stored_t": "stored_s"}


@dataclass
class _Heap:
    found: dict[str, list[Any]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    undone: list[Write] = field(default_factory=list)
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
    for number, file in enumerate(files):
        with file.open("rb") as stream:
            for line in stream:
                if line == b"\n":  # behind the last one, see `Journal`
                    continue
                try:
                    _take(json.loads(line), heap, number)
                except (ValueError, KeyError, TypeError):
                    heap.bad += 1
    for items in heap.found.values():
        items.sort(key=lambda item: item.time_s)
    ends = [item.time_s for items in heap.found.values() if items for item in (items[0], items[-1])]
    return Trace(
        accesses=tuple(heap.found["access"]),
        writes=tuple(heap.found["write"]),
        undone=tuple(sorted(heap.undone, key=lambda write: write.time_s)),
        calls=tuple(heap.found["call"]),
        cache_events=tuple(heap.found["cache"]),
        seconds=max(ends) - min(ends) if ends else 0.0,
        bad_lines=heap.bad,
        source=trace_dir.name,
        notes=tuple(_notes(heap, len(files))),
    )


def _take(record: dict[str, Any], heap: _Heap, process: int) -> None:
    kind = record["kind"]
    if kind == "process":
        return
    if kind == "problem":
        heap.problems.append(str(record["text"]))
    else:
        values = {_TIMES.get(name, name): value for name, value in record.items()} | {"process": process}
        known = {
            name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
            if name in _FIELDS[kind]
        }
        made = _KINDS[kind](**known | {"time_s": float(record["t"])})
        (heap.undone if record.get("rolled_back") else heap.found[kind]).append(made)


def _notes(heap: _Heap, files: int) -> list[str]:
    notes = []
    if not files:
        notes.append(
            "The probe ran in no process: the command starts no Python, or a Python that ignores PYTHONPATH (-I, -E, -S)."
        )
    elif not any(heap.found.values()):
        notes.append(
            "Nothing was recorded: no request to Flask, Django, FastAPI or another WSGI or ASGI application, no write and no cache was seen."
        )
    if heap.undone:
        notes.append(
            f"{len(heap.undone)} {'write was' if len(heap.undone) == 1 else 'writes were'} rolled back and count for nothing."
        )
    if heap.bad:
        notes.append(f"{heap.bad} lines could not be read.")
    return notes + list(dict.fromkeys(heap.problems))[:10]
