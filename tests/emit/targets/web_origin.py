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
NO_EVIDENCE = Evidence(
    repo="", commit="", frameworks=(), orms=(), files=0, lines=0, seconds=0, unread=(), endpoints=(), candidates=(),
    rejected=(),
)  # fmt: skip
APPLICATION = ContractApplication(
    framework="flask", package="shop", package_path="shop", factory="", instance="", database="", session=""
)


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
    cookie: str = ""


class Origin:
    """
    Serves `answers` by path on a free port of 127.0.0.1; anything else is a 404.

    A request whose If-None-Match is the answer's ETag gets a 304. `before` is called ahead of each answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.before: Callable[[], object] = lambda: None
        handle = self.handle

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def handle(self) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer_request(request: BaseHTTPRequestHandler) -> None:
            request.rfile.read(int(request.headers.get("Content-Length") or 0))
            self.asked.append(Asked(request.command, request.path, request.headers))
            number = len(self.asked)
            self.before()
            answer = self.answers.get(request.path) or Answer(status=404)
            etag = answer.headers.get("ETag")
            is_known = etag is not None and request.headers.get("If-None-Match") == etag
            body = b"" if is_known else (answer.body or f"answer {number}").encode()
            request.send_response_only(304 if is_known else answer.status)
            headers = {"Date": request.date_time_string(), **answer.headers}
            headers.update({"Set-Cookie": answer.cookie} if answer.cookie else {})
            headers.update({} if is_known else {"Content-Length": str(len(body))})
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(b"" if request.command == "HEAD" else body)

        return answer_request

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def eventually(condition: Callable[[], T], seconds: float = 20) -> T:
    """Asks until it holds: for what happens at a time of its own, such as a server being tried again."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.02)
    return found


def contract_with(
    *cdn: str,
    redis: Redis | None = None,
    static: StaticAssets | None = StaticAssets(),  # noqa: B008 (frozen)
) -> Contract:
    """A contract without entries, for the targets that read the infrastructure only."""
    infrastructure = Infrastructure(redis=redis or Redis(), cdn=cdn, static=static)  # type: ignore[arg-type]  # any name
    return Contract(application=APPLICATION, infrastructure=infrastructure, entries=())
