"""What an ASGI application is asked and sends."""

from __future__ import annotations

from typing import Any

from .journal import Journal
from .requests import cookies_in


class Sending:
    """The `send` of a request, which counts what passes."""

    def __init__(self, journal: Journal, send: Any) -> None:
        self._send, self._hash = send, journal.hash()
        self.status, self.size = 500, 0
        self.cookies: list[str] = []

    async def __call__(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.cookies = cookies_in(message.get("headers") or ())
        elif kind == "http.response.body":
            body = message.get("body", b"")
            self.size += len(body)
            self._hash.update(body)
        await self._send(message)

    def digest(self) -> str:
        return "" if self.status == 304 else self._hash.hexdigest()


def headers_of(scope: Any) -> tuple[str, dict[str, str]]:
    """The header Authorization, and the cookies."""
    header, cookies = "", {}
    for name, value in scope.get("headers") or ():
        if name == b"authorization":
            header = value.decode("latin-1")
        elif name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, text = part.strip().partition("=")
                cookies[key] = text
    return header, cookies
