"""Django: each request with its route, key, user, time, and a digest of the answer; under WSGI, ASGI and its test client."""

from __future__ import annotations

import functools
import re
import time
from types import ModuleType
from typing import Any

from ..databases import named_as
from ..frames import UserCode
from ..journal import Journal, Request, begin_request, current_request, end_request
from ..requests import key_of, user_of, write_down

MODULE = "django.core.handlers.base"
_CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()\\]|\\.|\[[^\]]*\]|\([^()]*\))*\)")


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the two methods through which every request goes, middleware included."""
    handler: Any = module
    kind = handler.BaseHandler
    original, original_async = kind.get_response, kind.get_response_async

    def get_response(self: Any, request: Any) -> Any:
        counted, token, began, clock = _begin()
        response = None
        try:
            response = original(self, request)
            return response
        finally:
            _end(journal, request, response, counted, token, began, time.perf_counter() - clock)

    async def get_response_async(self: Any, request: Any) -> Any:
        counted, token, began, clock = _begin()
        response = None
        try:
            response = await original_async(self, request)
            return response
        finally:
            _end(journal, request, response, counted, token, began, time.perf_counter() - clock)

    kind.get_response = named_as(get_response, original)
    kind.get_response_async = named_as(get_response_async, original_async)


def _begin() -> tuple[Request, Any, float, float]:
    outer = current_request()
    if outer is not None:
        outer.is_answered = True
    counted = Request("")
    return counted, begin_request(counted), time.monotonic(), time.perf_counter()


def _end(
    journal: Journal, request: Any, response: Any, counted: Request, token: Any, began: float, seconds: float
) -> None:
    end_request(token)
    try:
        match = getattr(request, "resolver_match", None)
        counted.group = f"{request.method} {_route(match.route) if match is not None else '(no route)'}"
        status = 500 if response is None else response.status_code
        size, digest = None, ""
        if response is not None and status != 304 and not response.streaming:
            body = response.content
            size, digest = len(body), journal.hashed(body)
        parts = {**{str(n): v for n, v in enumerate(match.args)}, **match.kwargs} if match is not None else {}
        query = request.META.get("QUERY_STRING", "")
        asked = sorted((name, v) for name, values in request.GET.lists() for v in values) if query else ()
        write_down(
            journal, counted, began, seconds,
            key=key_of(journal, parts, asked), user=_user(journal, request), status=status, size=size, digest=digest,
            cookies=list(response.cookies) if response is not None else (),
        )  # fmt: skip
    except Exception as problem:
        journal.add({"kind": "problem", "t": began, "text": f"{counted.group}: {problem!r}"})


def _user(journal: Journal, request: Any) -> str:
    """Of what was looked up already: looking into a session would mark the answer as depending on it."""
    for user in (getattr(request, "_cached_user", None), request.__dict__.get("user")):
        key = getattr(user, "pk", None) if "_wrapped" not in getattr(user, "__dict__", {}) else None
        if key is not None:
            return journal.hashed(f"session:{key}")
    session = getattr(request.__dict__.get("session"), "__dict__", {}).get("_session_cache")
    return user_of(journal, session, request.META.get("HTTP_AUTHORIZATION", ""), request.COOKIES)


@functools.lru_cache(maxsize=10_000)
def _route(route: str) -> str:
    """`articles/<slug:slug>/` and `^articles/(?P<slug>[^/]+)/$` as /articles/{slug}/."""
    if "(" in route or "^" in route or "$" in route:
        route = _GROUP.sub(r"{\1}", route).replace("^", "").replace("\\Z", "").replace("$", "")
        route = re.sub(r"\([^()]*\)", "{}", route)
        route = re.sub(r"\\(.)", r"\1", route)
    return "/" + _CONVERTER.sub(r"{\1}", route).lstrip("/")
