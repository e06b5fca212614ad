"""Pages: `render` and its like."""

from typing import TYPE_CHECKING

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import External, Mapping, Value, Values, one

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    return None


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    if path in ("django.shortcuts.render",):
        return render(frame, arguments.get(1), arguments.get(2, "context"), arguments.get(0), arguments.node)
    return None


def decorated(frame: "Frame", function: int, path: str, arguments: Arguments | None) -> bool:
    return False


def render(frame: "Frame", names: Values, context: Values, request: Values, node: Node) -> Values:
    frame.facts.renders = True
    for value in context:
        if isinstance(value, Mapping):
            for values in (value.rest, *(v for _, v in value.fields)):
                frame.consume(values, node)
    return one(External("django.shortcuts.render()"))
