"""Dependency injection: what the parameters of a handler are given, and what giving it does."""

import re
from dataclasses import dataclass, field

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile import abstraction, annotations
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Call, Context, Facts
from cache_strategy.profile.frameworks.fastapi.asking import PERSONAL, Asking, is_asking
from cache_strategy.profile.frameworks.fastapi.fields import fields_of, is_model
from cache_strategy.profile.frameworks.fastapi.knowledge import DEPENDS, MARKERS, SCHEMES
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.source_text import source_of
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

_DEEPEST = 20
_SIGNED_IN = re.compile(r"(session|token|user|auth|jwt|login|credential)", re.IGNORECASE)


@dataclass
class Given:
    """
    What depending on something gives: `values`, and the evaluations behind them.

    `names` are (part of the request, name there) of what is taken; `personal` says that a security scheme looks at
    who asks. Of a handler, `guards` are the dependencies that do, as written, `around` what runs before it, `before`
    the evaluations for its parameters, and `identities` the expression that stands for who asks, by each thing that is looked at to know it.
    """

    values: Values = NOTHING
    contexts: list[Context] = field(default_factory=list)
    names: dict[tuple[str, str], None] = field(default_factory=dict)
    personal: bool = False
    guards: dict[str, None] = field(default_factory=dict)
    around: dict[int, None] = field(default_factory=dict)
    identities: dict[ContextRead, str] = field(default_factory=dict)
    before: set[int] = field(default_factory=set)

    def of(self, part: str) -> tuple[str, ...]:
        return tuple(name for where, name in self.names if where == part)


class Injector:
    """Evaluates functions with what FastAPI gives to their parameters; `path` are the names in the route."""

    def __init__(self, analysis: Analysis, look: bool = True) -> None:
        self.analysis = analysis
        self.known: dict[tuple[Value, frozenset[str]], Given] = {}
        self.depth = 0
        # what functions that make dependencies are called with is known before the first of these runs
        for function in list(analysis.program.production_functions()) if look else ():
            if any(default is not None and default[0] == "call" for _, _, default, _ in function.parameters):
                for _, annotation, default, _ in function.parameters:
                    marker_of(self.frame(function), annotation, default)

    def frame(self, function: FunctionInfo) -> Frame:
        module = self.analysis.modules[function.module]
        return Frame(self.analysis, module, None, None, {}, Facts(), outer=function.outer)

    def call(
        self,
        function: FunctionInfo,
        receiver: "Instance | Made | None",
        path: frozenset[str],
        asked: tuple[str, tuple[Made, ...]] | None = None,
    ) -> Given:
        """A function's evaluation; `asked` is a handler's: the request's method, what its route depends on besides."""
        given, frame, edges = Given(), self.frame(function), set()
        bound: dict[str, Values] = {}
        asking = Asking(self.analysis)
        wanted = [p[:3] for p in function.parameters[0 if receiver is None else 1 :] if p[3] in (0, 2)]
        if asked is not None:
            bound["request.method"] = one(Constant(asked[0]))
        for name, annotation, default in wanted:
            marker = marker_of(frame, annotation, default)
            if marker is None or marker.path not in DEPENDS:
                frame.facts.context |= _taken(frame, name, annotation, marker, path, given, function.line)
                continue
            found = self.depend(frame, marker, annotation, path)
            bound[name] = abstraction.abstract(_narrowed(frame, found.values, annotation))
            text = source_of(default or annotation or ("none",))
            reached, personal = self._run(frame, found, given, text, function.line, asked is not None)
            edges |= reached
            noted = NOTHING if annotation is None else annotations.values_of(frame, annotation)
            # what a scheme itself gives is a secret, which has no place in a key
            seen, noted = (UNKNOWN, NOTHING) if found.personal else (found.values, noted)
            asking.given(name, seen, noted, personal)
        # what the class of a class-based view says for all its handlers
        for index in self.analysis.mro(receiver.index)[0] if asked and isinstance(receiver, Instance) else ():
            for name in self.analysis.classes[index].attributes:
                for value in self.analysis.class_attribute(index, name):
                    if isinstance(value, Made) and value.path in DEPENDS:
                        found = self.depend(frame, value, None, path)
                        reached, personal = self._run(
                            frame, found, given, f"self.{name}", function.line, True
                        )
                        edges |= reached
                        asking.given("", found.values, NOTHING, personal)
        for marker in asked[1] if asked is not None else ():
            found = self.depend(frame, marker, None, path)
            asking.guarded(self._run(frame, found, given, "", function.line, True)[1])
            given.around.update((context.index, None) for context in found.contexts)
        context = self.analysis.context(function, receiver, bound)
        context.facts.context |= frame.facts.context
        context.facts.calls |= edges
        given.contexts = [context]
        given.identities = asking.identities() if asked is not None else {}
        return given

    def _run(
        self, frame: Frame, found: Given, given: Given, text: str, line: int, top: bool
    ) -> tuple[set[Call], set[ContextRead]]:
        """
        The edges to what is depended upon, and what that looks at to know who asks.

        At the top, who asks is part of the question, and what writes runs around.
        """
        given.names.update(found.names)
        edges = set()
        asking = ContextRead(kind="user", name="", expression=text, path=frame.place, line=line)
        personal = {asking} if found.personal else set()
        given.before.update(context.index for context in found.contexts)
        for context in found.contexts:
            reached = self._reached(context)
            personal |= {c for r in reached for c in r.facts.context if is_asking(c)}
            if top and any(r.facts.writes or r.facts.side_effects for r in reached):
                given.around[context.index] = None
            else:
                names = tuple((name, name) for part, name in found.names if part != "body")
                edges.add(Call(context.index, line, False, names))
        if top or found.personal:
            frame.facts.context |= {c for c in personal if c.kind in PERSONAL}
        if any(c.kind in PERSONAL for c in personal) and text:
            given.guards[text] = None
        return edges, personal

    def _reached(self, start: Context) -> list[Context]:
        seen, queue = {start.index}, [start.index]
        contexts = self.analysis.contexts
        for index in queue:
            for call in contexts[index].facts.calls:
                if call.callee not in seen:
                    seen.add(call.callee)
                    queue.append(call.callee)
        return [contexts[index] for index in queue]

    def depend(self, frame: Frame, marker: Made, annotation: Node | None, path: frozenset[str]) -> Given:
        """What `Depends(…)` gives; `Depends()` takes the class of the annotation."""
        targets = marker.arg(0, "dependency") - one(Constant(None))
        if not targets and annotation is not None:
            noted = annotations.values_of(frame, annotation)
            targets = frozenset(ClassRef(v.index) if isinstance(v, Instance) else v for v in noted)
        whole = Given()
        for target in targets:
            key = (target, path)
            if key not in self.known:
                self.known[key] = Given(UNKNOWN)
                if self.depth < _DEEPEST:
                    self.depth += 1
                    self.known[key] = self._target(target, path)
                    self.depth -= 1
            found = self.known[key]
            whole.values = join(whole.values, found.values)
            whole.names.update(found.names)
            whole.contexts.extend(found.contexts)
            whole.personal = whole.personal or found.personal
        whole.values = whole.values or UNKNOWN
        return whole

    def _target(self, target: Value, path: frozenset[str]) -> Given:
        analysis = self.analysis
        found = Given()
        if isinstance(target, FunctionRef):
            receiver = None if isinstance(target.receiver, ClassRef) else target.receiver
            found = self._called(target.index, receiver, path)
        elif isinstance(target, ClassRef):
            method = analysis.method(target.index, "__init__")
            if method is not None:
                found = self._called(method, Instance(target.index), path)
            else:
                fields = fields_of(analysis, target.index)
                found.names = {("path" if name in path else "query", name): None for name in fields}
            found.values = one(Instance(target.index))
        elif isinstance(target, Instance) or (isinstance(target, Made) and target.owner >= 0):
            method = analysis.method(
                target.index if isinstance(target, Instance) else target.owner, "__call__"
            )
            if method is not None:
                found = self._called(method, target, path)
        if isinstance(target, Made | External) and target.path.startswith(SCHEMES):
            found.personal = True
            found.values = found.values or (PLAIN if "security" in target.path else UNKNOWN)
        return found

    def _called(self, index: int, receiver: "Instance | Made | None", path: frozenset[str]) -> Given:
        function = self.analysis.functions[index]
        found = self.call(function, receiver, path)
        found.values = found.contexts[0].returns
        if function.is_generator:
            found.values = join(*(v.items if isinstance(v, Many) else one(v) for v in found.values))
        return found


