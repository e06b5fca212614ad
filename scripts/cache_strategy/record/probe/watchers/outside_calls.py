"""Calls that leave the process besides the database: HTTP by urllib3 (requests), httpx, aiohttp, http.client; Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..databases import enter, is_inside, leave, named_as
from ..frames import UserCode
from ..journal import Journal, current_request

REDIS = "redis"
_METHODS: dict[str, list[tuple[str, str, bool, Callable[..., Any]]]] = {
    "urllib3.connectionpool": [("HTTPConnectionPool", "urlopen", False, lambda pool, *_: pool.host)],
    "http.client": [
        ("HTTPConnection", "connect", False, lambda connection, *_: connection.host),
        ("HTTPConnection", "getresponse", False, lambda connection, *_: connection.host),
    ],
    "httpx._client": [
        ("Client", "send", False, lambda _, request, *__: request.url.host),
        ("AsyncClient", "send", True, lambda _, request, *__: request.url.host),
    ],
    "aiohttp.client": [
        (
            "ClientSession",
            "_request",
            True,
            lambda _, method, url, *__: getattr(url, "host", "") or str(url).split("/")[2].rpartition("@")[2],
        )
    ],
    "redis.client": [
        ("Redis", "execute_command", False, lambda *_: REDIS),
        ("Pipeline", "execute", False, lambda *_: REDIS),
    ],
    "redis.asyncio.client": [
        ("Redis", "execute_command", True, lambda *_: REDIS),
        ("Pipeline", "execute", True, lambda *_: REDIS),
    ],
}
"""By module: class, method, whether it is a coroutine, and the host from its arguments."""
MODULE = " ".join(_METHODS)


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps what sends; a call within another, such as a connection's within its pool's, counts once."""
    for owner, method, is_async, host_of in _METHODS[module.__name__]:
        kind = getattr(module, owner, None)
        original = getattr(kind, method, None)
        if original is not None:
            setattr(kind, method, (_wrapped_async if is_async else _wrapped)(original, host_of))


def _wrapped(original: Any, host_of: Callable[..., Any]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        request = current_request()
        if request is None or is_inside():
            return original(*args, **kwargs)
        token, clock = enter(True), time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            leave(token)
            request.add_outside(_host(host_of, args), time.perf_counter() - clock)

    return named_as(call, original)


def _wrapped_async(original: Any, host_of: Callable[..., Any]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        request = current_request()
        if request is None or is_inside():
            return await original(*args, **kwargs)
        token, clock = enter(True), time.perf_counter()
        try:
            return await original(*args, **kwargs)
        finally:
            leave(token)
            request.add_outside(_host(host_of, args), time.perf_counter() - clock)

    return named_as(call, original)


def _host(host_of: Callable[..., Any], args: Any) -> str:
    try:
        return str(host_of(*args))
    except Exception:
        return "?"
