"""Numbers for readers: each with its source, and each unknown one with the way to learn it."""

from collections.abc import Iterable
from dataclasses import dataclass

from cache_strategy.model.evidence import Measurement


@dataclass(frozen=True, kw_only=True)
class Figure:
    """
    A number as the report prints it.

    `text` holds value and unit; "" when it is not known, and then `source` is the command that gets it. `source` says
    measured, derived or assumed, and from what; "" where the text is no number and needs none.
    """

    text: str
    source: str

    @property
    def known(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table: what, how much, from where. `name` holds several names where all of them are unknown alike."""

    name: str
    figure: Figure


RECORD = "cache-strategy record --repo PATH -- CMD, then cache-strategy run PATH"
ACCESS_LOG = "cache-strategy run PATH --access-log FILE"
VERIFY = "cache-strategy verify --repo PATH -- CMD"


def unknown(how: str) -> Figure:
    """A number that nobody has measured yet, with the command that does."""
    return Figure(text="", source=how)


def measured(measurement: Measurement | None, how: str) -> Figure:
    """A measurement as a figure, or how to get it."""
    if measurement is None:
        return unknown(how)
    return Figure(text=value_of(measurement), source=source_of(measurement))


def value_of(measurement: Measurement) -> str:
    """Value and unit; a unit that repeats what the line is about is left out."""
    if measurement.unit == "share":
        return percent(measurement.value)
    if measurement.unit == "bytes":
        return size(measurement.value)
    unit = "" if measurement.unit == "statements/request" else measurement.unit
    return f"{number(measurement.value)} {unit}".strip()


def source_of(measurement: Measurement) -> str:
    """measured, derived or assumed, from what, and how many observations."""
    count = f", n = {measurement.n:,}" if measurement.n is not None else ""
    return f"{measurement.source}: {measurement.where}{count}"


def assumed(text: str, why: str = "") -> Figure:
    """A number that somebody has to confirm."""
    return Figure(text=text, source=f"assumed{': ' + why if why else ''}")


def derived(text: str, of: str) -> Figure:
    """A number that follows from others."""
    return Figure(text=text, source=f"derived: {of}")


def rows(named: Iterable[tuple[str, Figure]]) -> tuple[Row, ...]:
    """Lines of a table; what is unknown and learned in the same way shares one line, at its first place."""
    found: dict[str, Row] = {}
    for name, figure in named:
        slot = name if figure.known else f"\0{figure.source}"
        earlier = found.get(slot)
        joined = f"{earlier.name}; {name[0].lower()}{name[1:]}" if earlier else name
        found[slot] = Row(name=joined, figure=figure)
    return tuple(found.values())


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


def size(count: float) -> str:
    """Bytes as people say them: 16598 is 16.2 KiB."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{number(count / unit)} {name}"
    return f"{count:,.0f} bytes"


def percent(share: float) -> str:
    """A share of 0 to 1 as per cent."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as people say them: 300 is 5 min."""
    for unit, name in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if name == 'day' and count != 1 else ''}"
    return f"{number(seconds)} s"


def time(seconds: float) -> str:
    """Any number of seconds: 4602.3 is 76.7 min."""
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{number(seconds / unit)} {name}"
    return f"{number(seconds)} s"
