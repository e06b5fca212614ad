"""
Caches the answers of Django and REST framework views, tells browsers and proxies how to keep them, shows what the caches do.

    @http_headers("public, max-age=60")            # the headers, then
    @cached_endpoint(comments, key=comments_key)   # the cache, next to the view or to its method (`get`, `list`), below
    def comments(request, slug): ...               # whatever decides who may ask

On a class of views the decorator is for its `get`, or for the action that is named. An answer is stored only if another
caller with the same key could get the very same: status 200, nothing streamed, no cookie, no token against forgery, no
message shown, no change of the session, not `private` by its own word, and no look into the session or at who asks
(`request.user`, `request.auth`) unless the key looks there too. The address, the
language, the time zone, the kind of answer (JSON, say), the query, the view's own arguments and what
middleware has put on the request are part of every key.
Works with Django 2.2 to 6.1 and REST framework 3.11 and later.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import (
    get_conditional_response,
    has_vary_header,
    patch_cache_control,
    patch_vary_headers,
)
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from .runtime import Cache, Entry

if TYPE_CHECKING:
    from .statements import Statements

F = TypeVar("F", bound="Callable[..., Any]")
NOT_STORED = frozenset("content-length date set-cookie".split())
# What Django itself puts on a request; who asks is looked up where a key says so.
OWN = frozenset(vars(HttpRequest())) | frozenset(
    "environ scope session user csrf_processing_done urlconf path_info".split()
)
PLAIN = (str, bytes, int, float, bool, type(None), uuid.UUID)
TOKEN = ("CSRF_COOKIE_USED", "CSRF_COOKIE_NEEDS_UPDATE")
PAGES = ("text/html", "application/xhtml+xml")
# Where a request says who asks, and what of it (or of the session) tells one caller from another.
WHO = frozenset("user auser auth _user _auth successful_authenticator".split())
CALLER = frozenset("request.user request.auth _auth_user_id .session_key".split())
VARY = frozenset("accept accept-encoding accept-language".split())
VARY_BY_CALLER = frozenset("authorization cookie".split())


def cached_endpoint(
    entry: Entry,
    key: Callable[..., Mapping[str, object]] | None = None,
    action: str = "get",
    statements: Statements | None = None,
) -> Callable[[F], F]:
    """
    Decorator for a view: serves GET requests from `entry`.

    Args:
        key: takes the request and the parameters of the route by name, gives the parts of the key: what the answer
            depends on besides the module's list above.
        action: what of a class of views answers where the class has it, else its `get` does.
        statements: what its SELECTs gave is kept there; not under ASGI, where a request wanders between threads.
    """

    def decorate(view: F) -> F:
        if isinstance(view, type):
            name = action if callable(getattr(view, action, None)) else "get"
            setattr(view, name, decorate(cast("F", getattr(view, name))))
            return cast("F", view)
        if inspect.iscoroutinefunction(view):
            raise TypeError(f"{entry.name}: {view.__qualname__} is async; this cache is for plain views.")

        @functools.wraps(view)
        def cached(*args: Any, **parameters: Any) -> Any:
            request = _request_in(args)
            if request is None or not entry.cache.is_on or not _is_plain_get(request, args):
                return view(*args, **parameters)
            with _Watch(request) as looked:
                own = {} if key is None else dict(key(request, **parameters))
            own["_about"] = _about(request, args, parameters)
            made: list[Any] = []

            def compute() -> dict[str, Any]:
                with _Watch(request) as watch:
                    made.append(view(*args, **parameters))
                    reason = _rendered(made[0], request, args)
                reason = reason or watch.reason(looked.reads) or _reserved(made[0], looked.reads)
                if reason:
                    raise _NotStored(reason)
                headers = [[n, v] for n, v in made[0].items() if n.lower() not in NOT_STORED]
                return {"body": _text(made[0].content), "headers": headers}

            get = entry.get_or_compute
            if statements is not None and not hasattr(looked.request, "scope"):
                get = functools.partial(statements.get_or_compute, entry)
            try:
                stored = get(own, compute)
            except _NotStored as refusal:
                with contextlib.suppress(TypeError):  # a key that cannot be stored has been told already
                    entry.skipped(entry.slot(own), str(refusal))
                return made[0]
            if made:
                return made[0]
            response = HttpResponse(stored["body"])
            for name, value in stored["headers"]:
                response[name] = value
            return response

        return cast(F, cached)

    return decorate


def http_headers(
    cache_control: str = "", vary: Iterable[str] = (), etag: bool = True, action: str = "get"
) -> Callable[[F], F]:
    """
    Decorator for a view: Cache-Control, Vary and ETag, and 304 for who has the answer already.

    What the view said itself is kept. `public` becomes `private` in an answer that sets a cookie, or for which the
    session was read.
    """

    def decorate(view: F) -> F:
        if isinstance(view, type):
            name = action if callable(getattr(view, action, None)) else "get"
            setattr(view, name, decorate(cast("F", getattr(view, name))))
            return cast("F", view)

        @functools.wraps(view)
        def with_headers(*args: Any, **parameters: Any) -> Any:
            request = _request_in(args)
            if request is None or request.method not in ("GET", "HEAD"):
                return view(*args, **parameters)
            with _Watch(request) as watch:
                response = view(*args, **parameters)
                can_be_kept = not _rendered(response, request, args)
            if not isinstance(response, HttpResponseBase):
                return response
            is_private = bool(watch.reads) or bool(watch.reason(set()))
            patch_vary_headers(response, [*vary, *(["Cookie"] if is_private else [])])
            if response.status_code != 200:
                return response
            if cache_control and not response.has_header("Cache-Control"):
                response["Cache-Control"] = cache_control
            if is_private or response.cookies:
                response["Cache-Control"] = _private(response.get("Cache-Control", ""))
            if etag and can_be_kept:
                if not response.has_header("ETag"):
                    digest = hashlib.blake2b(response.content, digest_size=16).hexdigest()
                    response["ETag"] = f'"{digest}"'
                return get_conditional_response(request, response["ETag"], None, response)
            return response

        return cast(F, with_headers)

    return decorate


def query_arguments(request: Any, *names: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Query arguments as a part of a key: all, or those named; each with all its values; their order left out."""
    return tuple((name, tuple(request.GET.getlist(name))) for name in names or sorted(request.GET))


