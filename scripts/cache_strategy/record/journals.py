"""Reads the probe's journals."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Access, CacheEvent, Trace, Write


@dataclass
class _Heap:
    accesses: list[Access] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    events: list[CacheEvent] = field(default_factory=list)
    processes: int = 0
    rolled_back: int = 0
    problems: list[str] = field(default_factory=list)
    bad: int = 0


def read_trace(trace_dir: Path) -> Trace:
    """
    Everything that the processes of one recording wrote down, sorted by time.

    A line that cannot be read (the last one of a killed process may be torn) is counted in `bad_lines`. Writes that
    were rolled back are left out and counted in `notes`; the others count from their commit.

    Raises:
        CacheStrategyError: no such folder, or nothing was recorded in it.
    """
    if not trace_dir.is_dir():
        raise CacheStrategyError(
            f"{trace_dir}: is not a folder; a trace is a folder of journals. Make one: cache-strategy record -- CMD"
        )
    heap = _Heap()
    files = sorted(trace_dir.glob("*.jsonl"))
    for file in files:
        _read_file(file, heap)
    heap.accesses.sort(key=lambda access: access.time_s)
    heap.writes.sort(key=lambda write: write.time_s)
    heap.events.sort(key=lambda event: event.time_s)
    times = [item.time_s for items in (heap.accesses, heap.writes, heap.events) for item in items]
    return Trace(
        accesses=tuple(heap.accesses),
        writes=tuple(heap.writes),
        cache_events=tuple(heap.events),
        seconds=max(times) - min(times) if times else 0.0,
        bad_lines=heap.bad,
        source=trace_dir.name,
        notes=tuple(_notes(heap, len(files))),
    )


def _notes(heap: _Heap, files: int) -> list[str]:
    notes = []
    if not files:
        notes.append(
            "The probe ran in no process: the command starts no Python, or a Python that ignores PYTHONPATH (-I, -E, -S)."
        )
    elif not heap.accesses and not heap.writes and not heap.events:
        notes.append("Nothing was recorded: no request to Flask, no write of SQLAlchemy, no cache was seen.")
    if heap.rolled_back:
        notes.append(f"{heap.rolled_back} writes were rolled back and do not count.")
    if heap.bad:
        notes.append(f"{heap.bad} lines could not be read.")
    notes.extend(heap.problems[:10])
    return notes


def _read_file(file: Path, heap: _Heap) -> None:
    with file.open("rb") as stream:
        for line in stream:
            try:
                record = json.loads(line)
                _READERS[record["kind"]](record, heap)
            except (ValueError, KeyError, TypeError):
                heap.bad += 1


def _process(record: dict[str, Any], heap: _Heap) -> None:
    heap.processes += 1


def _problem(record: dict[str, Any], heap: _Heap) -> None:
    heap.problems.append(str(record["text"]))


def _access(record: dict[str, Any], heap: _Heap) -> None:
    heap.accesses.append(
        Access(
            time_s=float(record["t"]),
            group=str(record["group"]),
            key=str(record["key"]),
            user=str(record.get("user", "")),
            status=record.get("status"),
            duration_ms=record.get("duration_ms"),
            database_ms=record.get("database_ms"),
            statements=record.get("statements"),
            size_bytes=record.get("size_bytes"),
            digest=str(record.get("digest", "")),
        )
    )


def _write(record: dict[str, Any], heap: _Heap) -> None:
    if record.get("rolled_back"):
        heap.rolled_back += 1
        return
    heap.writes.append(
        Write(
            time_s=float(record["t"]),
            tables=tuple(record["tables"]),
            path=str(record["path"]),
            line=int(record["line"]),
            qualname=str(record["qualname"]),
            statement=str(record["statement"]),
        )
    )


def _cache(record: dict[str, Any], heap: _Heap) -> None:
    stored = record.get("stored_t")
    heap.events.append(
        CacheEvent(
            time_s=float(record["t"]),
            event=str(record["event"]),
            entry=str(record["entry"]),
            key=str(record.get("key", "")),
            stored_s=None if stored is None else float(stored),
            served=str(record.get("served", "")),
            origin=str(record.get("origin", "")),
            tags=tuple(record.get("tags", ())),
            group=str(record.get("group", "")),
            reason=str(record.get("reason", "")),
        )
    )


_READERS: dict[str, Callable[[dict[str, Any], _Heap], None]] = {
    "process": _process,
    "problem": _problem,
    "access": _access,
    "write": _write,
    "cache": _cache,
}
