"""What may stand in front of a web application: a real nginx, or the Worker in Node, each with the emitted file."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from email.message import Message
from pathlib import Path
from types import ModuleType

from web_origin import Answer, Origin, eventually, no_evidence

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import cloudflare, nginx
from cache_strategy.model.contract import Contract
from servers import free_port

DOOR = Path(__file__).with_name("worker_door.mjs")


def emitted(target: ModuleType, contract: Contract, repo: Path) -> str:
    draft = Draft(repo)
    target.target.emit(contract, no_evidence(), draft)
    (change,) = draft.changes()
    assert change.path == target.PATH
    return change.after


class Response:
    """What a client got."""

    def __init__(self, status: int, headers: Message, body: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def control(self) -> list[str] | None:
        """Every Cache-Control header."""
        return self.headers.get_all("Cache-Control")


class Front:
    """An application and what stands before it. Every path gets the test's own folder before its last part."""

    folder = ""

    def __init__(self) -> None:
        self.origin = Origin()

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
        return self.send(self._place(path), method, named)

    def send(self, path: str, method: str, headers: dict[str, str]) -> Response:
        raise NotImplementedError

    def stop(self) -> None:
        self.origin.stop()


def nginx_binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found, "nginx is not installed. Install it: apt-get install nginx-light"
    return found


def set_up_nginx(contract: Contract, folder: Path, application_port: int, port: int) -> Path:
    """The three places that the file names as its user's to set, and an nginx.conf around it."""
    text = emitted(nginx, contract, folder / "repository")
    places = {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{application_port};",
        "proxy_cache_path /var/cache/nginx/": f"proxy_cache_path {folder}/kept_",
        "listen 80;": f"listen 127.0.0.1:{port};",
    }
    for place, ours in places.items():
        assert text.count(place) == 1
        text = text.replace(place, ours)
    (folder / "nginx-cache.conf").write_text(text)
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(
        f"{user} worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/nginx-cache.conf; }}\n"
    )
    return main


class Nginx(Front):
    def __init__(self, folder: Path, contract: Contract) -> None:
        super().__init__()
        self.port = free_port()
        main = set_up_nginx(contract, folder, self.origin.port, self.port)
        self._process = subprocess.Popen([nginx_binary(), "-p", str(folder), "-c", str(main)])
        eventually(lambda: self._listens(folder))

    def _listens(self, folder: Path) -> bool:
        assert self._process.poll() is None, (folder / "error.log").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, path: str, method: str, headers: dict[str, str]) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        super().stop()


class Worker(Front):
    """Cloudflare's own cache has a stand-in, see worker_door.mjs."""

    def __init__(self, folder: Path, contract: Contract, *, cache: bool = True) -> None:
        super().__init__()
        node = shutil.which("node")
        assert node, "node is not on PATH. Install Node 18 or newer"
        file = folder / "worker.mjs"
        file.write_text(emitted(cloudflare, contract, folder))
        place = f"http://127.0.0.1:{self.origin.port}"
        self._process = subprocess.Popen(
            [node, str(DOOR), str(file), place, *(["cache"] if cache else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, path: str, method: str, headers: dict[str, str]) -> Response:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = json.dumps({"method": method, "path": path, "headers": headers})
        print(request, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the Worker failed; Node says why above"
        answer = json.loads(line)
        said = Message()
        for name, value in answer["headers"]:
            said[name] = value
        return Response(answer["status"], said, answer["body"])

    def stop(self) -> None:
        self._process.communicate(timeout=20)
        super().stop()
