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

from web_origin import NO_EVIDENCE, Answer, Origin, eventually

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import cloudflare, nginx
from cache_strategy.model.contract import Contract
from servers import free_port

DOOR = Path(__file__).with_name("worker_door.mjs")
NGINX = (
    shutil.which("nginx")
    or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    or "nginx (apt-get install it)"
)
NODE = shutil.which("node") or "node (18 or newer; install it)"


def emitted(target: ModuleType, contract: Contract, repo: Path) -> str:
    draft = Draft(repo)
    target.target.emit(contract, NO_EVIDENCE, draft)
    (change,) = draft.changes()
    assert change.path == target.PATH
    return change.after


class Response:
    """What a client got."""

    def __init__(self, status: int, headers: Message, body: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.control = headers.get_all("Cache-Control")


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
        self.process.terminate()
        self.process.wait(20)
        self.origin.stop()

    process: subprocess.Popen[str]


def nginx_with(contract: Contract, folder: Path, application_port: int, port: int) -> list[str]:
    """The command of an nginx with the emitted file, whose three places are set as it tells its user to."""
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
    bodies = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in bodies)
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} worker_processes 1; pid {folder}/pid; daemon off;\n"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/nginx-cache.conf; }}\n"
    )
    return [NGINX, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


class Nginx(Front):
    def __init__(self, folder: Path, contract: Contract) -> None:
        super().__init__()
        self.port = free_port()
        self.process = subprocess.Popen(nginx_with(contract, folder, self.origin.port, self.port), text=True)
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self.process.poll() is None, "nginx does not start"
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


class Worker(Front):
    """Cloudflare's own cache has a stand-in, see worker_door.mjs."""

    def __init__(self, folder: Path, contract: Contract, *, cache: bool = True) -> None:
        super().__init__()
        file = folder / "worker.mjs"
        file.write_text(emitted(cloudflare, contract, folder))
        command = [NODE, str(DOOR), str(file), f"http://127.0.0.1:{self.origin.port}", *["cache"] * cache]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, path: str, method: str, headers: dict[str, str]) -> Response:
        assert self.process.stdin and self.process.stdout
        request = json.dumps({"method": method, "path": path, "headers": headers})
        print(request, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        said = Message()
        for name, value in answer["headers"]:
            said[name] = value
        return Response(answer["status"], said, answer["body"])