def marker_of(frame: Frame, annotation: Node | None, default: Node | None) -> Made | None:
    """`= Depends(…)`, `= Query(…)`, or the same inside `Annotated[…]`, also under another name."""
    found = [frame.expression(default)] if default is not None and default[0] != "const" else []
    for value in annotations.looked_up(frame, annotation) if annotation is not None else NOTHING:
        if isinstance(value, Made) and value.path == annotations.ANNOTATED:
            found.extend(value.args[1:])
    known = (v for values in found for v in values if isinstance(v, Made))
    return next((v for v in known if v.path in DEPENDS or v.path in MARKERS), None)


def _taken(
    frame: Frame,
    name: str,
    annotation: Node | None,
    marker: Made | None,
    path: frozenset[str],
    given: Given,
    line: int,
) -> set[ContextRead]:
    """Notes which part of the request a parameter is; headers and cookies are given back as context."""
    noted = NOTHING if annotation is None else annotations.values_of(frame, annotation)
    inside = noted.union(*(v.items for v in noted if isinstance(v, Many)))
    models = [v.index for v in inside if isinstance(v, Instance) and is_model(frame.analysis, v.index)]
    part = MARKERS[marker.path] if marker is not None else "path" if name in path else ""
    if not part:
        if name == "request" or any(isinstance(v, External) and v.path.startswith("fastapi.") for v in noted):
            return set()
        part = "body" if models or any(isinstance(v, Mapping) for v in noted) else "query"
    alias = text_in(marker.keyword("alias")) if marker is not None else None
    alias = alias or (name.replace("_", "-").title() if part == "header" else name)
    names = [f for index in models for f in fields_of(frame.analysis, index)] if part == "query" else []
    if part in ("query", "body", "path"):
        given.names.update(((part, each), None) for each in names or [alias])
        return set()
    kind = "session" if part == "cookie" and _SIGNED_IN.search(alias) else part
    kind = "user" if alias == "Authorization" else kind
    return {ContextRead(kind=kind, name=alias, expression=name, path=frame.place, line=line)}


def _narrowed(frame: Frame, values: Values, annotation: Node | None) -> Values:
    """Of several objects that a dependency may give, those that the parameter's annotation allows."""
    noted = NOTHING if annotation is None else annotations.values_of(frame, annotation)
    wanted = {v.index for v in noted if isinstance(v, Instance)}
    objects = {v for v in values if isinstance(v, Instance)}
    fitting = {v for v in objects if wanted.intersection(frame.analysis.mro(v.index)[0])}
    return values - (objects - fitting) if fitting else values
