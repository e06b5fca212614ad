"""What frameworks and ORMs have in common: what they tell the profiler, and how they are found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cache_strategy.profile.kinds import Analysis, Frame
from cache_strategy.profile.library import Known
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import Value, Values
from cache_strategy.siblings import load_siblings


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
        return next((values for key, values in self.keywords if key == name and name), frozenset())

    def all(self) -> list[Values]:
        return [*self.positional, *(values for _, values in self.keywords)]


def given(node: Node, *values: Values) -> Arguments:
    """The arguments of a call that the code does not spell out: exactly these."""
    return Arguments(values, (), node)


@dataclass
class Plugin:
    """
    A framework or an ORM; the file or folder name is its id. A hook may be absent; None means: not mine.

    `packages` are the import roots that show it is in use. `known` are meanings of external paths, `structural` the
    paths of calls whose arguments matter later ("flask.Blueprint()"); `aliases` rewrites the beginning of an external
    path and `canonical` the whole, so that the hooks see one spelling. `start(analysis)` runs before everything.
    `attribute(frame, value, name, node)` and `call(frame, path, receiver, arguments)` answer for external paths and
    for the plugin's own values. `parameter(frame, name)` is what a parameter stands for of which no call tells more.
    """

    module: str
    packages: tuple[str, ...]
    known: dict[str, Known] = field(default_factory=dict)
    structural: frozenset[str] = frozenset()
    structural_prefixes: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    canonical: "Callable[[str], str] | None" = None
    start: "Callable[[Analysis], None] | None" = None
    attribute: "Callable[[Frame, Value, str, Node], Values | None] | None" = None
    call: "Callable[[Frame, str, Value | None, Arguments], Values | None] | None" = None
    parameter: "Callable[[Frame, str], Values | None] | None" = None

    def __post_init__(self) -> None:
        _PLUGINS[self.module] = self

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]

    @classmethod
    def load(cls, folder: str) -> list[Self]:
        """Every plugin of this kind in the folder, in name order."""
        load_siblings(folder)
        return [plugin for _, plugin in sorted(_PLUGINS.items()) if isinstance(plugin, cls)]


_PLUGINS: dict[str, Plugin] = {}
