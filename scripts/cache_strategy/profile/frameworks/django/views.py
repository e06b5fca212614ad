"""Views: which methods they answer, how one request runs through them, what class-based views do by themselves."""

import re
from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.frameworks.django import forms, pages, requests, urls
from cache_strategy.profile.frameworks.django.knowledge import REQUEST, REST_REQUEST
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import queries, settings
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Mapping,
    Page,
    Query,
    Value,
    Values,
    join,
    many,
    one,
    text_in,
    texts_in,
)  # fmt: skip

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

SELF, _DEFAULT = "django.view()", "rest_framework.default."
_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ACTIONS = {"get": "list retrieve", "post": "create", "put": "update", "patch": "partial_update update",
            "delete": "destroy", "partial_update": "update"}  # fmt: skip
_SUFFIXES = {"MultipleObjectMixin": "_list", "DeletionMixin": "_confirm_delete", "ModelFormMixin": "_form",
             "SingleObjectMixin": "_detail"}  # fmt: skip


class Router:
    """Makes the routes of one run."""

    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.notes = analysis.notes
        self.found: dict[tuple[str, str, int], Route] = {}

    def read(self) -> list[Route]:
        for pattern in urls.patterns(self.analysis):
            view = pattern.view
            if isinstance(view, FunctionRef):
                self.function(pattern, view.index)
            elif isinstance(view, ClassRef):
                self.view(pattern, view.index, (), dict(pattern.actions))
            elif isinstance(view, Made) and view.path == urls.AS_VIEW:
                said = [f for a in view.args[1:] for m in a if isinstance(m, Mapping) for f in m.fields]
                actions = {name.upper(): text_in(values) or "" for name, values in said}
                for inner in (v for v in view.args[0] if isinstance(v, ClassRef)):
                    self.view(pattern, inner.index, view.keywords, actions)
            elif isinstance(view, Instance | Made):
                index = view.owner if isinstance(view, Made) else view.index
                method = self.analysis.method(index, "__call__") if index >= 0 else None
                if method is not None:
                    self.add(pattern, "GET", method, self.made(index, "GET", False), (), index)
        return list(self.found.values())

    def of_library(self, function: int) -> bool:
        return self.analysis.functions[function].module in self.notes["library modules"]

    def made(self, index: int, verb: str, is_rest: bool, **told: str) -> Made:
        """The object of a view class that answers one request."""
        request = External(f"{REST_REQUEST if is_rest else REQUEST}({verb})")
        return Made(
            SELF,
            ("", 0),
            (),
            (("request", one(request)), *((k, one(Constant(v))) for k, v in told.items())),
            index,
        )

    def add(self, pattern: urls.Pattern, verb: str, function: int, view: Made, guards: tuple[str, ...], owner: int = -1,
            around: tuple[int, ...] = (), shown: int = -1) -> None:  # fmt: skip
        """Adds a route that `function` answers: a method of `view`, or a function where that has no class."""
        analysis, info, shown = self.analysis, self.analysis.functions[function], max(shown, -1)
        is_method = info.owner >= 0 and analysis.binding(info) != "static"
        bound = {p[0]: view.keyword("request") for p in info.parameters[is_method:][:1]}
        context = analysis.context(info, view if view.owner >= 0 else None, bound)
        if pattern.guards:
            requests.guarded(analysis, context, " ".join(pattern.guards))
        wrappers = [v for v in pattern.around if isinstance(v, FunctionRef)]
        around += tuple(analysis.context(analysis.functions[w.index], w.receiver, {}).index for w in wrappers)
        shown = shown if shown >= 0 else function
        route = Route(
            verb, pattern.route, shown, context.index, info.line, (*around, *requests.middleware(analysis, verb)),
            tuple(dict.fromkeys((*pattern.guards, *guards))), tuple(re.findall(r"\{(\w+)\}", pattern.route)),
            owner=owner if self.of_library(shown) else -1,
        )  # fmt: skip
        self.found.setdefault((verb, pattern.route, context.index), route)

    def function(self, pattern: urls.Pattern, index: int) -> None:
        analysis, function = self.analysis, self.analysis.functions[index]
        if analysis.modules[function.module].is_test or not function.parameters:
            return
        analysis.decoration(function)
        verbs, is_rest = self.notes.get("django methods", {}).get(index, ((), False))
        base = next((v.index for v in analysis.library["APIView"][1] if isinstance(v, ClassRef)), -1)
        for verb in verbs or _methods_in(function.statements()):
            guards = tuple(self.notes.get("django guards", {}).get(index, ()))
            guards = self.guards(base, verb, index) if is_rest and not guards else guards
            around = self.authenticated(self.made(base, verb, True)) if is_rest else ()
            self.add(pattern, verb, index, self.made(-1, verb, is_rest), guards, -1, around)
            if is_rest and guards:
                requests.guarded(analysis, analysis.contexts[next(reversed(self.found))[2]], "")

    def view(
        self,
        pattern: urls.Pattern,
        index: int,
        initial: tuple[tuple[str, Values], ...],
        actions: dict[str, str],
    ) -> None:
        """The routes of a view class; `actions` are the methods of a view set by HTTP method."""
        analysis, dispatch = self.analysis, self.analysis.method(index, "dispatch")
        if dispatch is None or analysis.modules[analysis.classes[index].module].is_test:
            return
        is_rest = any(analysis.classes[c].name == "APIView" for c in analysis.mro(index)[0])
        answered = _texts(analysis.attribute_of(index, "http_method_names"))
        for verb in _VERBS:
            if answered and verb.lower() not in answered:
                continue
            handler = actions.get(verb, "") if actions else verb.lower()
            method = analysis.method(index, handler)
            if method is None and verb == "GET" and not actions and not self.of_library(dispatch):
                method = dispatch
            if method is None or (self.of_library(method) and not is_rest and verb not in ("GET", "POST")):
                continue
            view = self.made(index, verb, is_rest, action=handler if actions else "", handler=handler)
            view = Made(SELF, ("", 0), (), (*view.keywords, *initial), index)
            if self.of_library(method) and is_rest:
                # `post` of the package calls `create` of the application
                inner = [
                    m
                    for a in _ACTIONS.get(handler, "").split()
                    if (m := analysis.method(index, a)) is not None
                ]
                method = next((m for m in inner if not self.of_library(m)), method)
            around = self.authenticated(view) if is_rest else ()
            self.add(pattern, verb, dispatch, view, self.guards(index, verb, method), index, around, method)

    def authenticated(self, view: Made) -> tuple[int, ...]:
        """REST framework finds out who asks before the view runs."""
        check = self.analysis.method(view.owner, "perform_authentication")
        assert check is not None
        return (
            self.analysis.context(
                self.analysis.functions[check], view, {"request": view.keyword("request")}
            ).index,
        )

    def guards(self, index: int, verb: str, method: int) -> tuple[str, ...]:
        analysis, classes = self.analysis, self.analysis.mro(index)[0]
        found = [text for c in classes for text in self.notes.get("django class guards", {}).get(c, ())]
        of_library = [
            c for c in map(analysis.classes.__getitem__, classes) if c.module in self.notes["library modules"]
        ]
        found += [c.name for c in of_library if c.name.endswith(("RequiredMixin", "PassesTestMixin"))]
        names = [
            analysis.classes[c].name
            for c in listed(analysis, analysis.attribute_of(index, "permission_classes"))
        ]
        reading = verb == "GET" and any(name.endswith("ReadOnly") for name in names)
        found += [name for name in names if name != "AllowAny" and not reading]
        return tuple(dict.fromkeys([*found, *self.notes.get("django guards", {}).get(method, ())]))


