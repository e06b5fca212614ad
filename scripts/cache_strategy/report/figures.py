"""Numbers for readers: each with its source, and each unknown one with the way to learn it."""

from dataclasses import dataclass

from cache_strategy.model.evidence import Measurement


@dataclass(frozen=True, kw_only=True)
class Figure:
    """
    A number as the report prints it.

    `text` holds value and unit; "" when it is not known, and then `source` says how to get it.
    """

    text: str
    source: str

    @property
    def known(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.text else f"not known: {self.source}"


RECORD = "cache-strategy record -- CMD, then cache-strategy run PATH --trace DIR"
ACCESS_LOG = "cache-strategy run PATH --access-log FILE"
VERIFY = "cache-strategy verify -- CMD"


def unknown(how: str) -> Figure:
    """A number that nobody has measured yet, with the command that does."""
    return Figure(text="", source=how)


def measured(measurement: Measurement | None, how: str, scale: str = "") -> Figure:
    """A measurement as a figure, or how to get it."""
    if measurement is None:
        return unknown(how)
    count = f", n = {measurement.n:,}" if measurement.n is not None else ""
    unit = scale or measurement.unit
    return Figure(
        text=f"{number(measurement.value)} {unit}".strip(),
        source=f"{measurement.source}: {measurement.where}{count}",
    )


def assumed(text: str, why: str = "") -> Figure:
    """A number that somebody has to confirm."""
    return Figure(text=text, source=f"assumed{': ' + why if why else ''}")


def derived(text: str, of: str) -> Figure:
    """A number that follows from others."""
    return Figure(text=text, source=f"derived: {of}")


def number(value: float) -> str:
    """Three digits are enough for a reader: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share of 0 to 1 as per cent."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as people say them: 300 is 5 min."""
    for size, name in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if name == 'day' and count != 1 else ''}"
    return f"{number(seconds)} s"
