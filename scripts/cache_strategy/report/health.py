"""The health of a running cache, for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from cache_strategy.model.evidence import Observation
from cache_strategy.report import figures

POOR_HIT_RATE = 0.5
"""Below it a cache costs about what it saves (assumed)."""
ENOUGH = 1000


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a Redis says of itself, and what somebody should look at."""

    observations: tuple[Observation, ...]
    worries: tuple[str, ...]


def health_of(observations: Sequence[Observation]) -> Health:
    worries = []
    for one in observations:
        if one.kind == "server":
            worries += [f"{one.name}: {note}" for note in one.notes[1:]]
        hits = one.figures.get("hit_rate")
        if hits is not None and (hits.n or 0) >= ENOUGH and hits.value < POOR_HIT_RATE:
            worries.append(f"{one.name}: {figures.percent(hits.value)} of {hits.n:,} reads were hits")
    return Health(observations=tuple(observations), worries=tuple(worries))


def summarise_health(health: Health) -> str:
    """A line per figure of the server, per prefix and per key that stands out."""
    lines = []
    for one in health.observations:
        shown = ", ".join(
            f"{name.replace('_', ' ')} {figures.value_of(m)}" for name, m in one.figures.items()
        )
        lines.append(f"{one.kind:<7} {one.name}: {shown}")
        lines += [f"        {note}" for note in one.notes]
    lines += (
        ["", *(f"worry: {worry}" for worry in health.worries)]
        if health.worries
        else ["", "Nothing to worry about."]
    )
    return "\n".join(lines)
