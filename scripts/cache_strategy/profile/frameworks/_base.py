"""The contract of a web framework: what the profiler asks of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile.library import Known
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import Value, Values

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame
    from cache_strategy.profile.facts import Decoration


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, evaluated; `node` is the call as it was lowered."""

    positional: tuple[Values, ...]
    keywords: tuple[tuple[str, Values], ...]
    node: Node

    @property
    def line(self) -> int:
        return int(self.node[1])

    def get(self, position: int, name: str = "") -> Values:
        """The argument at a position or under a name; empty where it is not given."""
        if 0 <= position < len(self.positional):
            return self.positional[position]
        for key, values in self.keywords:
            if key == name and name:
                return values
        return frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """
    A route of one method. `context` is the index of the handler's evaluation.

    `around` are evaluations that run before or after the handler in each request (hooks), `guards` the
    decorators that demand or look up an identity, as written. `path_parts` are the route's parameters.
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


@dataclass
class Framework:
    """
    A web framework; the file name is its id. Every hook may be absent.

    `packages` are the import roots that show it is in use. `known` are meanings of external paths, `structural` the
    paths of calls whose arguments matter later ("flask.Blueprint()").
    `aliases` rewrites the beginning of an external path, so that the hooks see one spelling.
    `value(frame, value, node)` is what a request-bound object stands for; `attribute(frame, value, name, node)` and
    `call(frame, path, receiver, arguments)` return None where the framework has nothing to say.
    `decorated(frame, function, path, receiver, arguments)` sees each external decorator of a function and returns
    whether it knows it, `decorated_class` the same for classes. `store(frame, path, values, node)` sees assignments to attributes of external objects.
    `start(analysis)` runs before, `routes(analysis)` after everything was evaluated.
    `identity(analysis, read)` is the expression for a plain identity of the user behind a context, "" if unknown.
    """

    module: str
    packages: tuple[str, ...]
    known: dict[str, Known] = field(default_factory=dict)
    structural: frozenset[str] = frozenset()
    structural_prefixes: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    start: "Callable[[Analysis], None] | None" = None
    value: "Callable[[Frame, Value, Node], Values | None] | None" = None
    attribute: "Callable[[Frame, Value, str, Node], Values | None] | None" = None
    call: "Callable[[Frame, str, Value | None, Arguments], Values | None] | None" = None
    decorated: "Callable[[Frame, int, str, Value | None, Arguments | None, Decoration], bool] | None" = None
    decorated_class: "Callable[[Frame, int, str, Value | None, Arguments | None], bool] | None" = None
    store: "Callable[[Frame, str, Values, Node], bool] | None" = None
    routes: "Callable[[Analysis], list[Route]] | None" = None
    identity: "Callable[[Analysis, ContextRead], str] | None" = None

    def __post_init__(self) -> None:
        FRAMEWORKS[self.name] = self

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]


FRAMEWORKS: dict[str, Framework] = {}
