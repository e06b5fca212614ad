"""
Caches the answers of FastAPI endpoints, tells browsers and proxies how to keep them, shows what the caches do.

    @router.get("/rooms/{room_id}")                       # the route; dependencies are always asked, then
    @http_headers("public, max-age=60")                   # the headers,
    @cached_endpoint(room, key=room_key)                  # and the cache
    async def show_room(room_id: int, session: SessionDep): ...

An answer is stored only if another caller with the same key could get the very same: status 200, nothing streamed, no
cookie, no background task, no dependency that writes into the response, no `private` or `no-store`, and no Vary on
anything but Accept, Accept-Encoding, Accept-Language, Authorization and Cookie. The address with its query, every
argument of the endpoint and everything on `request.state` are part of every key: plain data, UUIDs, dates, decimals,
Enums, models of Pydantic and dataclasses as they are, a session of SQLAlchemy by its database. Where one of them cannot
be told exactly (a row, a service, a secret), nothing is stored, and the cache's listeners hear why.

What the endpoint and its dependencies say in an injected `Response` (status, headers, cookies) is kept; their
Cache-Control wins. An endpoint with a `Request` of its own is given it. An async endpoint needs an entry of the cache
for coroutines, a plain one an entry of the other. FastAPI 0.95 and later.
"""

from __future__ import annotations

import contextlib
import datetime
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
from fastapi.params import Depends
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import serialize_response
from fastapi.security import SecurityScopes
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import BaseModel

F = TypeVar("F", bound="Callable[..., Any]")
REQUEST, RESPONSE = "request_of_cache", "response_of_cache"
KNOWN = frozenset(inspect.signature(serialize_response).parameters)
NOT_STORED = frozenset("content-length date set-cookie".split())
TOLD_VARY = frozenset("accept accept-encoding accept-language authorization cookie".split())
FIXED_ZONES = ("datetime", "zoneinfo", "pydantic_core._pydantic_core")
SESSIONS = frozenset("Session AsyncSession scoped_session async_scoped_session".split())
ENGINES = frozenset("Engine AsyncEngine Connection AsyncConnection".split())


def cached_endpoint(entry: Any, key: Callable[..., Mapping[str, object]] | None = None) -> Callable[[F], F]:
    """
    Decorator for an endpoint: serves GET requests from `entry`.

    Args:
        key: takes the request and the parameters of the route by name, gives the parts of the key: what the answer
            depends on besides the module's list above.
    """

    def decorate(endpoint: F) -> F:
        asked = _Asked(endpoint)

        def prepared(request: Any, written: Any, values: dict[str, Any]) -> dict[str, object] | None:
            """The key; None for a request that is not for the cache."""
            if request is None or not entry.cache.is_on or not _is_own(request, written, values):
                return None
            values = {n: v for n, v in values.items() if not isinstance(v, (HTTPConnection, SecurityScopes))}
            named = {n: v for n, v in {**request.path_params, **values}.items() if n != "request"}
            own = {} if key is None else dict(key(request, **named))
            if key is not None:
                # it says what objects of the application, such as a repository or a user's row, stand for
                values = {n: v for n, v in values.items() if _is_data(v) or _is_tellable(entry, v)}
            address = {**own, "_about": _address(request)}
            try:
                told = {**own, "_about": (*_address(request), _about(request, values))}
                entry.slot(told)
            except (TypeError, RecursionError) as error:
                try:
                    slot = entry.slot(address)
                except TypeError:  # the key's own parts: the entry says so
                    return address
                entry.skipped(slot, str(error))
                return None
            return told

        if inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def cached(*args: Any, **values: Any) -> Any:
                request, written = asked.taken(values)
                own = prepared(request, written, values)
                if own is None:
                    return await endpoint(*args, **values)
                made: list[Any] = []

                async def compute() -> dict[str, Any]:
                    made.append(await _response(request, await endpoint(*args, **values), written))
                    return _stored(made[0])

                try:
                    stored = await entry.get_or_compute(own, compute)
                except _NotStored as refusal:
                    return _skipped(entry, own, refusal, made[0])
                return made[0] if made else _restored(stored)

        else:

            @functools.wraps(endpoint)
            def cached(*args: Any, **values: Any) -> Any:
                request, written = asked.taken(values)
                own = prepared(request, written, values)
                if own is None:
                    return endpoint(*args, **values)
                made: list[Any] = []

                def compute() -> dict[str, Any]:
                    made.append(anyio.from_thread.run(_response, request, endpoint(*args, **values), written))
                    return _stored(made[0])

                try:
                    stored = entry.get_or_compute(own, compute)
                except _NotStored as refusal:
                    return _skipped(entry, own, refusal, made[0])
                return made[0] if made else _restored(stored)

        return cast(F, asked.by(cached))

    return decorate


