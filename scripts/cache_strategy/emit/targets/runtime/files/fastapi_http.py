"""
Caches the answers of FastAPI endpoints, tells browsers and proxies how to keep them, shows what the caches do.

    @router.get("/rooms/{room_id}")                       # the route; dependencies are always asked, then
    @http_headers("public, max-age=60")                   # the headers,
    @cached_endpoint(room, key=room_key)                  # and the cache
    async def show_room(room_id: int, session: SessionDep): ...

An answer is stored only if another caller with the same key could get the very same: status 200, nothing streamed, no
cookie, no background task, and no dependency that writes into the response. The address with its query, and every
argument of the endpoint and of `request.state` that is plain data (numbers, texts, models of Pydantic), are part of every key.
An async endpoint needs an entry of the cache for coroutines, a plain one an entry of the other. FastAPI 0.95 and later.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import anyio.from_thread
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import serialize_response
from pydantic import BaseModel

F = TypeVar("F", bound="Callable[..., Any]")
REQUEST = "request_of_cache"
KNOWN = frozenset(inspect.signature(serialize_response).parameters)
NOT_STORED = frozenset("content-length date set-cookie".split())


def cached_endpoint(entry: Any, key: Callable[..., Mapping[str, object]] | None = None) -> Callable[[F], F]:
    """
    Decorator for an endpoint: serves GET requests from `entry`.

    Args:
        key: takes the request and the parameters of the route by name, gives the parts of the key: what the answer
            depends on besides the module's list above.
    """

    def decorate(endpoint: F) -> F:
        def prepared(request: Any, values: dict[str, Any]) -> dict[str, object] | None:
            """The key; None for a request that is not for the cache."""
            if (
                request is None
                or not entry.cache.is_on
                or request.method != "GET"
                or not _is_own(request, values)
            ):
                return None
            own = {} if key is None else dict(key(request, **{**request.path_params, **values}))
            return {**own, "_about": _about(request, values)}

        if inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def cached(*args: Any, **values: Any) -> Any:
                request = values.pop(REQUEST, None)
                own = prepared(request, values)
                if own is None:
                    return await endpoint(*args, **values)
                made: list[Any] = []

                async def compute() -> dict[str, Any]:
                    made.append(await _response(request, await endpoint(*args, **values)))
                    return _stored(made[0])

                try:
                    stored = await entry.get_or_compute(own, compute)
                except _NotStored as refusal:
                    return _skipped(entry, own, refusal, made[0])
                return made[0] if made else _restored(stored)

        else:

            @functools.wraps(endpoint)
            def cached(*args: Any, **values: Any) -> Any:
                request = values.pop(REQUEST, None)
                own = prepared(request, values)
                if own is None:
                    return endpoint(*args, **values)
                made: list[Any] = []

                def compute() -> dict[str, Any]:
                    made.append(anyio.from_thread.run(_response, request, endpoint(*args, **values)))
                    return _stored(made[0])

                try:
                    stored = entry.get_or_compute(own, compute)
                except _NotStored as refusal:
                    return _skipped(entry, own, refusal, made[0])
                return made[0] if made else _restored(stored)

        return cast(F, _asking_for_the_request(cached, endpoint))

    return decorate


def http_headers(cache_control: str = "", vary: Iterable[str] = (), etag: bool = True) -> Callable[[F], F]:
    """Decorator for an endpoint: Cache-Control, Vary and ETag, and 304 for who has the answer already; what it said itself is kept."""

    def told(request: Any, response: Any) -> Any:
        listed = [name.strip() for name in response.headers.get("Vary", "").split(",") if name.strip()]
        listed += [name for name in vary if name.lower() not in {known.lower() for known in listed}]
        if listed:
            response.headers["Vary"] = ", ".join(listed)
        if response.status_code != 200:
            return response
        if cache_control and "Cache-Control" not in response.headers:
            is_public = cache_control.startswith("public") and "set-cookie" in response.headers
            response.headers["Cache-Control"] = "private" + cache_control[6:] if is_public else cache_control
        if etag and hasattr(response, "body"):
            digest = hashlib.blake2b(response.body, digest_size=16).hexdigest()
            tag = response.headers.setdefault("ETag", f'"{digest}"')
            if tag in [known.strip() for known in request.headers.get("If-None-Match", "").split(",")]:
                kept = {
                    n: v for n, v in response.headers.items() if n not in ("content-length", "content-type")
                }
                return Response(status_code=304, headers=kept)
        return response

    def decorate(endpoint: F) -> F:
        asks = REQUEST in inspect.signature(endpoint).parameters

        def arguments(values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            request = values.pop(REQUEST, None)
            return request, {**values, REQUEST: request} if asks else values

        if inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def with_headers(*args: Any, **values: Any) -> Any:
                request, given = arguments(values)
                result = await endpoint(*args, **given)
                return result if request is None else told(request, await _response(request, result))

        else:

            @functools.wraps(endpoint)
            def with_headers(*args: Any, **values: Any) -> Any:
                request, given = arguments(values)
                result = endpoint(*args, **given)
                if request is None:
                    return result
                return told(request, anyio.from_thread.run(_response, request, result))

        return cast(F, _asking_for_the_request(with_headers, endpoint))

    return decorate


class RequestScope:
    """Middleware: what a request opens in its dependencies is known in its endpoint (see asyncio_events.py)."""

    def __init__(self, app: Any, begin: Callable[[], object]) -> None:
        self.app = app
        self.begin = begin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begin()
        await self.app(scope, receive, send)


def add_metrics(app: FastAPI, route: str, *caches: Any) -> None:
    """What the caches of this process do: JSON, or Prometheus text for ?format=prometheus or Accept: text/plain."""

    def metrics(request: Request) -> Response:
        wants = request.query_params.get("format") or request.headers.get("Accept", "")
        if wants == "prometheus" or wants.startswith("text/plain"):
            response: Response = PlainTextResponse("".join(cache.metrics_prometheus() for cache in caches))
        else:
            entries = {name: counts for cache in caches for name, counts in cache.metrics().items()}
            response = JSONResponse({"mode": caches[0].mode, **caches[0].state(), "entries": entries})
        response.headers["Cache-Control"] = "no-store"
        return response

    app.add_api_route(route, metrics, include_in_schema=False)


class _NotStored(Exception):
    """The answer was made, and is for this caller alone."""


def _asking_for_the_request(function: Any, endpoint: Callable[..., Any]) -> Any:
    """The function with the endpoint's signature and one more parameter, which FastAPI fills."""
    signature = inspect.signature(endpoint)
    try:
        hints = typing.get_type_hints(endpoint, include_extras=True)
    except Exception:  # a name that is known later only: FastAPI will resolve it
        hints = {}
    kept = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    kept = [parameter for parameter in kept if parameter.name != REQUEST]
    at = len(kept) - (bool(kept) and kept[-1].kind is inspect.Parameter.VAR_KEYWORD)
    kept.insert(
        at, inspect.Parameter(REQUEST, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Request)
    )
    returned = hints.get("return", signature.return_annotation)
    function.__signature__ = signature.replace(parameters=kept, return_annotation=returned)
    return function


