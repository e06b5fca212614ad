"""FastAPI's routes: routers and their prefixes, mounted applications, dependencies of routers, middleware."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.frameworks.fastapi.dependencies import Injector
from cache_strategy.profile.frameworks.fastapi.knowledge import APPLICATION, DEPENDS, REQUEST, ROUTER
from cache_strategy.profile.kinds import Analysis, Frame
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

_OWNERS = (APPLICATION, ROUTER)
_VERBS = ("get", "post", "put", "patch", "delete")
_PART = re.compile(r"{([^{}:]+)(?::[^{}]*)?}")
_DEEPEST = 10
Wanted = tuple[Made, ...]


@dataclass(frozen=True)
class _Rule:
    owner: Made
    path: str
    methods: tuple[str, ...]
    function: int
    dependencies: Wanted


@dataclass
class _Notes:
    """What was seen so far; `registered` are (parent, child, prefix, dependencies, is it mounted)."""

    rules: dict[_Rule, None] = field(default_factory=dict)
    registered: dict[tuple[Made, Made, str, Wanted, bool], None] = field(default_factory=dict)
    middleware: dict[tuple[int, Instance | None], None] = field(default_factory=dict)


def _notes_of(analysis: Analysis) -> _Notes:
    notes: _Notes = analysis.notes.setdefault("fastapi routes", {}).setdefault("notes", _Notes())
    return notes


def decorated(frame: Frame, function: int, path: str, receiver: Value | None, arguments: Arguments) -> bool:
    """`@router.get(…)`, `@app.api_route(…)`, `@app.middleware("http")`; whether it makes a route."""
    owner, _, last = path.rpartition(".")
    if owner not in _OWNERS or not isinstance(receiver, Made):
        return False
    if last == "middleware":
        _notes_of(frame.analysis).middleware[function, None] = None
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
        prefix = text_in(arguments.get(0 if is_mount else -1, "path" if is_mount else "prefix")) or ""
        for child in arguments.get(1, "app") if is_mount else arguments.get(0, "router"):
            if isinstance(child, Made) and child.path in _OWNERS:
                wanted = _dependencies(arguments.get(-1, "dependencies"))
                notes.registered[receiver, child, prefix.rstrip("/"), wanted, is_mount] = None
    elif last in ("add_api_route", "add_route"):
        for endpoint in arguments.get(1, "endpoint"):
            _add(frame, receiver, arguments, texts_in(arguments.get(-1, "methods")), endpoint)
    elif last in ("add_middleware", "middleware"):
        for value in (*arguments.get(0, "middleware_class"), *arguments.get(-1, "dispatch")):
            if isinstance(value, FunctionRef):
                notes.middleware[value.index, None] = None
            elif isinstance(value, ClassRef):
                for name in ("dispatch", "__call__"):
                    method = frame.analysis.method(value.index, name)
                    if method is not None:
                        notes.middleware[method, Instance(value.index)] = None
    else:
        return None
    return NOTHING


def _dependencies(values: Values) -> Wanted:
    for value in values:
        if isinstance(value, Many | Parts):
            values = values.union(value.items if isinstance(value, Many) else frozenset().union(*value.parts))
    found = {v for v in values if isinstance(v, Made) and v.path in DEPENDS}
    return tuple(sorted(found, key=lambda made: (made.place, repr(made))))


def _add(frame: Frame, owner: Made, arguments: Arguments, methods: list[str], endpoint: Value) -> None:
    path = text_in(arguments.get(0, "path"))
    verbs = tuple(sorted(m.upper() for m in methods or ["GET"] if m.upper() not in ("HEAD", "OPTIONS")))
    if path is not None and isinstance(endpoint, FunctionRef):
        wanted = _dependencies(arguments.get(-1, "dependencies"))
        _notes_of(frame.analysis).rules[_Rule(owner, path, verbs, endpoint.index, wanted)] = None


def routes(analysis: Analysis) -> list[Route]:
    """Every route with its full path, its handler's evaluation and what runs before it."""
    notes = _notes_of(analysis)
    injector = Injector(analysis, look=bool(notes.rules))
    found = []
    for rule in notes.rules:
        function = analysis.functions[rule.function]
        if analysis.modules[function.module].is_test:
            continue
        is_method = function.owner >= 0 and analysis.binding(function) == ""
        for prefix, wanted in dict.fromkeys(_places(notes, rule.owner, 0)):
            parts = tuple(_PART.findall(prefix + rule.path))
            for method in rule.methods:
                given = injector.call(
                    function, Instance(function.owner) if is_method else None, frozenset(parts),
                    (method, (*wanted, *rule.dependencies)),
                )  # fmt: skip
                around = (*_middleware(analysis, notes), *given.around)
                found.append(Route(
                    method, _PART.sub(r"{\1}", prefix + rule.path) or "/", rule.function, given.contexts[0].index,
                    function.line, tuple(dict.fromkeys(around)), tuple(given.guards), parts, given.of("query"),
                    given.of("body"), identities=tuple(given.identities.items()), given=frozenset(given.before),
                ))  # fmt: skip
    return found


def _places(notes: _Notes, owner: Made, level: int) -> Iterator[tuple[str, Wanted]]:
    """Every place where a router or an application hangs: the path up to it, what is depended upon there."""
    own = (text_in(owner.keyword("prefix")) or "") if owner.path == ROUTER else ""
    wanted = _dependencies(owner.keyword("dependencies"))
    above = [r for r in notes.registered if r[1] == owner and r[0] != owner]
    for parent, _, prefix, dependencies, is_mount in above if level < _DEEPEST else ():
        for outer, of_outer in _places(notes, parent, level + 1):
            yield outer + prefix + own, (*(() if is_mount else of_outer), *dependencies, *wanted)
    if not above:
        yield own, wanted


def _middleware(analysis: Analysis, notes: _Notes) -> Iterator[int]:
    for index, receiver in notes.middleware:
        function = analysis.functions[index]
        if not analysis.modules[function.module].is_test:
            named = any(p[0] == "request" for p in function.parameters)
            bound = {"request": one(External(REQUEST))} if named else {}
            yield analysis.context(function, receiver, bound).index
