"""Dependency injection: what the parameters of a handler are given, and what giving it does."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile import abstraction, annotations
from cache_strategy.profile.calls import PARTIAL
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Call, Context, Facts
from cache_strategy.profile.frameworks.fastapi.knowledge import DEPENDS, MARKERS, SCHEMES
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.source_text import last_name, source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Value,
    Values,
    join,
    one,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

_DEEPEST = 20
_MODELS = (
    "pydantic.",
    "pydantic_settings.",
    "sqlmodel.",
    "sqlalchemy.",
    "msgspec.",
    "attrs.",
    "typing.TypedDict",
)
_SIGNED_IN = re.compile(r"(authorization|session|token|user|auth|jwt|login|credential)", re.IGNORECASE)
_PERSONAL = frozenset({"user", "session"})


@dataclass
class Given:
    """
    What a handler and everything it depends on take from the request.

    `query`, `body` and `path` are names, `guards` the dependencies that look at who asks, as written; `around` are
    evaluations that run before the handler and whose effects a cache of the handler would not skip.
    """

    query: dict[str, None] = field(default_factory=dict)
    body: dict[str, None] = field(default_factory=dict)
    path: dict[str, None] = field(default_factory=dict)
    guards: dict[str, None] = field(default_factory=dict)
    around: dict[int, None] = field(default_factory=dict)

    def add(self, other: "Given") -> None:
        """Adds the names that a dependency takes."""
        for mine, theirs in ((self.query, other.query), (self.body, other.body), (self.path, other.path)):
            mine.update(theirs)


@dataclass
class _Dependency:
    """What depending on something gives: its values, what it takes, its evaluation; whether it asks who is there."""

    values: Values = NOTHING
    given: Given = field(default_factory=Given)
    contexts: list[Context] = field(default_factory=list)
    personal: bool = False


class Injector:
    """Evaluates functions with what FastAPI gives to their parameters."""

    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.known: dict[tuple[Value, frozenset[str]], _Dependency] = {}
        self.depth = 0
        # what functions that make dependencies are called with is known before the first of these runs
        for function in list(analysis.program.production_functions()):
            if any(default is not None and default[0] == "call" for _, _, default, _ in function.parameters):
                frame = _frame_of(analysis, function)
                for _, annotation, default, _ in function.parameters:
                    marker_of(frame, annotation, default)

    def call(
        self,
        function: FunctionInfo,
        receiver: "Instance | Made | None",
        path: frozenset[str],
        method: str = "",
    ) -> tuple[Context, Given]:
        """The evaluation of a function whose parameters are injected; of a handler where `method` is given."""
        analysis = self.analysis
        given, edges = Given(), []
        bound: dict[str, Values] = {"request.method": one(Constant(method))} if method else {}
        frame = _frame_of(analysis, function)
        for name, annotation, default, kind in function.parameters[0 if receiver is None else 1 :]:
            if kind in (1, 3):
                continue
            marker = marker_of(frame, annotation, default)
            if marker is None or marker.path not in DEPENDS:
                note = _taken(frame, name, annotation, marker, path, given, function.line)
                frame.facts.context.update(note)
                continue
            found = self.depend(frame, marker, annotation, path)
            bound[name] = abstraction.abstract(_narrowed(frame, found.values, annotation))
            given.add(found.given)
            text = source_of(default if default is not None else annotation)
            edges.extend(self.run(frame, found, given, text, function.line, is_handler=bool(method)))
        context = analysis.context(function, receiver, bound)
        context.facts.context |= frame.facts.context
        context.facts.calls.update(edges)
        return context, given

    def run(
        self, frame: Frame, found: _Dependency, given: Given, text: str, line: int, *, is_handler: bool
    ) -> list[Call]:
        """The edges from a function to what it depends on; a handler's dependency that writes runs around it."""
        names = tuple((name, name) for name in {**found.given.path, **found.given.query})
        edges = []
        personal = (
            {ContextRead(kind="user", name="", expression=text, path=frame.place, line=line)}
            if found.personal
            else set()
        )
        for context in found.contexts:
            reached = self._reached(context)
            personal |= {c for r in reached for c in r.facts.context if c.kind in _PERSONAL}
            if is_handler and any(r.facts.writes or r.facts.side_effects for r in reached):
                given.around[context.index] = None
            else:
                edges.append(Call(context.index, line, False, names))
        if is_handler or found.personal:
            frame.facts.context |= personal
        if personal:
            given.guards[text] = None
        return edges

    def _reached(self, start: Context) -> list[Context]:
        seen, queue = {start.index: start}, [start]
        while queue:
            for call in queue.pop().facts.calls:
                if call.callee not in seen:
                    seen[call.callee] = self.analysis.contexts[call.callee]
                    queue.append(seen[call.callee])
        return list(seen.values())

    # --- what is depended upon

    def depend(
        self, frame: Frame, marker: Made, annotation: Node | None, path: frozenset[str]
    ) -> _Dependency:
        """What `Depends(…)` gives; `Depends()` takes the class of the annotation."""
        targets = (marker.args[0] if marker.args else marker.keyword("dependency")) - one(Constant(None))
        if not targets and annotation is not None:
            noted = annotations.values_of(frame, annotation)
            targets = frozenset(ClassRef(v.index) if isinstance(v, Instance) else v for v in noted)
        whole = _Dependency()
        for target in targets:
            found = self._target(target, path)
            whole.values = join(whole.values, found.values)
            whole.given.add(found.given)
            whole.contexts.extend(found.contexts)
            whole.personal = whole.personal or found.personal
        whole.values = whole.values or UNKNOWN
        return whole

    def _target(self, target: Value, path: frozenset[str]) -> _Dependency:
        key = (target, path)
        if key not in self.known:
            self.known[key] = _Dependency(UNKNOWN)
            if self.depth < _DEEPEST:
                self.depth += 1
                self.known[key] = self._evaluated(target, path)
                self.depth -= 1
        return self.known[key]

    def _evaluated(self, target: Value, path: frozenset[str]) -> _Dependency:
        analysis = self.analysis
        if isinstance(target, FunctionRef):
            receiver = target.receiver if not isinstance(target.receiver, ClassRef) else None
            return self._function(analysis.functions[target.index], receiver, path)
        if isinstance(target, ClassRef):
            return self._class(target, path)
        index = (
            target.index if isinstance(target, Instance) else target.owner if isinstance(target, Made) else -1
        )
        found = _Dependency()
        if index >= 0 and isinstance(target, Instance | Made):
            method = analysis.method(index, "__call__")
            if method is not None:
                found = self._function(analysis.functions[method], target, path)
        if isinstance(target, Made) and target.path == PARTIAL and target.args:
            for inner in target.args[0]:
                found = self._target(inner, path)
        if isinstance(target, External) and target.path.endswith("RequestForm()"):
            return _Dependency(one(target), Given(body={"username": None, "password": None}))
        if isinstance(target, Made | External) and target.path.startswith(SCHEMES):
            found.personal = True
            found.values = found.values or _credentials(analysis, target)
        return found

    def _function(
        self, function: FunctionInfo, receiver: "Instance | Made | None", path: frozenset[str]
    ) -> _Dependency:
        context, given = self.call(function, receiver, path)
        values = context.returns
        if function.is_generator:
            values = join(*(v.items if isinstance(v, Many) else one(v) for v in values))
        contexts = [
            context,
            *(self.analysis.contexts[i] for i in self.analysis.decoration(function).contexts),
        ]
        return _Dependency(values, given, contexts)

    def _class(self, target: ClassRef, path: frozenset[str]) -> _Dependency:
        """A class: its constructor is injected, or its fields are arguments of the URL."""
        method = self.analysis.method(target.index, "__init__")
        if method is not None:
            context, given = self.call(self.analysis.functions[method], Instance(target.index), path)
            return _Dependency(one(Instance(target.index)), given, [context])
        given = Given()
        for name in fields_of(self.analysis, target.index):
            (given.path if name in path else given.query)[name] = None
        return _Dependency(one(Instance(target.index)), given)


