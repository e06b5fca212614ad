"""
One JSON object per line: Caddy's log, and nginx, Apache or gunicorn with a JSON format.

The names of fields are those that these servers and their common recipes use; a nested `request` is Caddy's.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cache_strategy.simulate.readers._base import Line, Reader

TIMES = ("ts", "msec", "time_iso8601", "@timestamp", "timestamp", "time", "time_local", "start_time")
METHODS = ("method", "request_method", "verb")
TARGETS = ("request_uri", "uri", "url", "path")
QUERIES = ("args", "query_string", "query")
STATUSES = ("status", "status_code", "response_status")
SIZES = ("size", "body_bytes_sent", "bytes_sent", "response_size", "bytes")
SECONDS = ("request_time", "duration", "request_time_s", "elapsed")
MILLISECONDS = ("duration_ms", "response_time_ms", "latency_ms", "request_time_ms")
USERS = ("user_id", "remote_user", "user")


def parse(line: str) -> Line | None:
    """One line; a log that says no method or no time is another kind of log."""
    if not line.startswith("{"):
        return None
    try:
        data = json.loads(line)
        return _line(data) if isinstance(data, dict) else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _line(data: Mapping[str, Any]) -> Line | None:
    nested = data.get("request")
    fields: dict[str, Any] = {**data, **nested} if isinstance(nested, dict) else dict(data)
    method, target = _first(fields, METHODS), _first(fields, TARGETS)
    if isinstance(nested, str) and nested.count(" ") >= 1:
        method, target = nested.split(" ")[:2]
    moment = _first(fields, TIMES)
    if not isinstance(method, str) or not isinstance(target, str) or moment is None:
        return None
    query = _first(fields, QUERIES)
    if isinstance(query, str) and query and "?" not in target:
        target = f"{target}?{query.lstrip('?')}"
    status, size = _first(fields, STATUSES), _first(fields, SIZES)
    seconds, milliseconds = _first(fields, SECONDS), _first(fields, MILLISECONDS)
    duration_ms = None if milliseconds is None else float(milliseconds)
    if duration_ms is None and seconds is not None:
        duration_ms = float(seconds) * 1000
    user = _first(fields, USERS)
    return Line(
        time_s=_seconds(moment),
        method=method.upper(),
        target=target,
        status=None if status is None else int(status),
        size_bytes=None if size is None else int(size),
        duration_ms=duration_ms,
        user="" if user is None else str(user),
    )


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) not in (None, "", "-")), None)


def _seconds(moment: Any) -> float:
    """Seconds since 1970 from a number (milliseconds where it is that large), ISO 8601 or the combined format's time."""
    if isinstance(moment, str):
        try:
            moment = float(moment)
        except ValueError:
            return _date(moment).timestamp()
    return float(moment) / 1000 if moment > 1e11 else float(moment)


def _date(text: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        date = datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")
    return date if date.tzinfo else date.replace(tzinfo=UTC)


reader = Reader(__name__, parse)
