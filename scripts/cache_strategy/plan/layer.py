"""Where an entry lives."""

from cache_strategy.model.evidence import Candidate, Layer
from cache_strategy.plan.ttl import DataKind


def choose_layers(
    candidate: Candidate, kind: DataKind, covered: bool, personal: bool = False, keeps_statements: bool = True
) -> tuple[Layer, ...]:
    """
    The layers of an entry, first asked first.

    `covered`: every table the endpoint reads is already behind another entry; then only the HTTP layer is left to gain
    from. `personal`: a guard or a hook looks at who asks before the endpoint does. Private answers never get a layer that is shared outside the application: `http` is left to entries without a
    user in their key and on the way to them. Reference data and configuration are small and read everywhere: process memory. Answers per user
    are many and each is read by one: Redis, so that processes do not hold each a copy. What the statements of an endpoint
    gave serves its answers under other keys, and tells by which rows each of them goes out of date; `keeps_statements`:
    emit can have them kept in the application's framework.
    """
    if candidate.kind == "query":
        return ("matview",)
    shared = candidate.kind == "endpoint" and not candidate.per_user and not personal
    http: tuple[Layer, ...] = ("http",) if shared else ()
    if covered:
        return http
    below: tuple[Layer, ...] = ()
    if keeps_statements and candidate.kind == "endpoint" and candidate.key:
        below = ("statements",)
    if kind.name in ("reference", "configuration") and not candidate.per_user and len(candidate.key) <= 1:
        return ("memory", *below, *http)
    if candidate.per_user or kind.name == "profile":
        return ("redis", *below, *http)
    return ("memory", "redis", *below, *http)
