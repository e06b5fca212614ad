"""
The common and the combined format of Apache and nginx, with a virtual host in front and a request time behind or not.

    127.0.0.1 - jane [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "referrer" "agent" 0.012

Source:
    https://httpd.apache.org/docs/2.4/logs.html#combined, https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

import re
from datetime import datetime
from functools import lru_cache

from cache_strategy.simulate.readers._base import Line, Reader

_LINE = re.compile(
    r'(\S+ [^\[]*)\[(\d\d/\w{3}/\d{4}:\d\d:\d\d):(\d\d(?:\.\d+)?) ([+-]\d{4})\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?(.*)'
)
_REQUEST = re.compile(r"([A-Z]+) (\S+)(?: HTTP/[\d.]+)?")
_NAMED_SECONDS = re.compile(r'\b(?:rt|request_time|total_time)[=:] ?"?(\d+(?:\.\d+)?)')


@lru_cache(maxsize=4096)
def _minute(text: str, zone: str) -> float:
    return datetime.strptime(f"{text} {zone}", "%d/%b/%Y:%H:%M %z").timestamp()


def parse(line: str) -> Line | None:
    """One line; the times of a request that come as a bare whole number are Apache's %D, microseconds."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    who, minute, second, zone, request, status, size, rest = match.groups()
    asked = _REQUEST.fullmatch(request)
    if asked is None:
        return None
    try:
        time_s = _minute(minute, zone) + float(second)
    except ValueError:
        return None
    user = who.split()[-1]
    return Line(
        time_s=time_s,
        method=asked[1],
        target=asked[2],
        status=int(status),
        size_bytes=None if size == "-" else int(size),
        duration_ms=_duration_ms(rest) if rest else None,
        user="" if user == "-" else user,
    )


def _duration_ms(rest: str) -> float | None:
    named = _NAMED_SECONDS.search(rest)
    if named:
        return float(named[1]) * 1000
    for word in reversed(rest.split()):
        bare = word.strip('"')
        if re.fullmatch(r"\d+\.\d+", bare):
            return float(bare) * 1000
        if re.fullmatch(r"\d+", bare):
            return int(bare) / 1000
    return None


reader = Reader(__name__, parse)
