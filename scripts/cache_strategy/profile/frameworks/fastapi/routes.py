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

OWNERS = (APPLICATION, ROUTER)
VERBS = ("get", "post", "put", "patch", "delete")
_PART = re.compile(r"{([^{}:]+)(?::[^{}]*)?}")
_DEEPEST = 10
_REGISTERING = frozenset(
    {"add_event_handler", "add_exception_handler", "exception_handler", "on_event", "add_websocket_route",
     "add_api_websocket_route", "websocket", "websocket_route"}
)  # fmt: skip


@dataclass(frozen=True)
class _Rule:
    owner: Made | None
    path: str
    methods: tuple[str, ...]
    function: int
    dependencies: tuple[Made, ...] = ()
    receiver: Instance | None = None


@dataclass(frozen=True)
class _Place:
    """Where a router is: the path up to it, what is depended upon there, applications and routers from outside in."""

    prefix: str = ""
    dependencies: tuple[Made, ...] = ()
    owners: tuple[Made, ...] = ()


@dataclass
class Notes:
    """What was seen of routes so far; `registered` are (parent, child, prefix, dependencies, is it mounted)."""

    rules: dict[_Rule, None] = field(default_factory=dict)
    registered: dict[tuple[Made, Made, str, tuple[Made, ...], bool], None] = field(default_factory=dict)
    middleware: dict[tuple[Made | None, int, Instance | None], None] = field(default_factory=dict)


def notes_of(analysis: "Analysis") -> Notes:
    """This run's notes."""
    found = analysis.notes.setdefault("fastapi routes", {}).setdefault("notes", Notes())
    assert isinstance(found, Notes)
    return found


