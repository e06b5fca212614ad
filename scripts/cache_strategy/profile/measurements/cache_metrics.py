"""What the emitted caches count of themselves: the JSON of /metrics/cache, saved to a file, of one process or more."""

import json
from collections import defaultdict

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence, Measurement, Observation
from cache_strategy.profile.measurements._base import Found, Source, measured, opened

WHAT = "what /metrics/cache answers, for example: curl -s http://localhost:8000/metrics/cache > FILE"
SIZE_AT_MOST = 16 << 20


def read(where: str, evidence: Evidence) -> Found:
    """
    Hits, misses and time per entry.

    Raises:
        CacheStrategyError: the file is missing or unreadable, or is no such answer.
    """
    with opened(where, WHAT) as stream:
        text = stream.read(SIZE_AT_MOST)
    name = where.rpartition("/")[2]
    try:
        entries = json.loads(text)["entries"]
        observations = tuple(
            _entry(entry, counts, f"/metrics/cache, {name}") for entry, counts in sorted(entries.items())
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CacheStrategyError(f"{where}: is no answer of the emitted caches; name {WHAT}") from None
    return Found(observations=observations)


def _entry(name: str, said: dict[str, float], where: str) -> Observation:
    counts: dict[str, float] = defaultdict(float, {key: float(value) for key, value in said.items()})
    reads = int(counts["hits"] + counts["misses"])
    figures: dict[str, Measurement] = {"reads": measured(reads, "reads", where)}
    if reads:
        figures["hit_rate"] = measured(counts["hits"] / reads, "share", where, reads)
    if counts["computations"]:
        figures["compute_ms_mean"] = measured(
            counts["compute_ms"] / counts["computations"], "ms", where, int(counts["computations"])
        )
    words = (
        ("mismatches", "hits differed from what was computed anew"),
        ("errors", "errors"),
        ("bypasses", "times passed by"),
    )
    notes = tuple(f"{counts[key]:,.0f} {text}" for key, text in words if counts[key])
    return Observation(kind="entry", name=name, figures=figures, notes=notes)


source = Source("cache-metrics", read)