def _methods_in(body: Node) -> list[str]:
    found, queue = {"GET"}, [body]
    for node in queue:
        queue.extend(part for part in node if isinstance(part, tuple))
        if node[:1] == ("attr",) and len(node) == 4 and source_of(node[2]).endswith("request"):
            found |= {"POST"} if node[3] in ("POST", "FILES", "body", "data") else set()
        if node[:1] == ("op",) and any(
            source_of(i).endswith("request.method") for i in node[3] if i[0] == "attr"
        ):
            values = [c for i in node[3] for c in (i[2] if i[0] == "seq" else (i,))]
            found.update(c[1] for c in values if c[0] == "const")
    return [verb for verb in _VERBS if verb in found]


def _texts(values: Values) -> set[str]:
    """The texts in lists."""
    inside = [part for v in values for part in (getattr(v, "items", NOTHING), *getattr(v, "parts", ()))]
    return {text for part in inside for text in texts_in(part)}


def listed(analysis: "Analysis", values: Values) -> list[int]:
    """The classes in a list, or in the default of the settings that stands for it."""
    found, queue = set(), list(values)
    for value in queue:
        if isinstance(value, ClassRef):
            found.add(value.index)
        elif isinstance(value, External):
            queue.extend(_default(analysis, value.path))
        else:
            queue.extend(
                v for part in (getattr(value, "items", NOTHING), *getattr(value, "parts", ())) for v in part
            )
    return sorted(found)


