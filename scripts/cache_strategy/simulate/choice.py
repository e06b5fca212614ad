"""The knee: the time to live that meets an entry's bound at the least cost, and the memory that Redis needs."""

from collections.abc import Sequence

from cache_strategy.model.forecast import ForecastRow, MemoryChoice, TtlChoice

USUAL = tuple(
    n * unit
    for unit, numbers in (
        (1, (1, 2, 5, 10, 30)),
        (60, (1, 2, 5, 10, 30)),
        (3600, (1, 2, 6, 12)),
        (86_400, (1, 7)),
    )
    for n in numbers
)
"""Seconds that people write into a contract."""
FLAT = 0.01
"""A longer life, or more memory, that answers less than one request in a hundred more is not worth it (assumed)."""
SEEN = 3
"""How many lives a trace must last before it can tell what a time to live does (assumed)."""
ROOM = 1.25
"""Above what was held: fragmentation and the buffers of clients (assumed)."""


def ttls_for(longest: int, *own: int) -> tuple[int, ...]:
    """The times to live that a curve shows: the usual ones up to `longest`, and some of the entry's own."""
    return tuple(sorted({ttl for ttl in USUAL if ttl <= longest} | set(own)))


def choose_ttl(
    entry: str, curve: Sequence[ForecastRow], longest: int, seconds: float, bounded: bool
) -> TtlChoice | None:
    """
    The shortest time to live that leaves the origin hardly more to do than the longest that is allowed.

    A shorter one holds less memory, and a value whose invalidation was lost for a shorter time.

    Args:
        curve: the entry's rows, by time to live.
        longest: what the entry may live at most.
        seconds: how long the trace is.
        bounded: whether `longest` is a bound that somebody set, or the usual life of such data.

    Returns:
        None when the trace is too short: its curve still rises where it ends.
    """
    rows = [row for row in curve if row.ttl_seconds and row.ttl_seconds <= longest]
    seen = [row for row in rows if (row.ttl_seconds or 0) * SEEN <= seconds]
    if len(seen) < 2:
        return None
    if seen[-1] is not rows[-1] and seen[-1].hit_rate - seen[-2].hit_rate >= FLAT:
        return None
    best = max(row.hit_rate for row in seen)
    knee = next(row for row in seen if row.hit_rate >= best - FLAT)
    ttl, limit = knee.ttl_seconds or 0, rows[-1].ttl_seconds or 0
    words = f"{knee.hit_rate:.1%} of {knee.requests:,} requests are hits with {ttl:,} s"
    if knee is not seen[-1]:
        words += f", {best:.1%} with {seen[-1].ttl_seconds or 0:,} s"
    if ttl == limit:
        words += f"; longer is not allowed ({'its bound' if bounded else 'usual for such data'})"
    return TtlChoice(entry=entry, ttl_seconds=ttl, because=words)


def choose_memory(rows: Sequence[ForecastRow], needed: int) -> MemoryChoice | None:
    """
    The least memory that costs no more than one hit in a hundred, and the policy of Redis that does best there.

    Args:
        rows: of all entries together, by capacity and policy; the one without a capacity among them.
        needed: bytes that an unlimited Redis holds at most.
    """
    whole = max((row.hit_rate for row in rows if row.capacity_bytes is None), default=None)
    sized = sorted((row for row in rows if row.capacity_bytes), key=lambda row: (row.capacity_bytes or 0, -row.hit_rate))  # fmt: skip
    if whole is None or not sized:
        return None
    enough = next((row for row in sized if row.hit_rate >= whole - FLAT), None)
    held = min(needed, enough.capacity_bytes or needed) if enough else needed
    policy = f"allkeys-{(enough or sized[-1]).policy.removeprefix('redis_')}"
    return MemoryChoice(
        maxmemory_bytes=round(held * ROOM),
        policy=policy,
        because=f"{held / 2**20:,.1f} MiB keep {(enough.hit_rate if enough else whole):.1%} hits, all of it "
        f"({needed / 2**20:,.1f} MiB) {whole:.1%}; a quarter more for fragmentation and clients (assumed)",
    )
