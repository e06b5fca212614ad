"""The contract of the family."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cache_strategy.simulate import scan

_VARIABLES = {
    scan.TIME: "time_local time_iso8601 msec date",
    scan.CLOCK: "clock",
    scan.REQUEST: "request",
    scan.METHOD: "request_method",
    scan.TARGET: "request_uri uri",
    scan.QUERY: "args query_string",
    scan.STATUS: "status",
    scan.SIZE: "body_bytes_sent bytes_sent",
    scan.SECONDS: "request_time",
    scan.MILLISECONDS: "request_ms",
    scan.MICROSECONDS: "request_us",
    scan.USER: "remote_user",
}
"""Variables of nginx's `log_format`, and a few more that other formats need; all others are passed over."""
ROLES = {name: role for role, names in _VARIABLES.items() for name in names.split()}
APACHE = dict(
    zip(
        "rmUqsbBOTLDMu",
        "request request_method uri args status bytes_sent bytes_sent bytes_sent request_time request_time request_us request_ms remote_user".split(),
        strict=True,
    )
)
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
        self.formats = formats or [""]
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


_DIRECTIVE = re.compile(r"\s*(?:log_format\s+\S+|LogFormat)\s+", re.IGNORECASE)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_NAMED = re.compile(r'"([^"]+)"\s*:\s*"?(?:\$\{?(\w+)|%[<>]?(?:\{([^}]*)\})?(\w))')
_TIMES = {
    "sec": "msec",
    "msec": "msec",
    "usec": "msec",
    "%s": "msec",
    "ms": "request_ms",
    "us": "request_us",
    "s": "request_time",
}
"""Apache's %{…}t and %{…}T by what is in their braces."""


def layout_of(log_format: str) -> Layout:
    """
    The layout of a `log_format` of nginx, or a `LogFormat` of Apache or gunicorn; also the whole directive, as the
    configuration has it, and one that writes JSON under names of its own.
    """
    text = _bare(log_format)
    if text.lstrip().startswith("{"):
        names: dict[int, str] = {}
        for name, variable, braces, letter in _NAMED.findall(text):
            role = ROLES.get(variable or _of_apache(braces, letter))
            if role is not None:
                names[role] = f"{names.get(role, '')} {name}"
        return Layout(table=_table(names))
    text = re.sub(r"%\((\w)\)s", r"%\1", text.replace('\\"', '"')).replace("%t", "[$time_local]")
    text = re.sub(r"%[<>]?(?:\{([^}]*)\})?(\w)", lambda m: f"${_of_apache(m[1], m[2])}", text)
    first, *parts = re.split(r"\$\{?(\w+)\}?", text)
    parts_named, stops = parts[::2], parts[1::2]
    if first:
        parts_named, stops = ["passed", *parts_named], [first, *stops]
    return Layout(
        roles=tuple(ROLES.get(name, scan.SKIPPED) for name in parts_named),
        stops="".join(stops).encode(),
        lengths=tuple(len(stop.encode()) for stop in stops),
    )


def _bare(log_format: str) -> str:
    """Without the directive's name, that of the format behind it, and the quotes; the pieces of nginx are joined."""
    match = _DIRECTIVE.match(log_format)
    if match is None:
        return log_format
    return "".join(single or double for single, double in _QUOTED.findall(log_format[match.end() :]))


def _of_apache(braces: str | None, letter: str) -> str:
    if letter in "tT" and braces:
        return _TIMES.get(
            braces, "time_iso8601" if letter == "t" and braces.startswith("%Y-%m-%d") else "passed"
        )
    return APACHE.get(letter, "passed")
