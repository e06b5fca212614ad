"""FastAPI's routes: routers and their prefixes, mounted applications, dependencies of routers, middleware."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.frameworks.fastapi.dependencies import Injector
from cache_strategy.profile.frameworks.fastapi.knowledge import APPLICATION, DEPENDS, REQUEST, ROUTER
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Parts,
    Value,
    Values,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

_OWNERS = (APPLICATION, ROUTER)
_VERBS = ("get", "post", "put", "patch", "delete")
_PART = re.compile(r"{([^{}:]+)(?::[^{}]*)?}")
_DEEPEST = 10
_LATER = frozenset(
    """add_event_handler add_exception_handler exception_handler on_event add_websocket_route websocket
    add_api_websocket_route websocket_route""".split()
)


@dataclass(frozen=True)
class _Rule:
    owner: Made
    path: str
    methods: tuple[str, ...]
    function: int
    dependencies: tuple[Made, ...]
    receiver: Instance | None


@dataclass(frozen=True)
class _Place:
    """Where a router is: the path up to it, what is depended upon there, the applications it belongs to."""

    prefix: str
    dependencies: tuple[Made, ...]
    owners: tuple[Made, ...]


@dataclass
class _Notes:
    """What was seen of routes so far; `registered` are (parent, child, prefix, dependencies, is it mounted)."""

    rules: dict[_Rule, None] = field(default_factory=dict)
    registered: dict[tuple[Made, Made, str, tuple[Made, ...], bool], None] = field(default_factory=dict)
    middleware: dict[tuple[Made, int, Instance | None], None] = field(default_factory=dict)


def _notes_of(analysis: "Analysis") -> _Notes:
    notes: _Notes = analysis.notes.setdefault("fastapi routes", {}).setdefault("notes", _Notes())
    return notes


def decorated(
    frame: Frame, function: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    """`@router.get(…)`, `@app.api_route(…)`, `@app.middleware("http")`; whether it makes a route."""
    owner, _, last = path.rpartition(".")
    if owner not in _OWNERS or arguments is None or not isinstance(receiver, Made):
        return False
    if last == "middleware":
        _notes_of(frame.analysis).middleware[(receiver, function, None)] = None
    if last not in (*_VERBS, "api_route", "route"):
        return False
    methods = [last] if last in _VERBS else texts_in(arguments.get(-1, "methods"))
    _add(frame, receiver, arguments, methods, FunctionRef(function))
    return True


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`include_router`, `mount`, `add_api_route`, `add_middleware`."""
    owner, _, last = path.rpartition(".")
    if owner not in _OWNERS or not isinstance(receiver, Made):
        return None
    notes = _notes_of(frame.analysis)
    if last in ("include_router", "mount"):
        is_mount = last == "mount"
        prefix = text_in(arguments.get(0, "path") if is_mount else arguments.get(-1, "prefix")) or ""
        for child in arguments.get(1, "app") if is_mount else arguments.get(0, "router"):
            if isinstance(child, Made) and child.path in _OWNERS:
                wanted = _dependencies(arguments.get(-1, "dependencies"))
                notes.registered[(receiver, child, prefix, wanted, is_mount)] = None
    elif last in ("add_api_route", "add_route"):
        methods = texts_in(arguments.get(-1, "methods") or arguments.get(2 if last == "add_route" else -1))
        for endpoint in arguments.get(1, "endpoint"):
            _add(frame, receiver, arguments, methods, endpoint)
    elif last in ("add_middleware", "middleware"):
        for value in (*arguments.get(0, "middleware_class"), *arguments.get(-1, "dispatch")):
            if isinstance(value, FunctionRef):
                notes.middleware[(receiver, value.index, None)] = None
            for name in ("dispatch", "__call__") if isinstance(value, ClassRef) else ():
                method = frame.analysis.method(value.index, name) if isinstance(value, ClassRef) else None
                if method is not None and isinstance(value, ClassRef):
                    notes.middleware[(receiver, method, Instance(value.index))] = None
    elif last not in _LATER:
        return None
    return NOTHING


