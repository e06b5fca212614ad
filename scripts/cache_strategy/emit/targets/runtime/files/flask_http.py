"""
Caches the answers of Flask endpoints, tells browsers and proxies how to keep them, shows what the caches do.

    @bp.get("/products/<int:product_id>")          # the route, then guards,
    @http_headers("public, max-age=60")            # then the headers,
    @cached_endpoint(product_page)                 # then the cache,
    @marshal_with(ProductSchema)                   # then whatever makes the answer
    def product(product_id): ...

An answer is stored only if another caller with the same key could get the very same: status 200, nothing streamed, no
cookie, no change of the session, nothing registered to run after this request, not `private` by its own word, and no
look into the session that the key did not take as well. Who has a flashed message waiting is answered by the view; to
all others a page that would show them is the same. Works with Flask 1.1 to 3.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import flask
from flask import Blueprint, Response, current_app, request

from .runtime import Cache, Entry

if TYPE_CHECKING:
    from .statements import Before, Statements

F = TypeVar("F", bound="Callable[..., Any]")

# They belong to one transfer of the answer, not to the answer.
NOT_STORED = frozenset(
    "age connection content-length date keep-alive server set-cookie transfer-encoding upgrade via".split()
)
VARY = frozenset("accept accept-encoding accept-language".split())
VARY_BY_CALLER = frozenset("authorization cookie".split())
FLASHES = "_flashes"  # flask.flash keeps them under this name of the session
USER_IN_SESSION = ("user_id", "_user_id", "uid", "user")  # assumed: how applications call the logged-in user


def cached_endpoint(
    entry: Entry,
    key: Callable[..., Mapping[str, object]] | None = None,
    statements: Statements | None = None,
) -> Callable[[F], F]:
    """
    Decorator for a view: serves GET requests from `entry`.

    Args:
        key: takes the parameters of the route by name, gives the parts of the key: everything that the answer depends
            on. Without it, the parameters of the route and all query arguments.
        statements: what its SELECTs gave is kept there.
    """
    get = entry.get_or_compute
    if statements is not None:
        get = functools.partial(statements.get_or_compute, entry)
        statements.request = functools.partial(_request_so_far, statements.begun)

    def decorate(view: F) -> F:
        @functools.wraps(view)
        def cached(*args: Any, **parameters: Any) -> Any:
            if request.method != "GET" or _has_body() or not entry.cache.is_on or _is_flashed():
                return view(*args, **parameters)
            with _SessionWatch() as key_watch:
                parts = {**parameters, "query": query_arguments()} if key is None else key(**parameters)
            made: list[Response] = []

            def compute() -> dict[str, Any]:
                registered = len(_run_after_this_request())
                with _SessionWatch() as watch:
                    response = current_app.make_response(view(*args, **parameters))
                made.append(response)
                reason = _why_not_stored(response) or _reserved(response, key_watch.reads)
                foreign = watch.reads - key_watch.reads - {FLASHES}
                if watch.has_changed:
                    reason = "the view changed the session"
                elif foreign:
                    reason = f"the view reads {sorted(foreign)} of the session, the key does not"
                elif len(_run_after_this_request()) > registered:
                    reason = "the view registered a function to run after this request"
                if reason:
                    raise _NotStored(reason)
                kept = [[name, value] for name, value in response.headers if name.lower() not in NOT_STORED]
                told = {"body": _text(response.get_data()), "headers": kept}
                return {**told, "session": True} if FLASHES in watch.reads else told

            try:
                stored = get(parts, compute)
            except _NotStored as refusal:
                with contextlib.suppress(TypeError):  # a key that cannot be stored has been told already
                    entry.skipped(entry.slot(parts), str(refusal))
                return made[-1]
            if made:
                return made[-1]
            if "session" in stored:  # the view looks into it, too: Vary and what else hangs on that
                flask.session.get(FLASHES)
            headers = list(map(tuple, stored["headers"]))
            return current_app.response_class(stored["body"], status=200, headers=headers)

        return cast(F, cached)

    return decorate


def http_headers(cache_control: str = "", vary: Iterable[str] = (), etag: bool = True) -> Callable[[F], F]:
    """
    Decorator for a view: Cache-Control, Vary and ETag, and 304 for who has the answer already.

    What the view said itself is kept. `public` becomes `private` in an answer that sets a cookie, or for which the
    session was read.

    Args:
        cache_control: for answers with status 200, as sent.
        vary: names of headers to add to Vary.
        etag: a strong one, from the body.
    """

    def decorate(view: F) -> F:
        @functools.wraps(view)
        def with_headers(*args: Any, **parameters: Any) -> Any:
            if request.method not in ("GET", "HEAD"):
                return view(*args, **parameters)
            with _SessionWatch() as watch:
                response = current_app.make_response(view(*args, **parameters))
            for name in vary:
                response.vary.add(name)
            if watch.reads or watch.has_changed:
                response.vary.add("Cookie")  # before 2.3 Flask forgets it where the session is empty
            if response.status_code != 200:
                return response
            if cache_control and "Cache-Control" not in response.headers:
                response.headers["Cache-Control"] = cache_control
            if watch.reads or watch.has_changed or "Set-Cookie" in response.headers:
                response.headers["Cache-Control"] = _private(response.headers.get("Cache-Control", ""))
            if etag and not response.is_streamed and not response.direct_passthrough:
                if not response.headers.get("ETag"):
                    response.set_etag(hashlib.blake2b(response.get_data(), digest_size=16).hexdigest())
                response.make_conditional(request.environ)
            return response

        return cast(F, with_headers)

    return decorate


def query_arguments(*names: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Query arguments as a part of a key: all, or those named; each with all its values; their order left out."""
    chosen = names or sorted(request.args)
    return tuple((name, tuple(request.args.getlist(name))) for name in chosen)