def _is_own(request: Any, values: Mapping[str, Any]) -> bool:
    """Whether nothing but the answer itself comes out of the endpoint and what it depends on."""
    for value in values.values():
        hides = isinstance(value, BaseModel) and "'**********'" in repr(value)  # a secret of Pydantic
        if hides or isinstance(value, (Response, BackgroundTasks)):
            return False
    waiting = [getattr(request.scope.get("route"), "dependant", None)]
    while waiting:
        dependant = waiting.pop()
        if dependant is None or getattr(dependant, "response_param_name", None):
            return False
        waiting += dependant.dependencies
    return True


def _about(request: Any, values: Mapping[str, Any]) -> tuple[Any, ...]:
    attached = getattr(request.state, "_state", {})  # by middleware and dependencies
    named = [*sorted(values.items()), *((f"state {name}", value) for name, value in sorted(attached.items()))]
    plain = ((name, _plain(value)) for name, value in named)
    return (
        request.url.scheme,
        request.headers.get("host", ""),
        request.url.path,
        tuple(sorted(request.query_params.multi_items())),
        tuple(pair for pair in plain if pair[1] != ()),
    )


def _plain(value: Any) -> Any:
    """An argument that is plain data, as a part of the key; () for another."""
    if isinstance(value, BaseModel):
        return type(value).__qualname__, repr(value)
    if isinstance(value, enum.Enum):
        return type(value).__qualname__, value.name
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_plain(item) for item in value)
    return value if isinstance(value, (str, int, float, bool, bytes, type(None))) else ()


async def _response(request: Any, result: Any) -> Any:
    """What FastAPI makes of an endpoint's result."""
    if isinstance(result, Response):
        return result
    route = request.scope["route"]
    options = {
        "field": route.response_field,
        "response_content": result,
        "include": route.response_model_include,
        "exclude": route.response_model_exclude,
        "by_alias": route.response_model_by_alias,
        "exclude_unset": route.response_model_exclude_unset,
        "exclude_defaults": route.response_model_exclude_defaults,
        "exclude_none": route.response_model_exclude_none,
    }
    content = await serialize_response(**{name: value for name, value in options.items() if name in KNOWN})
    kind = getattr(route.response_class, "value", route.response_class)
    if route.response_field is None:
        content = jsonable_encoder(content)
    return kind(content, status_code=route.status_code or 200)


def _stored(response: Any) -> dict[str, Any]:
    if response.status_code != 200:
        raise _NotStored(f"status {response.status_code}")
    if not hasattr(response, "body"):
        raise _NotStored("streamed")
    if response.background is not None:
        raise _NotStored("has something to do afterwards")
    if "set-cookie" in response.headers:
        raise _NotStored("sets a cookie")
    if "no-store" in response.headers.get("cache-control", "") or response.headers.get("vary") == "*":
        raise _NotStored("the endpoint forbids it")
    headers = [[name, value] for name, value in response.headers.items() if name not in NOT_STORED]
    try:
        body: Any = response.body.decode()
    except UnicodeDecodeError:
        body = response.body
    return {"body": body, "headers": headers}


def _restored(stored: Mapping[str, Any]) -> Response:
    return Response(stored["body"], headers=dict(stored["headers"]))


def _skipped(entry: Any, own: Mapping[str, object], refusal: Exception, response: Any) -> Any:
    entry.skipped(entry.slot(own), str(refusal))
    return response