def _frame_of(analysis: "Analysis", function: FunctionInfo) -> Frame:
    return Frame(analysis, analysis.modules[function.module], None, None, {}, Facts(), outer=function.outer)


def fields_of(analysis: "Analysis", index: int) -> dict[str, tuple[Node, int]]:
    """The annotated fields of a data class or model: (annotation, class that declares it) by name."""
    found: dict[str, tuple[Node, int]] = {}
    for ancestor in reversed(analysis.mro(index)[0]):
        for name, (_, annotation, _) in analysis.classes[ancestor].attributes.items():
            if annotation is not None and last_name(annotation) != "ClassVar" and not name.startswith("_"):
                found[name] = (annotation, ancestor)
    return found


def is_model(analysis: "Analysis", index: int) -> bool:
    """Whether a class holds data of a request or an answer: a pydantic model, a data class."""
    info = analysis.classes[index]
    return any(path.startswith(_MODELS) for path in analysis.mro(index)[1]) or any(
        last_name(decorator) == "dataclass" for decorator in info.decorators
    )


def marker_of(frame: Frame, annotation: Node | None, default: Node | None) -> Made | None:
    """`= Depends(…)`, `= Query(…)`, or the same inside `Annotated[…]`, also under another name."""
    found: list[Values] = []
    if default is not None and default[0] != "const":
        found.append(frame.expression(default))
    if annotation is not None:
        for value in annotations.looked_up(frame, annotation):
            if isinstance(value, Made) and value.path == annotations.ANNOTATED:
                found.extend(value.args[1:])
    for values in found:
        for value in values:
            if isinstance(value, Made) and (value.path in DEPENDS or value.path in MARKERS):
                return value
            if isinstance(value, ClassRef | External) and f"{getattr(value, 'path', '')}()" in MARKERS:
                return Made(f"{getattr(value, 'path', '')}()", ("", 0))
    return None