def current_user_id() -> object:
    """Who is logged in, as a part of a key, by Flask-Login, Flask-JWT-Extended, or the session; None for nobody."""
    if hasattr(current_app, "login_manager"):
        return importlib.import_module("flask_login").current_user.get_id()
    if "flask-jwt-extended" in current_app.extensions:
        return importlib.import_module("flask_jwt_extended").get_jwt_identity()
    users = (flask.session.get(name) for name in USER_IN_SESSION)
    return next((user for user in users if user is not None), None)


def metrics_blueprint(cache: Cache, route: str = "/metrics/cache") -> Blueprint:
    """What the caches of this process do: JSON, or Prometheus text for ?format=prometheus or Accept: text/plain."""
    blueprint = Blueprint("cache_metrics", __name__)

    def metrics() -> Response:
        wants = request.accept_mimetypes.best_match(["application/json", "text/plain"])
        if request.args.get("format", wants) in ("prometheus", "text/plain"):
            text, kind = cache.metrics_prometheus(), "text/plain; version=0.0.4; charset=utf-8"
            response = current_app.response_class(text, content_type=kind)
        else:
            response = flask.jsonify(mode=cache.mode, **cache.state(), entries=cache.metrics())
        response.headers["Cache-Control"] = "no-store"
        return response

    blueprint.add_url_rule(route, "metrics", metrics)
    return blueprint


class _NotStored(Exception):
    """The answer was made, and is for this caller alone."""


class _SessionWatch:
    """
    What is looked up in the session, and whether it is changed, within a `with`.

    Not every session class notes its reads, so they are noted by what stands in its place meanwhile.
    """

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.has_changed = False
        self._context = _request_context()
        # Flask 3.1 takes every use of `flask.session` for a read
        self._place = "_session" if hasattr(self._context, "_session") else "session"
        self._session: Any = getattr(self._context, self._place)
        self._before = (False, False)

    def __enter__(self) -> _SessionWatch:
        self._before = (self._flag("accessed"), self._flag("modified"))
        self._set(False, False)
        if self._session is not None:
            setattr(self._context, self._place, _NotedSession(self._session, self))
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self._context, self._place, self._session)
        self.has_changed = self.has_changed or self._flag("modified")
        self._set(bool(self.reads) or self._before[0], self.has_changed or self._before[1])

    def _flag(self, name: str) -> bool:
        return bool(getattr(self._session, name, False))

    def _set(self, accessed: bool, modified: bool) -> None:
        for name, value in (("accessed", accessed), ("modified", modified)):
            if hasattr(self._session, name) and getattr(self._session, name) != value:
                setattr(self._session, name, value)


