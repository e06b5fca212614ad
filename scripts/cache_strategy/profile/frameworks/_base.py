"""The contract of a web framework: what the profiler asks of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile.kinds import Analysis, Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments, Plugin
from cache_strategy.profile.values import Value, Values

if TYPE_CHECKING:
    from cache_strategy.profile.facts import Decoration


@dataclass(frozen=True, slots=True)
class Route:
    """
    A route of one method. `context` is the index of the handler's evaluation.

    `around` are evaluations that run before or after the handler in each request (hooks), `guards` the
    decorators that demand or look up an identity, as written. `path_parts` are the route's parameters. `owner` is the
    class that inherits its handler from a package, -1 where the handler is in the repository. `identities` are what the
    handler sees of who asks, by what is read for it: the expression of a parameter. `given` are the evaluations that run before it for what it is
    given.
    """

    method: str
    route: str
    function: int
    context: int
    line: int
    around: tuple[int, ...] = ()
    guards: tuple[str, ...] = ()
    path_parts: tuple[str, ...] = ()
    query_parts: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    owner: int = -1
    identities: tuple[tuple[ContextRead, str], ...] = ()
    given: frozenset[int] = frozenset()


@dataclass
class Framework(Plugin):
    """
    A web framework; see `Plugin`.

    `value(frame, value, node)` is what a request-bound object stands for. `decorated(frame, function, path, receiver,
    arguments, decoration)` sees each external decorator of a function and returns whether it knows it,
    `decorated_class` the same for classes. `store(frame, path, values, node)` sees assignments to attributes of
    external objects. `routes(analysis)` runs after everything was evaluated. `identity(analysis, read)` is the
    expression for a plain identity of the user behind a context, "" if unknown.
    """

    value: "Callable[[Frame, Value, Node], Values | None] | None" = None
    decorated: "Callable[[Frame, int, str, Value | None, Arguments | None, Decoration], bool] | None" = None
    decorated_class: "Callable[[Frame, int, str, Value | None, Arguments | None], bool] | None" = None
    store: "Callable[[Frame, str, Values, Node], bool] | None" = None
    routes: "Callable[[Analysis], list[Route]] | None" = None
    identity: "Callable[[Analysis, ContextRead], str] | None" = None
