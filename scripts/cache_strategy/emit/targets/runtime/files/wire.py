"""How this cache waits: a connection to Redis, and what stands still until something happens."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import redis
from redis.retry import Retry as Retry

IS_ASYNC = False
Pool = redis.ConnectionPool
sleep = time.sleep
who_asks = threading.get_ident


def in_background(work: Callable[[], Any], name: str) -> threading.Thread:
    """Work that nobody waits for."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class Signal:
    """Set once, by any thread; others wait for it, so many seconds at most, and let each other through one by one."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def set(self) -> None:
        self._gate.release()

    def wait(self, seconds: float) -> None:
        if self._gate.acquire(timeout=seconds):
            self._gate.release()


class Wire:
    """A connection that redis-py has opened; bytes go over its socket as they are."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = connection._sock
        self.rest = b""  # received, but not yet read
        self.owed = 0  # answers that nobody awaits
        self.late: list[bytes] = []  # what is to be sent elsewhere if these never come
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(self._socket, select.POLLIN)

    def has_more(self) -> bool:
        """Whether something has come, be it the end."""
        return bool(self._poll.poll(0) if self._poll else select.select([self._socket], [], [], 0)[0])

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, deadline: float) -> bytes:
        """
        Whatever comes next.

        Raises:
            redis.TimeoutError: nothing came in time.
            redis.ConnectionError: nothing will come.
        """
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data: bytes = self._socket.recv(65536)
        except TIMEOUTS:
            raise redis.TimeoutError("Redis did not answer in time") from None
        if not data:
            raise redis.ConnectionError("Redis has closed the connection")
        return data

    def close(self) -> None:
        self._connection.disconnect()


def connected(connection: Any, deadline: float) -> Wire:
    """A connection within the time, however many answers the greeting takes."""
    read = connection.read_response

    def read_in_time(*arguments: Any, **options: Any) -> Any:
        connection._sock.settimeout(max(0.001, deadline - time.monotonic()))
        return read(*arguments, **options)

    connection.read_response = read_in_time
    connection.connect()
    return Wire(connection)


def idle_of(wires: deque[Wire]) -> Wire | None:
    """One that nobody uses."""
    try:
        return wires.pop()
    except IndexError:
        return None


TIMEOUTS = (TimeoutError, socket.timeout)  # two things before Python 3.10