class _NotedSession(MutableMapping):  # type: ignore[type-arg]  # Python 3.8 cannot subscript it
    """A session that tells a watch what is looked up in it; "*" for a look at all of it."""

    def __init__(self, session: Any, watch: _SessionWatch) -> None:
        self.__dict__.update(_session=session, _watch=watch)

    def __getitem__(self, name: str) -> Any:
        self._watch.reads.add(name)
        return self._session[name]

    def __contains__(self, name: object) -> bool:
        self._watch.reads.add(str(name))
        return name in self._session

    def __setitem__(self, name: str, value: Any) -> None:
        self._watch.has_changed = True
        self._session[name] = value

    def __delitem__(self, name: str) -> None:
        self._watch.has_changed = True
        del self._session[name]

    def __iter__(self) -> Iterator[str]:
        self._watch.reads.add("*")
        return iter(self._session)

    def __len__(self) -> int:
        self._watch.reads.add("*")
        return len(self._session)

    def __getattr__(self, name: str) -> Any:
        if name not in ("accessed", "modified", "new", "permanent"):
            self._watch.reads.add(f".{name}")
        return getattr(self._session, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._session, name, value)


def _has_body() -> bool:
    """A GET with a body: the view may read arguments from it that no key has."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _request_context() -> Any:
    known: Any = flask.globals
    if hasattr(known, "request_ctx"):  # Flask 2.2
        return known.request_ctx._get_current_object()
    return known._request_ctx_stack.top


def _is_flashed() -> bool:
    """Whether there is something to be told to this caller, once."""
    context = _request_context()
    session = getattr(context, "_session", None)
    session = flask.session if session is None else session
    while isinstance(session, _NotedSession):  # whoever watches is told when a page shows them
        session = vars(session)["_session"]
    told = getattr(context, "flashes", None) or getattr(context, "_flashes", None)
    return bool(told) or FLASHES in session


def _request_so_far(begun: Callable[[], Before]) -> Before | None:
    if not flask.has_request_context():
        return None
    so_far: Before = request.environ.setdefault("caching.before", begun())
    return so_far


def _run_after_this_request() -> list[Any]:
    return cast("list[Any]", getattr(_request_context(), "_after_request_functions", []))


def _why_not_stored(response: Response) -> str:
    if response.status_code != 200:
        return f"status {response.status_code}"
    if response.is_streamed or response.direct_passthrough:
        return "streamed"
    if "Set-Cookie" in response.headers:
        return "sets a cookie"
    if response.cache_control.no_store or "*" in response.vary:
        return "the view forbids it"
    return "has something to do when it is closed" if getattr(response, "_on_close", None) else ""


def _reserved(response: Response, known: set[str]) -> str:
    """Whom the view itself reserves an answer for, where the key knows so much of the session; "" for nobody."""
    control = ",".join(response.headers.getlist("Cache-Control")).lower().split(",")
    if any(part.strip().split("=")[0] == "private" for part in control):
        return "the view says it is private"
    names = {name.strip().lower() for name in ",".join(response.headers.getlist("Vary")).split(",")} - {""}
    foreign = sorted(names - VARY - (VARY_BY_CALLER if known & {*USER_IN_SESSION} else frozenset()))
    return f"the view says it varies by {foreign}, the key does not" if foreign else ""


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _private(cache_control: str) -> str:
    parts = [part.strip() for part in cache_control.split(",")]
    kept = [part for part in parts if part and part != "public" and not part.lower().startswith("s-maxage")]
    return ", ".join(kept if "private" in kept or "no-store" in kept else ["private", *kept])