def metrics_view(cache: Cache) -> Callable[..., HttpResponse]:
    """What the caches of this process do: JSON, or Prometheus text for ?format=prometheus or Accept: text/plain."""

    def metrics(request: Any) -> HttpResponse:
        wants = request.GET.get("format") or request.META.get("HTTP_ACCEPT", "")
        if wants == "prometheus" or wants.startswith("text/plain"):
            kind = "text/plain; version=0.0.4; charset=utf-8"
            response = HttpResponse(cache.metrics_prometheus(), content_type=kind)
        else:
            response = JsonResponse({"mode": cache.mode, **cache.state(), "entries": cache.metrics()})
        patch_cache_control(response, no_store=True)
        return response

    return metrics


class _NotStored(Exception):
    """The answer was made, and is for this caller alone."""


class _Watch:
    """
    What is looked up in the session and of who asks, and whether the session, a token or a message is touched, within
    a `with`. Who asks may have been found out before: the look is noted, not the finding.
    """

    def __init__(self, request: Any) -> None:
        self.reads: set[str] = set()
        self.request = getattr(request, "_request", request)  # below REST framework's own
        self._both = [self.request] if request is self.request else [request, self.request]
        self._session = getattr(self.request, "session", None)
        self._was_changed = getattr(self._session, "modified", False)
        self._token: dict[str, Any] = {}
        self._is_touched = ""

    def __enter__(self) -> _Watch:
        meta = self.request.META
        self._token = {name: meta.pop(name) for name in TOKEN if name in meta}
        if self._session is not None:
            self.request.session = _NotedSession(self._session, self.reads)
        for each in self._both:
            notes = vars(each).setdefault("_cache_notes", [])
            if not notes:
                kind: Any = type(each)
                each.__class__ = _noting(kind)
            notes.append(self.reads)
        return self

    def __exit__(self, *_: object) -> None:
        meta, messages = self.request.META, getattr(self.request, "_messages", None)
        for each in self._both:
            notes = vars(each)["_cache_notes"]
            notes.pop()
            if not notes:
                each.__class__ = type(each).__mro__[1]
        if self._session is not None:
            self.request.session = self._session
        if getattr(self._session, "modified", False) and not self._was_changed:
            self._is_touched = "the view changed the session"
        elif any(name in meta for name in TOKEN):
            self._is_touched = "it holds a token against forgery"
        elif getattr(messages, "used", False) or getattr(messages, "added_new", False):
            self._is_touched = "it has to do with messages to one user"
        meta.update(self._token)

    def reason(self, known: set[str]) -> str:
        """Why the answer is for this caller alone, where the key knows so much of the session; "" if it is not."""
        foreign = sorted(self.reads - known)
        asker = [name for name in foreign if name.startswith("request.")]
        if self._is_touched or not foreign:
            return self._is_touched
        if asker == foreign:
            return f"the view looks at {' and '.join(asker)}, the key does not"
        return f"the view reads {[n for n in foreign if n not in asker]} of the session, the key does not"


@functools.lru_cache(maxsize=None)  # noqa: UP033  (Python 3.8)
def _noting(kind: Any) -> Any:
    """
    The class of a request that notes each look at who asks.

    Django puts its lazy user into the context of every template: there a use is the look.
    """

    def noted(self: Any, name: str) -> Any:
        found = kind.__getattribute__(self, name)
        if name not in WHO:
            return found
        watches = list(vars(self)["_cache_notes"])

        def look() -> Any:
            for reads in watches:
                reads.add("request." + name.lstrip("_"))
            return found

        is_lazy = name == "user" and found is not None and issubclass(kind, HttpRequest)
        return SimpleLazyObject(look) if is_lazy else look()

    return type(kind.__name__, (kind,), {"__getattribute__": noted, "__module__": kind.__module__})


