"""Flask: each request with its route, key, user, time, and a digest of the answer."""

from __future__ import annotations

import functools
import re
import time
from types import ModuleType
from typing import Any

from ..frames import UserCode
from ..journal import Journal, Request, begin_request, current_request, end_request
from ..requests import cookies_in, key_of, user_of, write_down

MODULE = "flask.app"

_CONVERTER = re.compile(r"<(?:[^:<>()]+(?:\([^)]*\))?:)?([^<>]+)>")


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the method through which every request goes, with the request's context in place."""
    flask: Any = module
    original = flask.Flask.full_dispatch_request

    @functools.wraps(original)
    def full_dispatch_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = _behind(_proxies()[0])
        counted = Request(_group(request))
        outer = current_request()
        if outer is not None:
            outer.is_answered = True
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


@functools.lru_cache(maxsize=1)
def _proxies() -> Any:
    from flask import request, session

    return request, session


def _behind(proxy: Any) -> Any:
    """The object itself: each access through a proxy of werkzeug costs as much as several on it."""
    return proxy._get_current_object()


def _note(
    journal: Journal, request: Any, response: Any, counted: Request, began: float, seconds: float
) -> None:
    session = _behind(_proxies()[1])
    user = user_of(journal, session, request.headers.get("Authorization", ""))
    asked = sorted(request.args.items(multi=True)) if request.query_string else ()
    key = key_of(journal, request.view_args or {}, asked)
    size, digest = None, ""
    if response is None or response.status_code == 304:
        pass
    elif response.is_sequence and not response.direct_passthrough:
        body = b"".join(part if isinstance(part, bytes) else part.encode() for part in response.response)
        size, digest = len(body), journal.hashed(body)
    elif response.content_length is not None:
        size = response.content_length
    status = 500 if response is None else response.status_code
    cookies = (
        cookies_in(response.headers) if response is not None and "Set-Cookie" in response.headers else ()
    )
    write_down(
        journal,
        counted,
        began,
        seconds,
        key=key,
        user=user,
        status=status,
        size=size,
        digest=digest,
        cookies=cookies,
    )


@functools.lru_cache(maxsize=10_000)
def _braces(rule: str) -> str:
    return _CONVERTER.sub(r"{\1}", rule)


def _group(request: Any) -> str:
    rule = request.url_rule
    route = _braces(rule.rule) if rule is not None else "(no route)"
    return f"{request.method} {route}"
