"""The contract of the family."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cache_strategy.simulate import scan

VARIABLES = {
    "time_local": scan.TIME,
    "time_iso8601": scan.TIME,
    "msec": scan.TIME,
    "date": scan.TIME,
    "clock": scan.CLOCK,
    "request": scan.REQUEST,
    "request_method": scan.METHOD,
    "request_uri": scan.TARGET,
    "uri": scan.TARGET,
    "args": scan.QUERY,
    "query_string": scan.QUERY,
    "status": scan.STATUS,
    "body_bytes_sent": scan.SIZE,
    "bytes_sent": scan.SIZE,
    "request_time": scan.SECONDS,
    "request_ms": scan.MILLISECONDS,
    "request_us": scan.MICROSECONDS,
    "remote_user": scan.USER,
}
"""Variables of nginx's `log_format`, and a few more that other formats need; all others are passed over."""
APACHE = {
    "%t": "[$time_local]",
    "%r": "$request",
    "%m": "$request_method",
    "%U": "$uri",
    "%q": "$args",
    "%s": "$status",
    "%b": "$body_bytes_sent",
    "%B": "$body_bytes_sent",
    "%O": "$bytes_sent",
    "%T": "$request_time",
    "%L": "$request_time",
    "%D": "$request_us",
    "%M": "$request_ms",
    "%u": "$remote_user",
}
"""Apache's `LogFormat` and gunicorn's `access_log_format`, where `%(h)s` stands for `%h`."""


@dataclass(frozen=True)
class Layout:
    """
    A format as `scan` reads it: of text the roles of the fields and what ends each (`lengths` of the stops, 0 for the rest
    of the line), of JSON a table of names: hash, role and rank per slot, -1 for an empty one.
    """

    roles: tuple[int, ...] = ()
    stops: bytes = b""
    lengths: tuple[int, ...] = ()
    table: tuple[int, ...] = ()


class Reader:
    """
    One format.

    Args:
        module: `__name__` of the file; its last part is the format's name.
        formats: `log_format`s of nginx, the one with most fields first.
        names: for JSON lines, per role the names it goes by, the best first.
    """

    def __init__(
        self, module: str, formats: Sequence[str] = (), names: Mapping[int, str] | None = None
    ) -> None:
        self.name = module.rpartition(".")[2]
        self.formats = formats
        self.layouts = [layout_of(each) for each in formats] or [Layout(table=_table(names or {}))]


def _table(names: Mapping[int, str]) -> tuple[int, ...]:
    table = [-1] * (3 * scan.NAMES)
    for role, known in names.items():
        for rank, name in enumerate(known.split()):
            key = scan.hashed(name.encode(), 0, len(name), scan.BASIS)
            slot = key % scan.NAMES
            while table[3 * slot + 1] >= 0:
                slot = (slot + 1) % scan.NAMES
            table[3 * slot : 3 * slot + 3] = [key, role, rank]
    return tuple(table)


def layout_of(log_format: str) -> Layout:
    """The layout of a `log_format` of nginx, or a `LogFormat` of Apache or gunicorn."""
    text = re.sub(r"%\((\w)\)s", r"%\1", log_format)
    text = re.sub(r"%[<>]?(?:\{[^}]*\})?\^?(\w)", lambda m: APACHE.get("%" + m[1], "$passed"), text)
    parts = re.split(r"\$\{?(\w+)\}?", text.replace('\\"', '"'))
    names = ["passed", *parts[1::2]] if parts[0] else parts[1::2]
    stops = (parts if parts[0] else parts[2:])[::2]
    return Layout(
        roles=tuple(VARIABLES.get(name, scan.SKIPPED) for name in names),
        stops="".join(stops).encode(),
        lengths=tuple(len(stop.encode()) for stop in stops),
    )
