"""Starlette, and FastAPI which is one: each request with its route, key, user, time, and a digest of the answer."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from ..asgi import Sending, headers_of
from ..databases import named_as
from ..frames import UserCode
from ..journal import Journal, Request, begin_request, current_request, end_request
from ..requests import key_of, user_of, write_down

MODULE = "starlette.applications"
MARK = "cache_strategy.request"
"""In a scope, which the applications mounted below share: the outermost notes the request."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the application's call."""
    starlette: Any = module
    original = starlette.Starlette.__call__
    routes: dict[Any, str] = {}

    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or MARK in scope:
            await original(self, scope, receive, send)
            return
        outer = current_request()
        if outer is not None:
            outer.is_answered = True
        counted = Request("")
        scope[MARK] = counted
        prefix = scope.get("root_path", "")
        sending = Sending(journal, send)
        token, began, clock = begin_request(counted), time.monotonic(), time.perf_counter()
        try:
            await original(self, scope, receive, sending)
        finally:
            seconds = time.perf_counter() - clock
            end_request(token)
            try:
                counted.group = f"{scope['method']} {_route(self, scope, prefix, routes)}"
                _note(journal, scope, sending, counted, began, seconds)
            except Exception as problem:
                journal.add({"kind": "problem", "t": began, "text": f"{counted.group}: {problem!r}"})

    starlette.Starlette.__call__ = named_as(__call__, original)


def _note(
    journal: Journal, scope: Any, sending: Sending, counted: Request, began: float, seconds: float
) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    header, cookies = headers_of(scope)
    user = getattr(scope.get("user"), "is_authenticated", False) and getattr(
        scope["user"], "display_name", ""
    )
    session = {"user": user} if user else scope.get("session")
    write_down(
        journal, counted, began, seconds,
        key=key_of(journal, scope.get("path_params") or {}, sorted(parse_qsl(query, keep_blank_values=True))),
        user=user_of(journal, session if isinstance(session, dict) else None, header, cookies),
        status=sending.status, size=sending.size, digest=sending.digest(), cookies=sending.cookies,
    )  # fmt: skip


def _route(application: Any, scope: Any, prefix: str, known: dict[Any, str]) -> str:
    """The whole template: FastAPI names its route, Starlette only the endpoint, which is looked for."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return "(no route)"
    if endpoint not in known:
        found = _find(application.routes, endpoint, "")
        route = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", "")
        mounted = scope.get("root_path", "")[len(prefix) :]
        known[endpoint] = found or (f"{mounted}{path}" if path else "(no route)")
    return known[endpoint]


def _find(routes: Any, endpoint: Any, above: str) -> str:
    for route in routes or ():
        # A mount's own format ends in the path below it.
        format_ = None if hasattr(route, "routes") else getattr(route, "path_format", None)
        path = above + str(format_ or getattr(route, "path", ""))
        if getattr(route, "endpoint", None) is endpoint:
            return path
        inner = _find(getattr(route, "routes", None), endpoint, path) if hasattr(route, "routes") else ""
        if inner:
            return inner
    return ""
