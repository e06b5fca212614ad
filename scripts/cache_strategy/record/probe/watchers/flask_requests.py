"""Flask: each request with its route, key, user, time, and a digest of the answer."""

from __future__ import annotations

import base64
import functools
import json
import re
import time
from types import ModuleType
from typing import Any

from ..frames import UserCode
from ..journal import Journal, Request, begin_request, current_request, end_request

MODULE = "flask.app"

_CONVERTER = re.compile(r"<(?:[^:<>()]+(?:\([^)]*\))?:)?([^<>]+)>")
SESSION_NAMES = "_user_id user_id userid uid user username account_id identity".split()
"""Where login libraries keep the user in a session: Flask-Login has `_user_id`, the others are common names (assumed)."""
CLAIMS = "sub identity user_id uid id username email".split()
"""Claims of a JSON Web Token that name its holder: RFC 7519 has `sub`, Flask-JWT-Extended 3 `identity`."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the method through which every request goes, with the request's context in place."""
    flask: Any = module
    original = flask.Flask.full_dispatch_request

    @functools.wraps(original)
    def full_dispatch_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        from flask import request as proxy

        request = _behind(proxy)
        counted = Request(_group(request))
        token = begin_request(counted)
        began, clock = time.monotonic(), time.perf_counter()
        response = None
        try:
            response = original(self, *args, **kwargs)
            return response
        finally:
            seconds = time.perf_counter() - clock
            end_request(token)
            try:
                _note(journal, request, response, counted, began, seconds)
            except Exception as problem:
                journal.add({"kind": "problem", "t": began, "text": f"{counted.group}: {problem!r}"})

    flask.Flask.full_dispatch_request = full_dispatch_request


def _behind(proxy: Any) -> Any:
    """The object itself: each access through a proxy of werkzeug costs as much as several on it."""
    return proxy._get_current_object()


def _note(
    journal: Journal, request: Any, response: Any, counted: Request, began: float, seconds: float
) -> None:
    record: dict[str, object] = {
        "kind": "access",
        "t": began,
        "group": counted.group,
        "key": _key(request, journal),
        "user": _user(request, journal),
        "status": 500 if response is None else response.status_code,
        "duration_ms": round(seconds * 1000, 4),
        "database_ms": round(counted.database_s * 1000, 4),
        "statements": counted.statements,
    }
    if response is None or response.status_code == 304:
        pass
    elif response.is_sequence and not response.direct_passthrough:
        body = b"".join(part if isinstance(part, bytes) else part.encode() for part in response.response)
        record["size_bytes"] = len(body)
        record["digest"] = journal.hashed(body)
    elif response.content_length is not None:
        record["size_bytes"] = response.content_length
    journal.add(record)
    if current_request() is None:
        journal.flush()


@functools.lru_cache(maxsize=10_000)
def _braces(rule: str) -> str:
    return _CONVERTER.sub(r"{\1}", rule)


def _group(request: Any) -> str:
    rule = request.url_rule
    route = _braces(rule.rule) if rule is not None else "(no route)"
    return f"{request.method} {route}"


def _key(request: Any, journal: Journal) -> str:
    parts = [
        f"{name}={value if isinstance(value, int) else journal.veil(value)}"
        for name, value in sorted((request.view_args or {}).items())
    ]
    asked = sorted(request.args.items(multi=True)) if request.query_string else ()
    return "&".join([*parts, *(f"?{name}={journal.veil(value)}" for name, value in asked)])


def _user(request: Any, journal: Journal) -> str:
    from flask import session as proxy

    session = _behind(proxy)
    if session:
        for name in SESSION_NAMES:
            value = session.get(name)
            if isinstance(value, (str, int)) and value != "":
                return journal.hashed(f"session:{value}")
    header = request.headers.get("Authorization", "")
    return journal.hashed(_token_holder(header) or header) if header else ""


def _token_holder(header: str) -> str:
    """Who a token is for, read without checking its signature: it only tells users apart."""
    parts = header.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return ""
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        for name in CLAIMS:
            if isinstance(claims.get(name), (str, int)):
                return f"token:{claims[name]}"
    except (ValueError, AttributeError):
        pass
    return ""
