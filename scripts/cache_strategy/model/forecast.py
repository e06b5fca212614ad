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
    origin within one minute, `origin_busy_s` how long it computes for them in all.

    `cold_start` has the hit rate from each of these seconds on to the next, after an empty beginning. Of the keys that are
    asked for most, `warm_keys` are worth filling beforehand (of an entry `warm_first` names some): they answer `warm_requests` that an empty cache would not, the
    most of them within `warm_seconds`. `stampede_requests` came while another computed the same value, `stampede_peak` at
    once: so many computations more, were there no lock. `sampling_error` is half of the 90 % interval that a sample of the
    keys leaves of `hit_rate`, None where all were replayed.
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
    origin_busy_s: float | None = None
    cold_start: tuple[tuple[float, float], ...] = ()
    warm_keys: int | None = None
    warm_requests: int | None = None
    warm_first: tuple[str, ...] = ()
    warm_seconds: float | None = None
    stampede_requests: int | None = None
    stampede_peak: int | None = None
    sampling_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class TtlChoice:
    """The time to live that meets an entry's bound at the least cost, and why."""

    entry: str
    ttl_seconds: int
    because: str


@dataclass(frozen=True, kw_only=True)
class MemoryChoice:
    """What Redis needs for all entries together, and what should leave when it is full."""

    maxmemory_bytes: int
    policy: str
    because: str


@dataclass(frozen=True, kw_only=True)
class Load:
    """
    What one endpoint costs without caches and with them.

    `busy_s` are its seconds of computing in the trace; None where the trace has no durations, or where an entry keeps only
    a part of what the endpoint does.
    """

    endpoint: str
    requests: int
    origin_requests: int
    busy_s: float | None
    origin_busy_s: float | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """
    Rows by group, and what they were computed from.

    `entries` has a row per entry of the contract whose requests the trace shows, `group` being its id: replayed under
    its own key and time to live. Its `stale_rate` is the share of hits that the trace's writes to its tables cost, as they
    invalidate it: `hit_rate` less `stale_rate` is the hit rate to expect. None where the trace shows no writes.

    `curves` has each entry under other times to live, `sizes` all entries together in a Redis of several sizes under each
    policy (`group` "").
    """

    requests: int
    keys: int
    rows: tuple[ForecastRow, ...]
    source: str = ""
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    schema: int = 1
    entries: tuple[ForecastRow, ...] = ()
    curves: tuple[ForecastRow, ...] = ()
    sizes: tuple[ForecastRow, ...] = ()
    choices: tuple[TtlChoice, ...] = ()
    redis: MemoryChoice | None = None
    loads: tuple[Load, ...] = ()
