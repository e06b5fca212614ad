"""A real web application that answers as it is told and notes who asked, and a real nginx with the emitted file before it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import nginx
from cache_strategy.model.contract import Contract, ContractApplication, Infrastructure, Redis, StaticAssets
from cache_strategy.model.evidence import Evidence
from servers import free_port

T = TypeVar("T")
NGINX = (
    shutil.which("nginx")
    or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    or "nginx (apt-get install it)"
)
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

    A request whose If-None-Match is the answer's ETag gets a 304.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        handle = self._handle

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append(Asked(request.command, request.path, request.headers))
        number = len(self.asked)
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


def emitted(contract: Contract, repo: Path) -> str:
    draft = Draft(repo)
    nginx.target.emit(contract, NO_EVIDENCE, draft)
    (change,) = draft.changes()
    assert change.path == nginx.PATH
    return change.after


class Response:
    def __init__(self, status: int, headers: Message, body: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.control = headers.get_all("Cache-Control")


def nginx_with(contract: Contract, folder: Path, application_port: int, port: int) -> list[str]:
    """The command of an nginx with the emitted file, whose three places are set as it tells its user to."""
    text = emitted(contract, folder / "repository")
    places = {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{application_port};",
        "proxy_cache_path /var/cache/nginx/": f"proxy_cache_path {folder}/kept_",
        "listen 80;": f"listen 127.0.0.1:{port};",
    }
    for place, ours in places.items():
        assert text.count(place) == 1
        text = text.replace(place, ours)
    (folder / "nginx-cache.conf").write_text(text)
    bodies = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in bodies)
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} worker_processes 1; pid {folder}/pid; daemon off;\n"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/nginx-cache.conf; }}\n"
    )
    return [NGINX, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


class Site:
    """An application behind nginx. Every path gets the test's own folder before its last part."""

    folder = ""

    def __init__(self, folder: Path, contract: Contract) -> None:
        self.origin = Origin()
        self.port = free_port()
        self._process = subprocess.Popen(nginx_with(contract, folder, self.origin.port, self.port))
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self._process.poll() is None, "nginx does not start"
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _place(self, path: str) -> str:
        top, _, name = path.rpartition("/")
        return f"{top}{self.folder}/{name}"

    def serve(self, path: str, answer: Answer) -> None:
        self.origin.answers[self._place(path)] = answer

    def times_asked(self, path: str) -> int:
        return sum(asked.path == self._place(path) for asked in self.origin.asked)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Response:
        """The answer to a request, with headers as `Accept_Language`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, self._place(path), headers=named)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self.origin.stop()