def http_headers(cache_control: str = "", vary: Iterable[str] = (), etag: bool = True) -> Callable[[F], F]:
    """
    Decorator for an endpoint: Cache-Control, Vary and ETag, and 304 for who has the answer already.

    The status, the headers and the cookies that the endpoint and its dependencies set are kept; their Cache-Control
    wins over `cache_control`, which is for answers with status 200.
    """

    def told(request: Any, response: Any, written: Any) -> Any:
        listed = _listed(response, "Vary")
        listed += [name for name in vary if name.lower() not in {known.lower() for known in listed}]
        if listed:
            response.headers["Vary"] = ", ".join(listed)
        if response.status_code != 200:
            return response
        said = (
            "" if written is None else ", ".join(_listed(written, "Cache-Control"))
        )  # none has it of a Response returned
        if said:
            response.headers.setdefault("Cache-Control", said)
        if cache_control and "Cache-Control" not in response.headers:
            is_public = cache_control.startswith("public") and "set-cookie" in response.headers
            response.headers["Cache-Control"] = "private" + cache_control[6:] if is_public else cache_control
        if etag and hasattr(response, "body"):
            digest = hashlib.blake2b(response.body, digest_size=16).hexdigest()
            tag = response.headers.setdefault("ETag", f'"{digest}"')
            if tag in [known.strip() for known in request.headers.get("If-None-Match", "").split(",")]:
                unchanged = Response(status_code=304, background=response.background)
                for name, value in response.headers.items():
                    if name not in ("content-length", "content-type"):
                        unchanged.headers.append(name, value)
                return unchanged
        return response

    def decorate(endpoint: F) -> F:
        asked = _Asked(endpoint)

        if inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def with_headers(*args: Any, **values: Any) -> Any:
                request, written = asked.taken(values)
                result = await endpoint(*args, **values)
                if request is None:
                    return result
                return told(request, await _response(request, result, written), written)

        else:

            @functools.wraps(endpoint)
            def with_headers(*args: Any, **values: Any) -> Any:
                request, written = asked.taken(values)
                result = endpoint(*args, **values)
                if request is None:
                    return result
                return told(request, anyio.from_thread.run(_response, request, result, written), written)

        return cast(F, asked.by(with_headers))

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

    # a name of its own: the application may make those of its routes of what this one lacks, such as tags
    app.add_api_route(route, metrics, include_in_schema=False, operation_id="cache_metrics")


class _NotStored(Exception):
    """The answer was made, and is for this caller alone."""


class _Asked:
    """
    The request, and the response that the endpoint and its dependencies write into, as FastAPI gives them to an endpoint.

    FastAPI fills one parameter of each kind: the endpoint's own where it has one, else one that is added.
    """

    def __init__(self, endpoint: Callable[..., Any]) -> None:
        self._endpoint = inspect.unwrap(endpoint)
        signature = inspect.signature(endpoint)
        try:
            hints = typing.get_type_hints(endpoint, include_extras=True)
        except Exception:  # a name that is known later only: FastAPI will resolve it
            hints = {}
        kept = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
        at = len(kept) - (bool(kept) and kept[-1].kind is inspect.Parameter.VAR_KEYWORD)
        self._names: list[str] = []
        self._added: set[str] = set()
        for name, kind in ((REQUEST, Request), (RESPONSE, Response)):
            own = [p.name for p in kept if self._is_filled(p, kind)]
            self._names.append(own[-1] if own else name)
            if not own:
                kept.insert(
                    at, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                )
                self._added.add(name)
        returned = hints.get("return", signature.return_annotation)
        self._signature = signature.replace(parameters=kept, return_annotation=returned)

    def by(self, function: Any) -> Any:
        """The function, which FastAPI will give them too."""
        function.__signature__ = self._signature
        return function

    def taken(self, values: dict[str, Any]) -> tuple[Any, Any]:
        """Both, those that were added taken out; None for a call that is not FastAPI's."""
        request, written = (values.pop(n, None) if n in self._added else values.get(n) for n in self._names)
        route = request.scope.get("route") if isinstance(request, Request) else None
        is_called = inspect.unwrap(getattr(route, "endpoint", len)) is self._endpoint
        return (request, written) if is_called else (None, None)

    def _is_filled(self, parameter: inspect.Parameter, kind: type) -> bool:
        annotation: Any = parameter.annotation
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, getattr(self._endpoint, "__globals__", {}))
            except Exception:  # a name that is known later only
                return False
        more = getattr(annotation, "__metadata__", ())
        annotation = annotation.__origin__ if more else annotation
        if any(isinstance(given, Depends) for given in (parameter.default, *more)):
            return False
        return isinstance(annotation, type) and issubclass(annotation, kind)