def decorated(
    frame: Frame, function: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    """`@router.get(…)`, `@app.api_route(…)`, `@app.middleware("http")`; whether it is a route or belongs to one."""
    owner, _, last = path.rpartition(".")
    if owner not in OWNERS or arguments is None:
        return False
    made = receiver if isinstance(receiver, Made) else None
    if last == "middleware":
        notes_of(frame.analysis).middleware[(made, function, None)] = None
    elif last in VERBS:
        _add(frame, made, arguments, [last], FunctionRef(function))
    elif last in ("api_route", "route"):
        _add(frame, made, arguments, texts_in(arguments.get(-1, "methods")) or ["GET"], FunctionRef(function))
    return last in VERBS or last in ("api_route", "route")


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`include_router`, `mount`, `add_api_route`, routes given to an application, middleware."""
    notes = notes_of(frame.analysis)
    if f"{path}()" in OWNERS:
        made = Made(
            f"{path}()", (frame.module.path, arguments.line), arguments.positional, arguments.keywords
        )
        _listed(frame, made, made.keyword("routes"))
        return None
    owner, _, last = path.rpartition(".")
    if owner not in OWNERS or not isinstance(receiver, Made):
        return None
    if last in ("include_router", "mount"):
        is_mount = last == "mount"
        prefix = text_in(arguments.get(0, "path") if is_mount else arguments.get(-1, "prefix")) or ""
        for child in arguments.get(1, "app") if is_mount else arguments.get(0, "router"):
            if isinstance(child, Made) and child.path in OWNERS:
                notes.registered[(receiver, child, prefix, _dependencies(arguments), is_mount)] = None
    elif last in ("add_api_route", "add_route"):
        methods = texts_in(
            arguments.get(-1, "methods") or (arguments.get(2) if last == "add_route" else NOTHING)
        )
        for endpoint in arguments.get(1, "endpoint") or arguments.get(1, "route"):
            _add(frame, receiver, arguments, methods or ["GET"], endpoint)
    elif last in ("add_middleware", "middleware"):
        for value in (*arguments.get(0, "middleware_class"), *arguments.get(-1, "dispatch")):
            _middleware(frame, notes, receiver, value)
    elif last not in _REGISTERING:
        return None
    return NOTHING


def _dependencies(arguments: "Arguments | Made") -> tuple[Made, ...]:
    values = (
        arguments.keyword("dependencies")
        if isinstance(arguments, Made)
        else arguments.get(-1, "dependencies")
    )
    found = {v for v in _flat(values) if isinstance(v, Made) and v.path in DEPENDS}
    return tuple(sorted(found, key=lambda made: (made.place, repr(made))))


def _flat(values: Values) -> list[Value]:
    found: list[Value] = []
    for value in values:
        if isinstance(value, Many):
            found.extend(_flat(value.items))
        elif isinstance(value, Parts):
            found.extend(v for part in value.parts for v in _flat(part))
        else:
            found.append(value)
    return found


def _add(frame: Frame, owner: Made | None, arguments: Arguments, methods: list[str], endpoint: Value) -> None:
    path = text_in(arguments.get(0, "path"))
    if path is not None:
        _add_rule(frame, owner, path, methods, endpoint, _dependencies(arguments))


def _add_rule(
    frame: Frame,
    owner: Made | None,
    path: str,
    methods: list[str],
    endpoint: Value,
    dependencies: tuple[Made, ...] = (),
) -> None:
    rules = notes_of(frame.analysis).rules
    verbs = tuple(sorted(m.upper() for m in methods if m.upper() not in ("HEAD", "OPTIONS")))
    if isinstance(endpoint, FunctionRef):
        receiver = endpoint.receiver if isinstance(endpoint.receiver, Instance) else None
        rules[_Rule(owner, path, verbs, endpoint.index, dependencies, receiver)] = None
    elif isinstance(endpoint, ClassRef):
        # Starlette's HTTPEndpoint: a method for each verb
        for verb in VERBS:
            method = frame.analysis.method(endpoint.index, verb)
            if method is not None:
                rules[_Rule(owner, path, (verb.upper(),), method, (), Instance(endpoint.index))] = None


def _listed(frame: Frame, owner: Made, values: Values) -> None:
    """`routes=[Route("/", homepage), Mount("/api", routes=[…])]`."""
    for value in _flat(values):
        if not isinstance(value, Made) or value.path not in ("fastapi.Route()", "fastapi.Mount()"):
            continue
        path = text_in(value.args[0] if value.args else value.keyword("path")) or ""
        second = value.args[1] if len(value.args) > 1 else value.keyword("endpoint") or value.keyword("app")
        if value.path == "fastapi.Route()":
            for endpoint in second:
                _add_rule(frame, owner, path, texts_in(value.keyword("methods")) or ["GET"], endpoint)
            continue
        inner = Made(ROUTER, value.place, value.args[:1])
        registered = notes_of(frame.analysis).registered
        for child in (inner, *(c for c in second if isinstance(c, Made) and c.path in OWNERS)):
            registered[(owner, child, path, (), True)] = None
        _listed(frame, inner, value.keyword("routes"))


def _middleware(frame: Frame, notes: Notes, owner: Made, value: Value) -> None:
    if isinstance(value, FunctionRef):
        notes.middleware[(owner, value.index, None)] = None
    elif isinstance(value, ClassRef):
        for name in ("dispatch", "__call__"):
            method = frame.analysis.method(value.index, name)
            if method is not None:
                notes.middleware[(owner, method, Instance(value.index))] = None
                return


def routes(analysis: "Analysis") -> list[Route]:
    """Every route with its full path, its handler's evaluation and what runs before it."""
    notes = notes_of(analysis)
    injector = Injector(analysis)
    found: list[Route] = []
    for rule in notes.rules:
        function = analysis.functions[rule.function]
        module = analysis.modules[function.module]
        if module.is_test:
            continue
        receiver = rule.receiver
        if receiver is None and function.owner >= 0 and analysis.binding(function) == "":
            receiver = Instance(function.owner)
        for place in _places(notes, rule.owner, 0):
            full = place.prefix + rule.path
            parts = tuple(_PART.findall(full))
            for method in rule.methods:
                context, given = injector.call(function, receiver, frozenset(parts), method)
                frame = Frame(analysis, module, None, None, {}, context.facts, outer=function.outer)
                around = dict.fromkeys(_around(analysis, notes, place.owners))
                for marker in (*place.dependencies, *rule.dependencies):
                    dependency = injector.depend(frame, marker, None, frozenset(parts))
                    given.add(dependency.given)
                    text = f"Depends({_name(analysis, marker)})"
                    edges = injector.run(frame, dependency, given, text, function.line, is_handler=True)
                    around.update(dict.fromkeys(edge.callee for edge in edges))
                found.append(
                    Route(
                        method=method,
                        route=_PART.sub(r"{\1}", full) or "/",
                        function=rule.function,
                        context=context.index,
                        line=function.line,
                        around=tuple({**around, **given.around}),
                        guards=tuple(given.guards),
                        path_parts=parts,
                        query_parts=tuple(given.query),
                        body_parts=tuple(given.body),
                    )
                )
    return found


def _name(analysis: "Analysis", marker: Made) -> str:
    for value in marker.args[0] if marker.args else marker.keyword("dependency"):
        if isinstance(value, FunctionRef):
            return analysis.functions[value.index].name
        if isinstance(value, Instance | ClassRef):
            return analysis.classes[value.index].name
    return "…"


def _places(notes: Notes, owner: Made | None, level: int) -> list[_Place]:
    """Every place where a router or an application hangs."""
    if owner is None:
        return [_Place()]
    own = (text_in(owner.keyword("prefix")) or "") if owner.path == ROUTER else ""
    wanted = _dependencies(owner)
    found = []
    for parent, child, prefix, dependencies, is_mount in notes.registered:
        if child == owner and parent != owner and level < _DEEPEST:
            for outer in _places(notes, parent, level + 1):
                above = () if is_mount else outer.dependencies
                found.append(
                    _Place(
                        outer.prefix + prefix.rstrip("/") + own,
                        (*above, *dependencies, *wanted),
                        (*outer.owners, owner),
                    )
                )
    return list(dict.fromkeys(found)) or [_Place(own, wanted, (owner,))]


def _around(analysis: "Analysis", notes: Notes, owners: tuple[Made, ...]) -> list[int]:
    """The middleware of the applications that a route belongs to."""
    found = []
    known = any(owner.path == APPLICATION for owner in owners)
    for application, function, receiver in notes.middleware:
        info = analysis.functions[function]
        if analysis.modules[info.module].is_test or (
            known and application is not None and application not in owners
        ):
            continue
        names = [p[0] for p in info.parameters[0 if receiver is None else 1 :]]
        bound = {names[0]: one(External(REQUEST))} if names and names[0] == "request" else {}
        found.append(analysis.context(info, receiver, bound).index)
    return found