class _NotedSession:
    """A session whose look-ups are noted; "*" for a look at all of it."""

    def __init__(self, session: Any, reads: set[str]) -> None:
        self.__dict__.update(_session=session, _reads=reads)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if name in ("get", "pop", "setdefault"):
            return lambda key, *more: (self._reads.add(str(key)), found(key, *more))[1]
        if name not in ("accessed", "modified", "save"):
            self._reads.add("*" if callable(found) else f".{name}")
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._session, name, value)

    def __getitem__(self, name: str) -> Any:
        self._reads.add(name)
        return self._session[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._session[name] = value

    def __delitem__(self, name: str) -> None:
        del self._session[name]

    def __contains__(self, name: str) -> bool:
        self._reads.add(name)
        return name in self._session


def _request_in(args: tuple[Any, ...]) -> Any:
    """The request: the first argument of a function, the second of a method."""
    return next((each for each in args[:2] if hasattr(each, "META") and hasattr(each, "GET")), None)


def _about(request: Any, args: tuple[Any, ...], parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    view = args[0] if args[0] is not request else None
    renderer = getattr(request, "accepted_media_type", None)
    return (
        request.scheme,
        request.get_host(),
        translation.get_language(),
        timezone.get_current_timezone_name() if settings.USE_TZ else "",
        str(renderer or ""),
        query_arguments(request),
        _attached(getattr(request, "_request", request)),
        f"{type(view).__module__}.{type(view).__qualname__}.{getattr(view, 'action', '')}" if view else "",
        tuple(sorted((str(name), _plain(value)) for name, value in parameters.items())),
        tuple(_own_attributes(view)),
    )


def _attached(request: Any) -> tuple[Any, ...]:
    """What middleware and decorators have put on the request for the view: plain data, and rows by their keys."""
    found = []
    for name, value in sorted(vars(request).items()):
        if name in OWN or name.startswith("_"):
            continue
        if isinstance(value, Model):
            found.append((name, value._meta.label, str(value.pk)))
        elif isinstance(value, PLAIN):
            found.append((name, type(value).__name__, str(value)))
    return tuple(found)


def _own_attributes(view: Any) -> Iterable[tuple[str, str]]:
    """What `as_view()` gave a view, by which two of one class differ."""
    match = getattr(getattr(view, "request", None), "resolver_match", None)
    given = getattr(getattr(match, "func", None), "view_initkwargs", None) or getattr(
        getattr(match, "func", None), "initkwargs", {}
    )
    return ((name, repr(value)) for name, value in sorted(given.items()))


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, bool, type(None))) else repr(value)


def _is_plain_get(request: Any, args: tuple[Any, ...]) -> bool:
    """
    Whether the key can hold all of a request: no body, no part of the address without a name.

    A page of REST framework's browsable API shows forms for who asks.
    """
    if request.method != "GET" or len(args) > (1 if args[0] is request else 2):
        return False
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in request.META:
        return False
    renderer = getattr(request, "accepted_renderer", None)
    return renderer is None or not str(renderer.media_type).startswith(PAGES)


def _rendered(response: Any, request: Any, args: tuple[Any, ...]) -> str:
    """Why an answer cannot be kept; "" for one that can, which has its content now."""
    if not isinstance(response, HttpResponseBase):
        return "is no response"
    if response.status_code != 200:
        return f"status {response.status_code}"
    if response.streaming:
        return "streamed"
    if response.cookies:
        return "sets a cookie"
    control = response.get("Cache-Control", "").lower().split(",")
    if "no-store" in map(str.strip, control) or has_vary_header(response, "*"):
        return "the view forbids it"
    if getattr(response, "_resource_closers", None):
        return "has something to do when it is closed"
    if not getattr(response, "is_rendered", True):
        renderer = getattr(request, "accepted_renderer", None)
        if renderer is not None and hasattr(response, "data"):
            response.accepted_renderer = renderer
            response.accepted_media_type = request.accepted_media_type
            response.renderer_context = args[0].get_renderer_context() if args[0] is not request else {}
        elif _changes_templates():
            return "a middleware changes pages before they are rendered"
        response.render()
    return ""


def _reserved(response: Any, known: set[str]) -> str:
    """Whom the view itself reserves an answer for, where the key knows so much of who asks; "" for nobody."""
    control = response.get("Cache-Control", "").lower().split(",")
    if any(part.strip().split("=")[0] == "private" for part in control):
        return "the view says it is private"
    names = {name.strip().lower() for name in response.get("Vary", "").split(",")} - {""}
    foreign = sorted(names - VARY - (VARY_BY_CALLER if known & CALLER else frozenset()))
    return f"the view says it varies by {foreign}, the key does not" if foreign else ""


@functools.lru_cache(maxsize=1)
def _changes_templates() -> bool:
    return any(hasattr(import_string(name), "process_template_response") for name in settings.MIDDLEWARE)


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _private(cache_control: str) -> str:
    parts = [part.strip() for part in cache_control.split(",")]
    kept = [part for part in parts if part and part != "public" and not part.lower().startswith("s-maxage")]
    return ", ".join(kept if "private" in kept or "no-store" in kept else ["private", *kept])
