"""How long an entry may live, by the kind of data it holds."""

import re
from dataclasses import dataclass, replace

from cache_strategy.model.contract import Entry
from cache_strategy.model.evidence import Candidate
from cache_strategy.model.forecast import Forecast


@dataclass(frozen=True, kw_only=True)
class DataKind:
    """
    A kind of data with its usual time to live.

    The time to live is the bound of last resort: writes invalidate an entry as they are committed, and only an
    invalidation that could not be delivered (the process died between commit and delivery) waits for it.
    """

    name: str
    ttl_seconds: int
    words: frozenset[str]


def _kind(name: str, ttl_seconds: int, words: str) -> DataKind:
    return DataKind(name=name, ttl_seconds=ttl_seconds, words=frozenset(words.split()))


# Source: the usual staleness that teams accept for each kind of data (profiles 5 min, catalogue 1 h, reference data
# and analytics 1 day, configuration until changed); assumed for this application until a person confirms it.
KINDS = (
    _kind(
        "analytics",
        86_400,
        "report reports summary statistics stats analytics dashboard sales revenue totals leaderboard",
    ),
    _kind(
        "configuration",
        604_800,
        "config configuration setting settings feature features flag flags option options",
    ),
    _kind(
        "reference",
        86_400,
        "category categories tag tags country countries currency language role roles navigation menu",
    ),
    _kind(
        "profile", 300, "user users profile profiles account accounts member members customer customers me"
    ),
    _kind(
        "catalogue",
        3_600,
        "product products item items catalog catalogue listing article articles post posts page pages",
    ),
)
OTHER = _kind("other", 600, "")


def data_kind_of(candidate: Candidate) -> DataKind:
    """
    The kind of data a candidate holds, by the words of its name, else of its tables; `OTHER` where none fits.

    What joins tables of several kinds lives no longer than the one that changes soonest: reading a setting on the way
    does not make a score board a setting.
    """
    if candidate.kind == "query":
        return KINDS[0]
    return _kind_of(candidate.qualname) or min(
        (_kind_of(table) or OTHER for table in candidate.reads),
        key=lambda kind: kind.ttl_seconds,
        default=OTHER,
    )


def _kind_of(name: str) -> DataKind | None:
    words = _words(name)
    return next((kind for kind in KINDS if kind.words & words), None)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower().replace("_", " ")))


def with_foretold_ttl(entry: Entry, forecast: Forecast | None) -> Entry:
    """The entry with the time to live that production's requests speak for, where the forecast found one."""
    choice = next((c for c in forecast.choices if c.entry == entry.id), None) if forecast else None
    if choice is None or entry.kind == "view" or entry.staleness_source == "confirmed":
        return entry
    why = f"time to live: {choice.because}"
    return replace(entry, ttl_seconds=choice.ttl_seconds, because=(*entry.because, why))
