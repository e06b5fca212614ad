"""A real web application for tests of what stands in front of one: it answers as it is told and notes who asked."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

from cache_strategy.model.contract import Contract, ContractApplication, Infrastructure, Redis, StaticAssets
from cache_strategy.model.evidence import Evidence

T = TypeVar("T")
Headers = tuple[tuple[str, str], ...]
STATIC = StaticAssets()


@dataclass
class Asked:
    """One request that reached the application."""

    method: str
    path: str
    headers: http.client.HTTPMessage


@dataclass
class Answer:
    """One response. `body` "" stands for a body that is new each time."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    body: str = ""
    more_headers: Headers = ()


class Origin:
    """
    Serves `answers` by path on a free port of 127.0.0.1; anything else is a 404.

    A request whose If-None-Match is the answer's ETag gets a 304. `before` is called ahead of each answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.before: Callable[[Asked], None] = lambda asked: None
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                origin.handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        asked = Asked(request.command, request.path, request.headers)
        self.asked.append(asked)
        number = len(self.asked)
        self.before(asked)
        answer = self.answers.get(request.path) or Answer(status=404)
        etag = answer.headers.get("ETag")
        is_known = etag is not None and request.headers.get("If-None-Match") == etag
        body = b"" if is_known else (answer.body or f"answer {number}").encode()
        request.send_response_only(304 if is_known else answer.status)
        headers = {"Date": request.date_time_string(), **answer.headers}
        for name, value in (*headers.items(), *answer.more_headers):
            request.send_header(name, value)
        if not is_known:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def eventually(condition: Callable[[], T], seconds: float = 20) -> T:
    """Asks until it holds: for what happens at a time of its own, such as a server being tried again."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.02)


def contract_with(
    *cdn: str,
    namespace: str = "shop",
    static: StaticAssets | None = STATIC,
    redis: Redis | None = None,
) -> Contract:
    """A contract without entries, for the targets that read the infrastructure only."""
    return Contract(
        application=ContractApplication(
            framework="flask",
            package="shop",
            package_path="shop",
            factory="",
            instance="",
            database="",
            session="",
        ),
        infrastructure=Infrastructure(
            redis=redis or Redis(namespace=namespace),
            cdn=cdn,  # type: ignore[arg-type]  # a test may name one that does not exist
            static=static,
        ),
        entries=(),
    )


def no_evidence() -> Evidence:
    return Evidence(
        repo="", commit="", frameworks=(), orms=(), files=0, lines=0, seconds=0, unread=(), endpoints=(),
        candidates=(), rejected=(),
    )  # fmt: skip
