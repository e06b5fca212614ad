"""One cache over one sequence of requests. Time comes from the trace, never from a clock."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cache_strategy.simulate.policies import Policy


class Request(NamedTuple):
    """What is asked for, and what the origin answers: `size` in bytes, `digest` "" where it is not known."""

    time_s: float
    key: str
    size: int
    digest: str


@dataclass
class Replay:
    """
    What one cache did.

    `hits` holds one flag per request, in order. Of the hits, `judged` are those of which the trace says whether they
    were stale, and `stale` those that were. `peak_bytes` is the most that was held at once.
    """

    hits: list[bool] = field(default_factory=list)
    judged: int = 0
    stale: int = 0
    peak_bytes: int = 0
    oldest_s: float = 0.0


class _Value(NamedTuple):
    stored_s: float
    size: int
    digest: str


def replay(
    requests: Sequence[Request],
    *,
    ttl_seconds: int | None,
    capacity_bytes: int | None,
    policy: Policy,
    writes_s: Sequence[float] | None,
) -> Replay:
    """
    Serves `requests` (sorted by time) through one cache: a miss stores the origin's answer of that moment.

    A value is served while it is younger than `ttl_seconds`. What is larger than `capacity_bytes` is never stored.
    A hit is stale when the origin's answer has another digest by then; where a digest is missing, when a write
    happened after the value was stored.

    Args:
        writes_s: times of the writes that may change an answer, sorted; None when they are not known.
    """
    done = Replay()
    values: dict[str, _Value] = {}
    order = policy.order()
    expiry: deque[tuple[float, str]] = deque()
    held = 0
    for request in requests:
        if ttl_seconds is not None:
            while expiry and expiry[0][0] <= request.time_s - ttl_seconds:
                stored_s, key = expiry.popleft()
                value = values.get(key)
                if value is not None and value.stored_s == stored_s:
                    del values[key]
                    order.remove(key)
                    held -= value.size
        value = values.get(request.key)
        done.hits.append(value is not None)
        if value is not None:
            order.use(request.key)
            done.oldest_s = max(done.oldest_s, request.time_s - value.stored_s)
            stale = _is_stale(value, request, writes_s)
            if stale is not None:
                done.judged += 1
                done.stale += stale
            continue
        if capacity_bytes is not None:
            if request.size > capacity_bytes:
                continue
            while held + request.size > capacity_bytes:
                held -= values.pop(order.evict()).size
        values[request.key] = _Value(request.time_s, request.size, request.digest)
        order.add(request.key)
        held += request.size
        done.peak_bytes = max(done.peak_bytes, held)
        if ttl_seconds is not None:
            expiry.append((request.time_s, request.key))
    return done


def _is_stale(value: _Value, request: Request, writes_s: Sequence[float] | None) -> bool | None:
    if value.digest and request.digest:
        return value.digest != request.digest
    if writes_s is None:
        return None
    return bisect_right(writes_s, request.time_s) > bisect_right(writes_s, value.stored_s)
