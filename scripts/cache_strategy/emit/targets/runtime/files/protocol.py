"""
Redis' protocol: commands to bytes, bytes to answers.

Source: redis.io/docs/latest/develop/reference/protocol-spec (RESP2 and RESP3).
"""

from __future__ import annotations

from typing import Any

import redis

from .wire import Wire


def pack(*command: Any) -> bytes:
    return b"*%d\r\n%s" % (len(command), b"".join(map(part, command)))


def part(value: Any) -> bytes:
    """One word of a command."""
    data = value if type(value) is bytes else str(value).encode("utf-8", "surrogatepass")
    return b"$%d\r\n%s\r\n" % (len(data), data)


class _Incomplete(Exception):
    pass


def read_answer(wire: Wire, deadline: float) -> Any:
    """The next answer; what Redis refuses is a ResponseError, returned and not raised."""
    while True:
        if wire.rest:
            try:
                answer, end = _parse(wire.rest, 0)
            except _Incomplete:
                pass
            else:
                wire.rest = wire.rest[end:]
                return answer
        wire.rest += wire.receive(deadline)


def _parse(data: bytes, at: int) -> tuple[Any, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Incomplete
    kind, text, end = data[at : at + 1], data[at + 1 : end], end + 2
    if kind in b"$!=":  # a string, an error, a text with its kind
        stop = end + int(text)
        if stop < end:
            return None, end
        if len(data) < stop + 2:
            raise _Incomplete
        body = data[end:stop]
        return redis.ResponseError(body.decode("utf-8", "replace")) if kind == b"!" else body, stop + 2
    if (
        kind in b"*~>%|"
    ):  # an array, a set, an announcement, a map or what is said about the answer that follows
        items = []
        for _ in range(int(text) * (2 if kind in b"%|" else 1)):
            item, end = _parse(data, end)
            items.append(item)
        return _parse(data, end) if kind == b"|" else (items, end)
    if kind in b":(":
        return int(text), end
    if kind == b"-":
        return redis.ResponseError(text.decode("utf-8", "replace")), end
    return None if kind == b"_" else text, end