def _is_own(request: Any, written: Any, values: Mapping[str, Any]) -> bool:
    """Whether it is a GET, and nothing but the answer itself comes out of the endpoint and what it depends on."""
    if request.method != "GET" or any(
        isinstance(value, (Response, BackgroundTasks)) for value in values.values()
    ):
        return False
    if written is not None and (written.status_code or written.headers.raw):
        return False
    waiting = [getattr(request.scope.get("route"), "dependant", None)]
    while waiting:
        dependant = waiting.pop()
        if dependant is None or getattr(dependant, "response_param_name", None) not in (None, RESPONSE):
            return False
        waiting += dependant.dependencies
    return True


def _address(request: Any) -> tuple[Any, ...]:
    asked = tuple(sorted(request.query_params.multi_items()))
    return request.url.scheme, request.headers.get("host", ""), request.url.path, asked


def _about(request: Any, values: Mapping[str, Any]) -> tuple[Any, ...]:
    attached = getattr(request.state, "_state", {})  # by middleware and dependencies
    named = [*sorted(values.items()), *((f"state {name}", value) for name, value in sorted(attached.items()))]
    return tuple((name, _told(value)) for name, value in named)


def _is_data(value: Any) -> bool:
    """Whether all of a value counts: a model that is no row, of which a key may have named a part."""
    return isinstance(value, BaseModel) and not hasattr(type(value), "__table__")


def _is_tellable(entry: Any, value: Any) -> bool:
    try:
        entry.slot({"_about": _told(value)})
    except (TypeError, RecursionError):
        return False
    return True


def _told(value: Any) -> Any:
    """A value as a part of the key. What it leaves as it is, the entry takes exactly, or refuses with a TypeError."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        return name, value.value if isinstance(value, enum.Flag) else value.name
    if isinstance(value, BaseModel):
        hidden = {n: getattr(value, n, None) for n in getattr(value, "__private_attributes__", ())}
        extra = getattr(value, "__pydantic_extra__", None)
        given = getattr(value, "__pydantic_fields_set__", None)
        given = value.__fields_set__ if given is None else given
        return name, _told(dict(vars(value))), _told(hidden), _told(extra), sorted(given)
    if kind is dict:
        return {_told(n): _told(item) for n, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind([_told(item) for item in value])
    if kind is datetime.datetime and type(value.tzinfo).__module__ in FIXED_ZONES:
        return value.isoformat(), value.fold, str(value.tzinfo)
    bases = {base.__name__ for base in kind.__mro__ if base.__module__.split(".")[0] == "sqlalchemy"}
    if bases & (SESSIONS | ENGINES):
        bind = value.bind if bases & SESSIONS else value
        engine = getattr(bind, "engine", bind)
        options = bind.get_execution_options() if hasattr(bind, "get_execution_options") else {}
        info = value.info if bases & SESSIONS else {}
        return name, repr(getattr(engine, "url", None)), _told(dict(options)), _told(dict(info))
    return value


async def _response(request: Any, result: Any, written: Any) -> Any:
    """What FastAPI makes of an endpoint's result, and of what was written into the injected response."""
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
    status = getattr(written, "status_code", None) or route.status_code
    response = kind(content, status_code=status) if status else kind(content)
    if not is_body_allowed_for_status_code(response.status_code):
        response.body = b""
    if written is not None:
        response.headers.raw.extend(written.headers.raw)
    return response


def _listed(response: Any, name: str) -> list[str]:
    """What a header lists, in all its lines."""
    parts = ",".join(response.headers.getlist(name)).split(",")
    return [part.strip() for part in parts if part.strip()]


def _stored(response: Any) -> dict[str, Any]:
    if response.status_code != 200:
        raise _NotStored(f"status {response.status_code}")
    if not hasattr(response, "body"):
        raise _NotStored("streamed")
    if response.background is not None:
        raise _NotStored("has something to do afterwards")
    if "set-cookie" in response.headers:
        raise _NotStored("sets a cookie")
    control = {part.lower().partition("=")[0].strip() for part in _listed(response, "Cache-Control")}
    if control & {"no-store", "private"}:
        raise _NotStored("the endpoint forbids it")
    unknown = {name.lower() for name in _listed(response, "Vary")} - TOLD_VARY
    if unknown:
        raise _NotStored(f"varies on {', '.join(sorted(unknown))}")
    headers = [[name, value] for name, value in response.headers.items() if name not in NOT_STORED]
    try:
        body: Any = response.body.decode()
    except UnicodeDecodeError:
        body = response.body
    return {"body": body, "headers": headers}


def _restored(stored: Mapping[str, Any]) -> Response:
    response = Response(stored["body"])
    for name, value in stored["headers"]:
        response.headers.append(name, value)
    return response


def _skipped(entry: Any, own: Mapping[str, object], refusal: Exception, response: Any) -> Any:
    with contextlib.suppress(TypeError):  # a key that cannot be stored has been told already
        entry.skipped(entry.slot(own), str(refusal))
    return response
