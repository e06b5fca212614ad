"""The contract of the family."""

import gzip
import math
import statistics
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import EndpointMeasurement, Evidence, Measurement, Observation
from cache_strategy.siblings import load_siblings

BEHIND_AT_MOST = 5
"""Endpoints named beside a statement: those whose code uses its tables and the fewest others."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one source said; `notes` is what it could not say, and how it could."""

    endpoints: tuple[EndpointMeasurement, ...] = ()
    observations: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()


class Source:
    """
    One source; the file's name is the option's: `redis_server.py` has `option="redis"`.

    Args:
        read: takes where it is (a file or an address) and what the code says.
    """

    def __init__(self, option: str, read: Callable[[str, Evidence], Found]) -> None:
        self.option = option
        self.read = read


def load_sources() -> dict[str, Source]:
    """Every source of this folder by its option."""
    folder = __name__.rpartition(".")[0]
    return {module.source.option: module.source for module in load_siblings(folder)}


def measured(value: float, unit: str, where: str, n: int | None = None) -> Measurement:
    return Measurement(value=round(float(value), 4), unit=unit, source="measured", where=where, n=n)


def derived(value: float, unit: str, where: str, n: int | None = None) -> Measurement:
    return Measurement(value=round(float(value), 4), unit=unit, source="derived", where=where, n=n)


def p95(values: Sequence[float]) -> float:
    """By nearest rank."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def times(name: str, values: Iterable[float | None], where: str) -> dict[str, Measurement]:
    """Median and 95th percentile of milliseconds, {} where none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return {}
    return {
        f"{name}_p50": measured(statistics.median(known), "ms", where, len(known)),
        f"{name}_p95": measured(p95(known), "ms", where, len(known)),
    }


def behind(evidence: Evidence, reads: Iterable[str], writes: Iterable[str] = ()) -> tuple[str, ...]:
    """Endpoints whose code uses all of these tables, those that use the fewest others first."""
    return _nearest(((e.id, e.reads, e.writes) for e in evidence.endpoints), reads, writes)


def functions_behind(evidence: Evidence, reads: Iterable[str], writes: Iterable[str] = ()) -> tuple[str, ...]:
    """The same of functions, as "path:qualname", of those alone that use no other table."""
    tables = {table.lower() for table in (*reads, *writes)}
    exact = (
        f for f in evidence.functions if {t.lower() for t in (*f.effects.reads, *f.effects.writes)} == tables
    )
    return _nearest(
        ((f"{f.path}:{f.qualname}", f.effects.reads, f.effects.writes) for f in exact), reads, writes
    )


def _nearest(
    known: Iterable[tuple[str, Iterable[str], Iterable[str]]], reads: Iterable[str], writes: Iterable[str]
) -> tuple[str, ...]:
    read, written = ({table.lower() for table in tables} for tables in (reads, writes))
    found = []
    for name, own_reads, own_writes in known:
        changed = {table.lower() for table in own_writes}
        own = {table.lower() for table in own_reads} | changed
        if read | written and read <= own and written <= changed:
            found.append((len(own), name))
    return tuple(name for _, name in sorted(found)[:BEHIND_AT_MOST])


@contextmanager
def opened(where: str, what: str) -> Iterator[IO[bytes]]:
    """
    A file, unpacked where it is gzip.

    Raises:
        CacheStrategyError: it is missing, unreadable, or no whole gzip archive; the words end with `what` is needed.
    """
    path = Path(where)
    try:
        with path.open("rb") as raw:
            is_packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if is_packed:
                with gzip.open(raw) as stream:
                    yield stream  # type: ignore[misc]  # a GzipFile reads as a file does
            else:
                yield raw
    except IsADirectoryError:
        raise CacheStrategyError(f"{path}: is a folder; name {what}.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CacheStrategyError(f"{path}: is no whole gzip archive; unpack it, or copy it again.") from None
    except OSError as error:
        raise CacheStrategyError(
            f"{path}: cannot be read ({error.strerror or error}); name {what}."
        ) from error
