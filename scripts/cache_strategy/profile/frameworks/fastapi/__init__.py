"""FastAPI and Starlette: routers, dependencies, response models."""

from cache_strategy.profile import calls
from cache_strategy.profile.facts import Decoration
from cache_strategy.profile.frameworks._base import Framework
from cache_strategy.profile.frameworks.fastapi import responses, routes, state
from cache_strategy.profile.frameworks.fastapi.dependencies import Injector
from cache_strategy.profile.frameworks.fastapi.knowledge import ALIASES, DEPENDS, KNOWN, STRUCTURAL
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import PLAIN, FunctionRef, Made, Value, Values


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    if path == "fastapi.BackgroundTasks().add_task":
        rest = Arguments(arguments.positional[1:], arguments.keywords, arguments.node)
        for task in arguments.get(0, "func"):
            named = frame.analysis.functions[task.index].qualname if isinstance(task, FunctionRef) else path
            frame.facts.side_effects.add(f"task {named}")
            calls.call_value(frame, task, rest)
        return PLAIN
    answer = routes.call(frame, path, receiver, arguments)
    return responses.call(frame, path, receiver, arguments) if answer is None else answer


def decorated(
    frame: Frame,
    function: int,
    path: str,
    receiver: Value | None,
    arguments: Arguments | None,
    decoration: Decoration,
) -> bool:
    """Routes, and Starlette's `@requires`."""
    if path == "starlette.authentication.requires":
        frame.note_context("user", "", decoration.node)
    elif arguments is not None and routes.decorated(frame, function, path, receiver, arguments):
        responses.decorated(frame, function, arguments, decoration)
    return path.startswith(("fastapi.", "starlette."))


def value(frame: Frame, proxy: Value, node: Node) -> Values | None:
    """`self.session` of a class-based view whose class says `session: Session = Depends(…)`."""
    if not isinstance(proxy, Made) or proxy.path not in DEPENDS or node[0] != "attr":
        return None
    found = Injector(frame.analysis, look=False).depend(frame, proxy, None, frozenset())
    for context in found.contexts:
        frame.edge(context, node)
    return found.values


framework = Framework(
    __name__,
    packages=("fastapi", "starlette"),
    known=KNOWN,
    structural=STRUCTURAL,
    structural_prefixes=("fastapi.security.",),
    aliases=ALIASES,
    value=value,
    attribute=state.attribute,
    call=call,
    decorated=decorated,
    store=state.store,
    routes=routes.routes,
)