def _dependencies(values: Values) -> tuple[Made, ...]:
    inside = [v for value in values if isinstance(value, Many | Parts) for v in _items(value)]
    found = {v for v in (*values, *inside) if isinstance(v, Made) and v.path in DEPENDS}
    return tuple(sorted(found, key=lambda made: (made.place, repr(made))))


def _items(value: Many | Parts) -> Values:
    return value.items if isinstance(value, Many) else frozenset().union(*value.parts)


def _add(frame: Frame, owner: Made, arguments: Arguments, methods: list[str], endpoint: Value) -> None:
    path = text_in(arguments.get(0, "path"))
    verbs = tuple(sorted(m.upper() for m in methods or ["GET"] if m.upper() not in ("HEAD", "OPTIONS")))
    if path is not None and isinstance(endpoint, FunctionRef):
        receiver = endpoint.receiver if isinstance(endpoint.receiver, Instance) else None
        wanted = _dependencies(arguments.get(-1, "dependencies"))
        rule = _Rule(owner, path, verbs, endpoint.index, wanted, receiver)
        _notes_of(frame.analysis).rules[rule] = None


def routes(analysis: "Analysis") -> list[Route]:
    """Every route with its full path, its handler's evaluation and what runs before it."""
    notes = _notes_of(analysis)
    injector = Injector(analysis) if notes.rules else None
    found: list[Route] = []
    for rule in notes.rules:
        function = analysis.functions[rule.function]
        if injector is None or analysis.modules[function.module].is_test:
            continue
        receiver = rule.receiver
        if receiver is None and function.owner >= 0 and analysis.binding(function) == "":
            receiver = Instance(function.owner)
        for place in _places(notes, rule.owner, 0):
            full = place.prefix + rule.path
            parts = tuple(_PART.findall(full))
            for method in rule.methods:
                asked = (method, (*place.dependencies, *rule.dependencies))
                given = injector.call(function, receiver, frozenset(parts), asked)
                found.append(
                    Route(
                        method=method,
                        route=_PART.sub(r"{\1}", full) or "/",
                        function=rule.function,
                        context=given.contexts[0].index,
                        line=function.line,
                        around=tuple(dict.fromkeys((*_around(analysis, notes, place.owners), *given.around))),
                        guards=tuple(given.guards),
                        path_parts=parts,
                        query_parts=given.of("query"),
                        body_parts=given.of("body"),
                    )
                )
    return found


def _places(notes: _Notes, owner: Made, level: int) -> list[_Place]:
    """Every place where a router or an application hangs."""
    own = (text_in(owner.keyword("prefix")) or "") if owner.path == ROUTER else ""
    wanted = _dependencies(owner.keyword("dependencies"))
    found: dict[_Place, None] = {}
    for parent, child, prefix, dependencies, is_mount in notes.registered:
        if child == owner and parent != owner and level < _DEEPEST:
            for outer in _places(notes, parent, level + 1):
                above = () if is_mount else outer.dependencies
                full = outer.prefix + prefix.rstrip("/") + own
                found[_Place(full, (*above, *dependencies, *wanted), (*outer.owners, owner))] = None
    return list(found) or [_Place(own, wanted, (owner,))]


def _around(analysis: "Analysis", notes: _Notes, owners: tuple[Made, ...]) -> list[int]:
    """The middleware of the applications that a route belongs to; of all where its application is not known."""
    found = []
    known = any(owner.path == APPLICATION for owner in owners)
    for application, function, receiver in notes.middleware:
        info = analysis.functions[function]
        if not analysis.modules[info.module].is_test and (application in owners or not known):
            names = [p[0] for p in info.parameters if p[0] == "request"]
            bound = {name: one(External(REQUEST)) for name in names}
            found.append(analysis.context(info, receiver, bound).index)
    return found
