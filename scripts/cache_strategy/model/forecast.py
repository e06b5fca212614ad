"""What a contract would give: hit rate, stale share, origin load, memory."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ForecastRow:
    """
    One group under one time to live, capacity and policy.

    Shares are 0 to 1. What is not known is None, never 0: `stale_rate` without writes in the trace, `memory_bytes` and
    `byte_hit_rate` without sizes. `error` is the half-width of the 95 % interval of `hit_rate`, None where it was not
    estimated. `invalidation` is "ttl" (values only expire) or "event" (a write takes them out). `stale_age_s` is how
    long stale values had been stale when they were served, on average; `origin_peak` the most requests that reach the
    origin within one minute.
    """

    group: str
    ttl_seconds: int | None
    capacity_bytes: int | None
    policy: str
    requests: int
    keys: int
    hit_rate: float
    stale_rate: float | None
    origin_requests: int
    memory_bytes: int | None
    error: float | None
    invalidation: str = "ttl"
    byte_hit_rate: float | None = None
    stale_age_s: float | None = None
    origin_peak: int | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """
    Rows by group, and what they were computed from.

    `entries` has a row per entry of the contract whose requests the trace shows, `group` being its id: replayed under
    its own key and time to live. Its `stale_rate` is the share of hits that the trace's writes to its tables cost, as they
    invalidate it: `hit_rate` less `stale_rate` is the hit rate to expect. None where the trace shows no writes.
    """

    requests: int
    keys: int
    rows: tuple[ForecastRow, ...]
    source: str = ""
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    schema: int = 1
    entries: tuple[ForecastRow, ...] = ()