def _taken(
    frame: Frame,
    name: str,
    annotation: Node | None,
    marker: Made | None,
    path: frozenset[str],
    given: Given,
    line: int,
) -> list[ContextRead]:
    """Notes which part of the request a parameter is; headers and cookies are given back as context."""
    analysis = frame.analysis
    noted = NOTHING if annotation is None else annotations.values_of(frame, annotation)
    models = [v.index for v in _inside(noted) if isinstance(v, Instance) and is_model(analysis, v.index)]
    kind = MARKERS.get(marker.path, "") if marker is not None else "path" if name in path else ""
    if not kind:
        if any(isinstance(v, External | Made) and v.path.startswith("fastapi.") for v in noted) or (
            annotation is None and name == "request"
        ):
            return []
        kind = "body" if models or any(isinstance(v, Mapping) for v in noted) else "query"
    alias = (text_in(marker.keyword("alias")) if marker is not None else None) or name
    names = [alias]
    if models and kind != "body":
        names = [f for index in models for f in fields_of(analysis, index)]
    if kind in ("query", "body", "path"):
        for each in names:
            {"query": given.query, "body": given.body, "path": given.path}[kind][each] = None
        return []
    if kind == "header":
        names = [each.replace("_", "-").title() if each == name or models else each for each in names]
    found = []
    for each in names:
        signed = _SIGNED_IN.search(each)
        of_kind = "session" if signed and kind == "cookie" else "user" if each == "Authorization" else kind
        found.append(ContextRead(kind=of_kind, name=each, expression=name, path=frame.place, line=line))
    return found


def _inside(values: Values) -> list[Value]:
    found: list[Value] = []
    for value in values:
        found.extend(_inside(value.items) if isinstance(value, Many) else [value])
    return found


def _credentials(analysis: "Analysis", scheme: "Made | External") -> Values:
    """What a security scheme gives: text, an object with the credentials, the row of the user of fastapi-users."""
    if scheme.path.startswith("fastapi_users."):
        rows = [
            i
            for i in analysis.mapped
            if any("BaseUserTable" in p or "BaseUser" in p for p in analysis.mro(i)[1])
        ]
        return frozenset(Instance(i) for i in rows) or UNKNOWN
    return PLAIN


def _narrowed(frame: Frame, values: Values, annotation: Node | None) -> Values:
    """Of several objects that a dependency may give, those that the parameter's annotation allows."""
    noted = NOTHING if annotation is None else annotations.values_of(frame, annotation)
    wanted = {v.index for v in noted if isinstance(v, Instance)}
    fitting = frozenset(
        v
        for v in values
        if not isinstance(v, Instance) or wanted.intersection(frame.analysis.mro(v.index)[0])
    )
    return fitting if wanted and any(isinstance(v, Instance) for v in fitting) else values
