"""What a replay says of one entry beyond its hit rate: its origin, its beginning, what to fill beforehand, what a lock saves."""

from cache_strategy.model.forecast import ForecastRow
from cache_strategy.report import figures
from cache_strategy.report.figures import Figure

SOURCE = "replay of the requests"


def foretold(row: ForecastRow) -> list[tuple[str, Figure]]:
    """Lines of the table of what is expected; what the trace does not tell has none."""
    found: list[tuple[str, Figure]] = []

    def add(name: str, text: str, of: str = SOURCE) -> None:
        found.append((name, figures.derived(text, of)))

    if row.byte_hit_rate is not None:
        add("Bytes that hits are", figures.percent(row.byte_hit_rate), f"{SOURCE} and their sizes")
    if row.origin_peak is not None:
        add("Computations in the busiest minute", f"{row.origin_peak:,}")
    if row.origin_busy_s is not None:
        add("Time of computing", figures.time(row.origin_busy_s), f"{SOURCE} and their times")
    if len(row.cold_start) > 1:
        add("Hit rate after an empty start", _cold_start(row.cold_start))
    if row.warm_keys:
        named = f" ({'; '.join(row.warm_first)} …)" if row.warm_first else ""
        keys = "the key" if row.warm_keys == 1 else f"the {row.warm_keys:,} keys"
        text = f"{keys} asked for most{named}: {row.warm_requests:,} first requests"
        add("Worth filling beforehand", f"{text}, most within {figures.time(row.warm_seconds or 0)}")
    elif row.warm_keys == 0:
        add("Worth filling beforehand", "nothing: fewer than half of the values would serve anybody")
    if row.stampede_requests is not None:
        most = f", {row.stampede_peak:,} at once for one value" if row.stampede_peak else ""
        add("Computations that a lock saves", f"{row.stampede_requests:,}{most}", f"{SOURCE} and their times")
    if row.stale_age_s:
        add("Stale for, were nothing invalidated", f"{figures.time(row.stale_age_s)} on average")
    return found


def _cold_start(curve: tuple[tuple[float, float], ...]) -> str:
    """The first, a middle and the last part."""
    shown = [curve[0], curve[len(curve) // 2], curve[-1]] if len(curve) > 2 else curve
    ends = [curve[curve.index(part) + 1][0] if part is not curve[-1] else None for part in shown]
    return ", ".join(
        f"{figures.percent(rate)} {f'up to {figures.time(end)}' if end else 'from then on'}"
        for (_, rate), end in zip(shown, ends, strict=True)
    )
