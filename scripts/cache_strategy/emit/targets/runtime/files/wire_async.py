"""How this cache waits: a connection to Redis, and what tasks wait for; of any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as Retry

IS_ASYNC = True
Pool = redis.asyncio.ConnectionPool


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def who_asks() -> int:
    return id(asyncio.current_task())


def in_background(work: Callable[[], Any], name: str) -> threading.Thread:
    """Work that nobody waits for, in a loop of its own: it goes on whatever becomes of the application's."""
    thread = threading.Thread(target=lambda: asyncio.run(work()), name=name, daemon=True)
    thread.start()
    return thread


class Signal:
    """Set once, by any thread; tasks of any loop wait for it, so many seconds at most."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def set(self) -> None:
        self._is_set = True
        for loop, future in self._waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((loop, future))
        if not self._is_set:
            end = loop.call_later(seconds, _resolve, future)
            try:
                await future
            finally:
                end.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Wire:
    """A connection that redis-py has opened; bytes go over its streams as they are."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.loop = asyncio.get_running_loop()
        self._reader, self._writer = connection._reader, connection._writer
        self.rest = b""  # received, but not yet read
        self.owed = 0  # answers that nobody awaits
        self.late: list[bytes] = []  # what is to be sent elsewhere if these never come

    def has_more(self) -> bool:
        """Whether the end has come."""
        return bool(self._reader.at_eof())

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self, deadline: float) -> bytes:
        """
        Whatever comes next.

        Raises:
            redis.TimeoutError: nothing came in time.
            redis.ConnectionError: nothing will come.
        """
        try:
            data: bytes = await _within(deadline - time.monotonic(), self._reader.read(65536))
        except asyncio.exceptions.TimeoutError:
            raise redis.TimeoutError("Redis did not answer in time") from None
        if not data:
            raise redis.ConnectionError("Redis has closed the connection")
        return data

    def close(self) -> None:
        self._writer.close()


async def connected(connection: Any, deadline: float) -> Wire:
    """A connection within the time, however many answers the greeting takes."""
    try:
        await _within(deadline - time.monotonic(), connection.connect())
    except asyncio.exceptions.TimeoutError:
        raise redis.TimeoutError("Redis did not answer in time") from None
    return Wire(connection)


def idle_of(wires: deque[Wire]) -> Wire | None:
    """One that nobody uses; streams belong to the loop they were opened in."""
    loop = asyncio.get_running_loop()
    for _ in range(len(wires)):
        with contextlib.suppress(IndexError):  # another thread was faster
            wire = wires.pop()
            if wire.loop is loop:
                return wire
            if not wire.loop.is_closed():
                wires.appendleft(wire)
    return None


async def _within(seconds: float, work: Awaitable[Any]) -> Any:
    if not hasattr(asyncio, "timeout"):  # before Python 3.11
        return await asyncio.wait_for(work, max(0.001, seconds))
    async with asyncio.timeout(max(0.001, seconds)):
        return await work