def _default(analysis: "Analysis", path: str) -> Values:
    """`rest_framework.default.PERMISSION_CLASSES`: what the settings say."""
    name = path.removeprefix(_DEFAULT)
    said = settings.rest_default(analysis, f"DEFAULT_{name}") if name != path else []
    if not said and name == "AUTHENTICATION_CLASSES":
        said = ["rest_framework.authentication.SessionAuthentication"]
    found = frozenset(v for dotted in said for v in settings.by_name(analysis, dotted))
    return many(found) if name.endswith("S") else found or one(Constant(None))


# --- what class-based views do by themselves


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """What `as_view(…)` and the request at hand give a view."""
    if not isinstance(value, Made) or value.path != SELF:
        return None
    if name in ("args", "format", "kwargs"):
        return one(External("django.views.kwargs")) if name == "kwargs" else PLAIN
    said = value.keyword(name) or frame.analysis.attribute_of(value.owner, name)
    paths = [v.path for v in said if isinstance(v, External) and v.path.startswith(_DEFAULT)]
    return _default(frame.analysis, paths[0]) if paths else value.keyword(name) or None


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """The parts of class-based views that the library leaves to the profiler, and `View.as_view`."""
    last, node = path.rpartition(".")[2], arguments.node
    if last == "as_view" and isinstance(receiver, ClassRef):
        place = (frame.module.path, arguments.line)
        return one(Made(urls.AS_VIEW, place, (one(receiver), *arguments.positional), arguments.keywords))
    if isinstance(receiver, Made) and path == f"{SELF}.{last}":
        values = attributes.get(frame, one(receiver), last, node)
        return (
            join(*(UNKNOWN if v in UNKNOWN else calls.call_value(frame, v, arguments) for v in values))
            or UNKNOWN
        )
    native = _NATIVE.get(path.removeprefix("django.views."))
    if native is None:
        return None
    said = (Made(SELF, ("", 0), owner=v.index) if isinstance(v, Instance) else v for v in arguments.get(0))
    views = sorted((v for v in said if isinstance(v, Made)), key=repr)
    return join(*(native(frame, view, arguments.get(1), node) for view in views)) or UNKNOWN


def _own(frame: "Frame", view: Made, name: str, node: Node) -> Values:
    if not view.keyword(name) and frame.analysis.member(view.owner, name) is None:
        return NOTHING
    return attributes.get(frame, one(view), name, node) - one(Constant(None))


