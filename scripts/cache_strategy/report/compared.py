"""What runs that took turns, and visitors side by side, showed: in words."""

from cache_strategy.model.verdict import Comparison, Verdict
from cache_strategy.report import figures

NAMES = {
    "seconds": "Time of the command",
    "cpu_seconds": "Processor time of the command",
    "cpu_ms_per_request": "Processor time per request",
    "seconds_per_request": "Time per request",
    "statements_per_request": "Database statements per request",
}


def compared_lines(verdict: Verdict) -> list[str]:
    """A line per figure, one for the visitors, one per difference that they met."""
    lines = [
        f"{NAMES[c.name]}: {c.before:,g} -> {c.after:,g} {c.unit}, {certainty(c)}"
        for c in verdict.comparisons
    ]
    seen = verdict.visits
    if seen is not None:
        found = f"{len(seen.differences)} differ" if seen.differences else "none differs"
        wavering = f"; {seen.wavering} that change without caches too left out" if seen.wavering else ""
        same = f"{seen.compared:,} answers to {', '.join(seen.visitors)} compared on {seen.pages:,} pages"
        lines += [f"{same}: {found}{wavering}.", *seen.differences]
    return lines


def certainty(c: Comparison) -> str:
    """How much a figure became of what it was, how sure that is, and how large the effect."""
    sure = f"{c.low:.2f} to {c.high:.2f} with {figures.percent(c.confidence)} confidence"
    return f"{c.ratio:.2f} times ({sure}, {c.pairs} pairs, effect {c.effect:+.2f})"
