"""Decorators of functions and classes: wrappers of the repository are followed, others asked of the plugins."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.call_arguments import evaluate_arguments
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.source_text import last_name, source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    Argument,
    ClassRef,
    External,
    FunctionRef,
    Instance,
    Made,
    Unknown,
    Value,
    Values,
    one,
)

if TYPE_CHECKING:
    from cache_strategy.profile.facts import Decoration


def decorate(frame: Frame, function: FunctionInfo, node: Node, found: "Decoration") -> None:
    found.texts.append("@" + source_of(node))
    found.node = node
    callee, receiver, values, arguments = _taken_apart(frame, node)
    for value in values:
        if isinstance(value, FunctionRef | ClassRef):
            _apply(frame, function, value, arguments, node, found)
        elif isinstance(value, External | Made | Unknown | Argument):
            if isinstance(value, External | Made):
                path = frame.analysis.canonical(value.path)
            elif value == next(iter(values)) and last_name(callee):
                path = "?." + last_name(callee)
            else:
                continue
            found.externals.append((path, source_of(node)))
            frame.analysis.ask("decorated", frame, function.index, path, receiver, arguments, found)


def _taken_apart(frame: Frame, node: Node) -> tuple[Node, Value | None, Values, Arguments | None]:
    """What is called, the object it is taken off, its values, the arguments; those are None without a call."""
    called = node[0] == "call"
    callee = node[2] if called else node
    receivers = attributes.base(frame, callee[2]) if callee[0] == "attr" else NOTHING
    receiver = next((v for v in receivers if isinstance(v, Made | External)), None)
    values = attributes.base(frame, callee)
    return callee, receiver, values, evaluate_arguments(frame, node) if called else None


def decorate_class(frame: Frame, index: int, node: Node) -> None:
    _, receiver, values, arguments = _taken_apart(frame, node)
    for value in values:
        if isinstance(value, External | Made):
            path = frame.analysis.canonical(value.path)
            frame.analysis.ask("decorated_class", frame, index, path, receiver, arguments)


def _apply(
    frame: Frame,
    function: FunctionInfo,
    value: Value,
    arguments: Arguments | None,
    node: Node,
    found: "Decoration",
) -> None:
    # the decorator does not see which function it is given: what that does is added where it is called
    wrapped = given(("call", node[1] if len(node) > 1 else 0, node, (), ()), PLAIN)
    results = one(value) if arguments is None else calls.call_value(frame, value, arguments)
    for result in results:
        if not isinstance(result, FunctionRef | ClassRef | Instance):
            continue
        for inner in calls.call_value(frame, result, wrapped):
            if isinstance(inner, FunctionRef) and inner.index != function.index:
                wrapper = frame.analysis.functions[inner.index]
                context = frame.analysis.context(wrapper, inner.receiver, {})
                text = "@" + source_of(node)
                found.wrappers.append((context.index, text))
                # a wrapper may be decorated itself
                found.wrappers.extend((i, text) for i in frame.analysis.decoration(wrapper).contexts)
