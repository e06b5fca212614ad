"""
Any other WSGI or ASGI application, at the server that runs it: gunicorn, waitress, wsgiref, uvicorn, hypercorn.

A framework that is watched itself notes the request, and this notes nothing. Without a framework the route is not known: of the
path only its first part is kept in the clear.
"""

from __future__ import annotations

import inspect
import time
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from ..asgi import Sending, headers_of
from ..databases import named_as
from ..frames import UserCode
from ..journal import Journal, Request, begin_request, current_request, end_request
from ..requests import cookies_in, key_of, user_of, write_down

MODULE = "gunicorn.app.base waitress.server wsgiref.handlers uvicorn.config hypercorn.app_wrappers"


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the application where a server takes it."""
    server: Any = module
    name = module.__name__
    if name == "gunicorn.app.base":
        load = server.BaseApplication.wsgi
        server.BaseApplication.wsgi = named_as(lambda self: _watched(load(self), journal), load)
    elif name == "waitress.server":
        create = server.create_server
        server.create_server = named_as(
            lambda application, *a, **k: create(_watched(application, journal), *a, **k), create
        )
    elif name == "wsgiref.handlers":
        run = server.BaseHandler.run
        server.BaseHandler.run = named_as(
            lambda self, application: run(self, _watched(application, journal)), run
        )
    elif name == "uvicorn.config":
        original = server.Config.load

        def load_and_watch(self: Any) -> None:
            original(self)
            self.loaded_app = _watched(self.loaded_app, journal)

        server.Config.load = named_as(load_and_watch, original)
    else:
        for kind in (server.ASGIWrapper, server.WSGIWrapper):
            kind.__init__ = _taking(kind.__init__, journal)


def _taking(original: Any, journal: Journal) -> Any:
    def __init__(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, _watched(app, journal), *args, **kwargs)

    return named_as(__init__, original)


def _watched(application: Any, journal: Journal) -> Any:
    if isinstance(application, (_Wsgi, _Asgi)):
        return application
    function = application if inspect.isroutine(application) else type(application).__call__
    try:
        many = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    except (TypeError, ValueError):
        many = []
    is_asgi = inspect.iscoroutinefunction(function) or [name for name in many if name != "self"][:1] == [
        "scope"
    ]
    return (_Asgi if is_asgi else _Wsgi)(application, journal)


class _Around:
    """Everything else about the application is its own."""

    def __init__(self, application: Any, journal: Journal) -> None:
        self._application, self._journal = application, journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)


class _Wsgi(_Around):
    def __call__(self, environ: Any, start_response: Any) -> Any:
        answer = _Answer(self._journal, environ, start_response)
        try:
            body = self._application(environ, answer.start)
        except BaseException:
            answer.close()
            raise
        return answer.over(body)


class _Answer:
    """The answer of one WSGI request, noted when the server closes it."""

    def __init__(self, journal: Journal, environ: Any, start_response: Any) -> None:
        self._journal, self._environ, self._start = journal, environ, start_response
        self._counted = _begun()
        self._token = begin_request(self._counted)
        self._began, self._clock = time.monotonic(), time.perf_counter()
        self._status, self._size, self._hash = 500, 0, journal.hash()
        self._cookies: list[str] = []
        self._body: Any = ()
        self._is_open = True

    def start(self, status: str, headers: Any, *more: Any) -> Any:
        self._status = int(status[:3])
        self._cookies = cookies_in(headers)
        return self._start(status, headers, *more)

    def over(self, body: Any) -> Any:
        """The body itself where a server knows how to send it from a file, or where a framework has noted it."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        if self._counted.is_answered or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            self._size = -1
            self.close()
            return body
        self._body = body
        return self

    def __iter__(self) -> Any:
        for part in self._body:
            self._size += len(part)
            self._hash.update(part)
            yield part

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        try:
            getattr(self._body, "close", lambda: None)()
        finally:
            if self._is_open:
                self._is_open = False
                seconds = time.perf_counter() - self._clock
                try:
                    end_request(self._token)
                except ValueError:  # closed by another task than began it
                    begin_request(None)
                if not self._counted.is_answered:
                    self._note(seconds)

    def _note(self, seconds: float) -> None:
        environ = self._environ
        path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
        self._counted.group = f"{environ.get('REQUEST_METHOD', 'GET')} {_template(path)}"
        header, cookies = headers_of(
            {
                "headers": [
                    (b"authorization", environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")),
                    (b"cookie", environ.get("HTTP_COOKIE", "").encode("latin-1")),
                ]
            }
        )
        write_down(
            self._journal, self._counted, self._began, seconds,
            key=_key(self._journal, path, environ.get("QUERY_STRING", "")),
            user=user_of(self._journal, None, header, cookies),
            status=self._status, size=None if self._size < 0 else self._size,
            digest=self._hash.hexdigest() if self._size > 0 and self._status != 304 else "", cookies=self._cookies,
        )  # fmt: skip


class _Asgi(_Around):
    async def __call__(self, scope: Any, receive: Any, send: Any, *more: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send, *more)
            return
        counted, sending = _begun(), Sending(self._journal, send)
        token, began, clock = begin_request(counted), time.monotonic(), time.perf_counter()
        try:
            await self._application(scope, receive, sending, *more)
        finally:
            seconds = time.perf_counter() - clock
            end_request(token)
            if not counted.is_answered:
                counted.group = f"{scope['method']} {_template(scope['path'])}"
                header, cookies = headers_of(scope)
                write_down(
                    self._journal, counted, began, seconds,
                    key=_key(self._journal, scope["path"], scope.get("query_string", b"").decode("latin-1")),
                    user=user_of(self._journal, None, header, cookies), status=sending.status,
                    size=sending.size, digest=sending.digest(), cookies=sending.cookies,
                )  # fmt: skip


def _begun() -> Request:
    """A request; where servers lie in one another the inner one counts."""
    outer = current_request()
    if outer is not None:
        outer.is_answered = True
    return Request("")


def _template(path: str) -> str:
    """The first part of a path and how many follow: further ones may be somebody's name."""
    first, *others = [part for part in path.split("/") if part] or [""]
    named = (
        first
        if first.replace("-", "").replace("_", "").isalpha() and len(first) <= 30
        else "{…}"
        if first
        else ""
    )
    return "/" + "/".join([named, *("{…}" for _ in others)])


def _key(journal: Journal, path: str, query: str) -> str:
    return key_of(journal, {"path": path}, sorted(parse_qsl(query, keep_blank_values=True)) if query else ())