def _answer(frame: "Frame", view: Made, _: Values, node: Node) -> Values:
    analysis, handler = frame.analysis, text_in(view.keyword("handler")) or ""
    method = analysis.method(view.owner, handler)
    if method is None:
        return UNKNOWN
    guards = analysis.notes.get("django class guards", {})
    for text in (t for c in analysis.mro(view.owner)[0] for t in guards.get(c, ())):
        requests.asked(frame, text, None, node)
    function = analysis.functions[method]
    frame.facts.include(analysis.decoration(function).facts)
    names = [p[0] for p in function.parameters[2:] if p[3] in (0, 2) and p[2] is None]
    parts = tuple((name, one(Argument(name))) for name in names)
    return calls.call_method(frame, view, handler, Arguments((view.keyword("request"),), parts, node))


def _model(frame: "Frame", view: Made, node: Node) -> Model | None:
    said = [*_own(frame, view, "model", node), *_own(frame, view, "queryset", node)]
    found = [queries.model_of(frame, v) if isinstance(v, Query) else frame.analysis.model(v) for v in said]
    found.append(forms.model_behind(frame, _own(frame, view, "form_class", node)))
    return next((m for m in found if isinstance(m, Model)), None)


def _queryset(frame: "Frame", view: Made, _: Values, node: Node) -> Values:
    found, model = (
        [v for v in _own(frame, view, "queryset", node) if isinstance(v, Query)],
        _model(frame, view, node),
    )
    if not found and model is not None:
        return one(queries.default(model))
    return join(*(calls.call_method(frame, query, "all", given(node)) for query in found)) or UNKNOWN


def _single(frame: "Frame", view: Made, found: Values, node: Node) -> Values:
    key = text_in(_own(frame, view, "lookup_field", node)) or "pk"
    lookup = Arguments((), ((key, one(Argument(key))),), node)
    return join(*(calls.call_method(frame, v, "get", lookup) for v in found if isinstance(v, Query)))


def _names(frame: "Frame", view: Made) -> set[str]:
    return {frame.analysis.classes[c].name for c in frame.analysis.mro(view.owner)[0]}


def _context(frame: "Frame", view: Made, said: Values, node: Node) -> Values:
    fields: dict[str, Values] = {"view": one(view)}
    for value in (*said, *_own(frame, view, "extra_context", node)):
        fields |= dict(value.fields) if isinstance(value, Mapping) else {}
    for name, mixin in (("object", "SingleObjectMixin"), ("object_list", "MultipleObjectMixin")):
        own = attributes.get(frame, one(view), name, node) if mixin in _names(frame, view) else NOTHING
        found = fields.get(name) or own
        for value in found:
            model = queries.model_of(frame, value) if isinstance(value, Query) else frame.analysis.row(value)
            if isinstance(model, Model):
                told = text_in(_own(frame, view, "context_object_name", node))
                fields[told or model.name + name[6:]] = fields[name] = found
    return one(Mapping(tuple(fields.items())))


def _render(frame: "Frame", view: Made, context: Values, node: Node) -> Values:
    names = _own(frame, view, "template_name", node)
    if frame.analysis.method(view.owner, "get_template_names") is not None:
        names = calls.call_method(frame, view, "get_template_names", given(node))
    model = None if names else _model(frame, view, node)
    if model is not None:
        known = next((suffix for name, suffix in _SUFFIXES.items() if name in _names(frame, view)), "")
        suffix = text_in(_own(frame, view, "template_name_suffix", node)) or known
        names = one(Constant(f"{model.label}/{model.name}{suffix}.html"))
    return pages.render(frame, names, context, view.keyword("request"), node)


def _page(frame: "Frame", view: Made, found: Values, node: Node) -> Values:
    if not _own(frame, view, "paginate_by", node):
        return one(Constant(None))
    frame.note_context("query", "page", node)
    return one(Page(frame.iterate(found, node)))


def _form_class(frame: "Frame", view: Made, _: Values, node: Node) -> Values:
    model = _model(frame, view, node)
    of_model = one(External(f"django.forms.ModelForm<{model.index}>")) if model is not None else UNKNOWN
    return _own(frame, view, "form_class", node) or of_model


_NATIVE = {
    "answer": _answer, "queryset": _queryset, "single": _single, "context": _context, "render": _render, "page": _page,
    "form_class": _form_class,
}  # fmt: skip
