"""Flask: each request with its route, key, user, time, and a digest of the answer."""

from __future__ import annotations

import functools
import re
from importlib import import_module
from time import monotonic
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
    context = _context_of(import_module("flask.globals"))

    @functools.wraps(original)
    def full_dispatch_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = context()
        counted = Request(_group(asked.request))
        outer = current_request()
        if outer is not None:
            outer.is_answered = True
        token = begin_request(counted)
        began = monotonic()
        response = None
        try:
            response = original(self, *args, **kwargs)
            return response
        finally:
            seconds = monotonic() - began
            end_request(token)
            try:
                _note(journal, asked, response, counted, began, seconds)
            except Exception as problem:
                journal.add({"kind": "problem", "t": began, "text": f"{counted.group}: {problem!r}"})

    flask.Flask.full_dispatch_request = full_dispatch_request


def _context_of(known: Any) -> Any:
    """What gives the request's context, past the proxies: before Flask 2.2 a stack has it, since 3.2 the application's is the same."""
    for name in ("_cv_request", "_cv_app"):
        if hasattr(known, name):
            return getattr(known, name).get
    return lambda: known._request_ctx_stack.top


def _note(
    journal: Journal, context: Any, response: Any, counted: Request, began: float, seconds: float
) -> None:
    request = context.request
    environ = request.environ
    user = user_of(journal, context.session, environ.get("HTTP_AUTHORIZATION", ""))
    asked = sorted(request.args.items(multi=True)) if environ.get("QUERY_STRING") else ()
    key = key_of(journal, request.view_args or {}, asked)
    status, size, digest = 500, None, ""
    cookies: list[str] = []
    if response is not None:
        status = response.status_code
        if status == 304:
            pass
        elif response.is_sequence and not response.direct_passthrough:
            parts = [part if isinstance(part, bytes) else part.encode() for part in response.response]
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            size, digest = len(body), journal.hashed(body)
        else:
            size = response.content_length
        cookies = cookies_in(response.headers)
    write_down(
        journal, counted, began, seconds,
        key=key, user=user, status=status, size=size, digest=digest, cookies=cookies,
    )  # fmt: skip


@functools.lru_cache(maxsize=10_000)
def _braces(rule: str) -> str:
    return _CONVERTER.sub(r"{\1}", rule)


def _group(request: Any) -> str:
    rule = request.url_rule
    route = _braces(rule.rule) if rule is not None else "(no route)"
    return f"{request.method} {route}"
