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
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame

SELF = "django.view()"
_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ACTIONS = {"get": ("list", "retrieve"), "post": ("create",), "put": ("update",), "patch": ("partial_update", "update"),
            "delete": ("destroy",), "partial_update": ("update",)}  # fmt: skip
_PART = re.compile(r"\{(\w+)\}")
_BODY = frozenset(("POST", "FILES", "body", "data"))


# --- routes


def routes(analysis: "Analysis") -> list[Route]:
    """Every route with its handler's evaluation and the middleware around it."""
    if "django" not in analysis.notes:
        return []
    found: dict[tuple[object, ...], Route] = {}
    for pattern in urls.patterns(analysis):
        view = pattern.view
        made: list[Route] = []
        if isinstance(view, FunctionRef):
            made = _of_function(analysis, pattern, view.index)
        elif isinstance(view, ClassRef):
            made = _of_class(analysis, pattern, view.index, (), dict(pattern.actions))
        elif isinstance(view, Made) and view.path == urls.AS_VIEW:
            actions = dict(urls.actions_of(view.args[1])) if len(view.args) > 1 else {}
            for inner in view.args[0]:
                if isinstance(inner, ClassRef):
                    made.extend(_of_class(analysis, pattern, inner.index, view.keywords, actions))
        elif isinstance(view, Instance | Made):
            made = _of_object(analysis, pattern, view)
        for route in made:
            found.setdefault((route.method, route.route, route.context), route)
    return list(found.values())


def _route(analysis: "Analysis", pattern: urls.Pattern, method: str, context: int, guards: tuple[str, ...],
           owner: int = -1, around: tuple[int, ...] = (), shown: int = -1) -> Route:  # fmt: skip
    function = analysis.contexts[context].function
    if pattern.guards:
        requests.guarded(analysis, analysis.contexts[context], " ".join(pattern.guards))
    for value in pattern.around:
        if isinstance(value, FunctionRef):
            wrapper = analysis.context(analysis.functions[value.index], value.receiver, {})
            around = (*around, wrapper.index)
    return Route(
        method=method,
        route=pattern.route,
        function=shown if shown >= 0 else function.index,
        context=context,
        line=function.line,
        around=(*around, *requests.middleware(analysis, method)),
        guards=tuple(dict.fromkeys((*pattern.guards, *guards))),
        path_parts=tuple(_PART.findall(pattern.route)),
        owner=owner,
    )


def _of_function(analysis: "Analysis", pattern: urls.Pattern, index: int) -> list[Route]:
    function = analysis.functions[index]
    if analysis.modules[function.module].is_test or not function.parameters:
        return []
    analysis.decoration(function)
    verbs, is_rest = analysis.notes.get("django methods", {}).get(index, ((), False))
    guards = tuple(analysis.notes.get("django guards", {}).get(index, ()))
    found = []
    for verb in verbs or _methods_in(function.statements()):
        request = External(f"{REST_REQUEST if is_rest else REQUEST}({verb})")
        parameter = function.parameters[
            1 if function.owner >= 0 and analysis.binding(function) != "static" else 0
        ][0]
        context = analysis.context(function, None, {parameter: one(request)})
        around = _authenticated(analysis, _base_view(analysis), one(request)) if is_rest else ()
        if is_rest and not guards:
            guards = tuple(_guards(analysis, _base_view(analysis), verb))
        if is_rest and guards:
            requests.guarded(analysis, context, "")
        found.append(_route(analysis, pattern, verb, context.index, guards, around=around))
    return found


def _methods_in(body: Node) -> list[str]:
    """The methods that a function asks for: GET, and those whose data it takes or whose name it compares."""
    found = {"GET"}
    queue: list[object] = [body]
    while queue:
        node = queue.pop()
        if not isinstance(node, tuple):
            continue
        if (
            node
            and node[0] == "attr"
            and len(node) == 4
            and node[3] in _BODY
            and source_of(node[2]).endswith("request")
        ):
            found.add("POST")
        if (
            node
            and node[0] == "op"
            and any(source_of(i).endswith("request.method") for i in node[3] if i[0] == "attr")
        ):
            queue.extend(i[2] for i in node[3] if i[0] == "seq")
            found.update(v for i in node[3] for v in ([i[1]] if i[0] == "const" else [c[1] for c in i[2] if c[0] == "const"] if i[0] == "seq" else []) if v in _VERBS)  # fmt: skip
        queue.extend(node)
    return [verb for verb in _VERBS if verb in found]


def _of_class(analysis: "Analysis", pattern: urls.Pattern, index: int, initial: tuple[tuple[str, Values], ...],
              actions: dict[str, str]) -> list[Route]:  # fmt: skip
    dispatch = analysis.method(index, "dispatch")
    if dispatch is None or analysis.modules[analysis.classes[index].module].is_test:
        return []
    library = analysis.notes["library modules"]
    is_rest = _is_rest(analysis, index)
    found = []
    for verb in _VERBS:
        handler = actions.get(verb, "") if actions else verb.lower()
        method = analysis.method(index, handler) if handler else None
        own = analysis.functions[dispatch].module not in library and not actions and verb == "GET"
        if method is None and own:
            method = dispatch
        if method is None:
            continue
        of_library = analysis.functions[method].module in library
        if of_library and not is_rest and verb not in ("GET", "POST"):
            continue
        request = External(f"{REST_REQUEST if is_rest else REQUEST}({verb})")
        told = (
            ("action", one(Constant(handler if actions else ""))),
            ("handler", one(Constant(handler))),
            ("request", one(request)),
        )
        view = Made(SELF, ("", 0), (), (*told, *initial), index)
        context = analysis.context(analysis.functions[dispatch], view, {"request": one(request)})
        around = _authenticated(analysis, index, one(request), view) if is_rest else ()
        if of_library and is_rest:
            # `post` of the package calls `create` of the application
            inner = [m for a in _ACTIONS.get(handler, ()) if (m := analysis.method(index, a)) is not None]
            method = next((m for m in inner if analysis.functions[m].module not in library), method)
            of_library = analysis.functions[method].module in library
        guards = (
            *_guards(analysis, index, verb),
            *analysis.notes.get("django guards", {}).get(method, ()),
        )
        found.append(
            _route(
                analysis,
                pattern,
                verb,
                context.index,
                guards,
                index if of_library else -1,
                around,
                method,
            )
        )
    return found


def _authenticated(
    analysis: "Analysis", index: int, request: Values, view: Made | None = None
) -> tuple[int, ...]:
    """REST framework finds out who asks before the view runs."""
    check = analysis.method(index, "perform_authentication")
    view = view or Made(SELF, ("", 0), (), (("request", request),), index)
    return (
        (analysis.context(analysis.functions[check], view, {"request": request}).index,)
        if check is not None
        else ()
    )


def _base_view(analysis: "Analysis") -> int:
    """REST framework's own view, which `@api_view` makes of a function."""
    return next(v.index for v in analysis.library["APIView"][1] if isinstance(v, ClassRef))


def _is_rest(analysis: "Analysis", index: int) -> bool:
    return any(analysis.classes[c].name == "APIView" for c in analysis.mro(index)[0])


def _guards(analysis: "Analysis", index: int, verb: str) -> list[str]:
    """What demands an identity before a class-based view answers, as written."""
    found = [*analysis.notes.get("django class guards", {}).get(index, ())]
    library = analysis.notes["library modules"]
    for ancestor in analysis.mro(index)[0]:
        info = analysis.classes[ancestor]
        is_access = any(analysis.classes[c].name == "AccessMixin" for c in analysis.mro(ancestor)[0])
        if is_access and info.module in library and info.name != "AccessMixin":
            found.append(info.name)
        found.extend(analysis.notes.get("django class guards", {}).get(ancestor, ()))
    if _is_rest(analysis, index):
        names = [
            analysis.classes[v.index].name
            for v in classes_of(analysis, index, "permission_classes", "DEFAULT_PERMISSION_CLASSES")
        ]
        reading = verb == "GET" and any(n.endswith(("ReadOnly", "SafeMethods")) for n in names)
        found.extend(n for n in names if n != "AllowAny" and not reading)
    return list(dict.fromkeys(found))


def _of_object(analysis: "Analysis", pattern: urls.Pattern, view: Instance | Made) -> list[Route]:
    index = view.owner if isinstance(view, Made) else view.index
    method = analysis.method(index, "__call__") if index >= 0 else None
    if method is None:
        return []
    request = one(External(f"{REQUEST}(GET)"))
    made = Made(SELF, ("", 0), (), (("request", request),), index)
    context = analysis.context(analysis.functions[method], made, {"request": request})
    of_library = analysis.functions[method].module in analysis.notes["library modules"]
    return [_route(analysis, pattern, "GET", context.index, (), index if of_library else -1)]


# --- what class-based views do by themselves


def classes_of(analysis: "Analysis", index: int, name: str, setting: str) -> list[ClassRef]:
    """The classes that an attribute of a view lists; where it lists none, those of the settings."""
    member = analysis.member(index, name)
    values: Values = NOTHING
    if member is not None and member[0] == "attribute":
        values = analysis.class_attribute(member[2], name)
    else:
        values = frozenset(
            v for text in settings.rest_default(analysis, setting) for v in settings.by_name(analysis, text)
        )
        if (
            not values
            and setting == "DEFAULT_AUTHENTICATION_CLASSES"
            and not settings.rest_default(analysis, setting)
        ):
            values = settings.by_name(analysis, "rest_framework.authentication.SessionAuthentication")
    found: list[ClassRef] = []
    queue = list(values)
    for value in queue:
        if isinstance(value, ClassRef):
            found.append(value)
        elif not isinstance(value, Constant | External):
            queue.extend(
                v for part in (getattr(value, "items", NOTHING), *getattr(value, "parts", ())) for v in part
            )
    return sorted(set(found), key=lambda v: v.index)


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """What `as_view(…)` and the request at hand give a view."""
    if not isinstance(value, Made) or value.path != SELF:
        return None
    if name == "kwargs":
        return one(External("django.views.kwargs"))
    if name in ("args", "format", "format_kwarg"):
        return PLAIN
    return value.keyword(name) or None


def request_of(frame: "Frame", view: Values) -> Values:
    """The request that a view answers."""
    found = join(*(v.keyword("request") for v in view if isinstance(v, Made)))
    return found or one(External(f"{REQUEST}()"))


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """The parts of class-based views that the library leaves to the profiler, and `View.as_view`."""
    last = path.rpartition(".")[2]
    if last == "as_view" and isinstance(receiver, ClassRef):
        return one(
            Made(
                urls.AS_VIEW,
                (frame.module.path, arguments.line),
                (one(receiver), *arguments.positional),
                arguments.keywords,
            )
        )
    if isinstance(receiver, Made) and receiver.path == SELF and path == f"{SELF}.{last}":
        found: Values = NOTHING
        for value in attributes.get(frame, one(receiver), last, arguments.node):
            found = join(found, UNKNOWN if value in UNKNOWN else calls.call_value(frame, value, arguments))
        return found or UNKNOWN
    native = _NATIVE.get(path.removeprefix("django.views.")) if path.startswith("django.views.") else None
    if native is None:
        return None
    views = arguments.get(0)
    rest = Arguments(arguments.positional[1:], arguments.keywords, arguments.node)
    found = NOTHING
    for view in sorted(views, key=repr):
        if isinstance(view, Made | Instance):
            found = join(found, native(frame, view, rest))
    return found or UNKNOWN


def _own(frame: "Frame", view: Value, name: str, node: Node) -> Values:
    """An attribute of a view; empty where it is None or not there."""
    index = view.owner if isinstance(view, Made) else view.index if isinstance(view, Instance) else -1
    if not (isinstance(view, Made) and view.keyword(name)) and frame.analysis.member(index, name) is None:
        return NOTHING
    return attributes.get(frame, one(view), name, node) - one(Constant(None))


def _answer(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """The handler of the request's method runs."""
    analysis = frame.analysis
    if not isinstance(view, Made):
        return UNKNOWN
    handler = text_in(view.keyword("handler")) or ""
    method = analysis.method(view.owner, handler) if handler else None
    if method is None:
        return UNKNOWN
    function = analysis.functions[method]
    decoration = analysis.decoration(function)
    for text in (
        t
        for c in analysis.mro(view.owner)[0]
        for t in analysis.notes.get("django class guards", {}).get(c, ())
    ):
        requests.asked(frame, text, None, arguments.node)
    frame.facts.context |= decoration.facts.context
    frame.facts.reads |= decoration.facts.reads
    names = [p[0] for p in function.parameters[2:] if p[3] in (0, 2) and p[2] is None]
    keywords = tuple((name, one(Argument(name))) for name in names)
    return calls.call_method(
        frame, view, handler, Arguments((request_of(frame, one(view)),), keywords, arguments.node)
    )


def model_of(frame: "Frame", view: Value, node: Node) -> Model | None:
    """The model that a generic view is about."""
    for name in ("model", "queryset"):
        for value in _own(frame, view, name, node):
            found = frame.analysis.model(value) or (
                queries.model_of(frame, value) if isinstance(value, Query) else None
            )
            if isinstance(found, Model):
                return found
    return None


def _queryset(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    found = frozenset(v for v in _own(frame, view, "queryset", arguments.node) if isinstance(v, Query))
    if not found:
        model = model_of(frame, view, arguments.node) or forms.model_behind(
            frame, _own(frame, view, "form_class", arguments.node)
        )
        return one(queries.default(model)) if model is not None else UNKNOWN
    return join(*(calls.call_method(frame, query, "all", given(arguments.node)) for query in found))


def _single(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """The row that the URL names, of a query set."""
    key = text_in(_own(frame, view, "lookup_field", arguments.node)) or "pk"
    parts = Arguments((), ((key, one(Argument(key))),), arguments.node)
    return join(
        *(calls.call_method(frame, v, "get", parts) for v in arguments.get(0) if isinstance(v, Query))
    )


def _context(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    fields: dict[str, Values] = {"view": one(view)}
    for value in arguments.get(0):
        if isinstance(value, Mapping):
            fields.update(value.fields)
    for name in ("object", "object_list"):
        found = fields.get(name) or _own_object(frame, view, name, arguments.node)
        if found:
            fields[name] = found
            suffix = "_list" if name == "object_list" else ""
            given_name = text_in(_own(frame, view, "context_object_name", arguments.node))
            for value in found:
                model = (
                    queries.model_of(frame, value) if isinstance(value, Query) else frame.analysis.row(value)
                )
                if isinstance(model, Model):
                    fields[given_name or f"{model.name}{suffix}"] = found
    extra = _own(frame, view, "extra_context", arguments.node)
    for value in extra:
        if isinstance(value, Mapping):
            fields.update(value.fields)
    return one(Mapping(tuple(fields.items())))


def _own_object(frame: "Frame", view: Value, name: str, node: Node) -> Values:
    names = (
        {frame.analysis.classes[c].name for c in frame.analysis.mro(view.owner)[0]}
        if isinstance(view, Made)
        else set()
    )
    wanted = "SingleObjectMixin" if name == "object" else "MultipleObjectMixin"
    found = attributes.get(frame, one(view), name, node) if wanted in names else NOTHING
    return frozenset(v for v in found if isinstance(v, Instance | Query))


def _render(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    node = arguments.node
    names = _own(frame, view, "template_name", node)
    if isinstance(view, Made) and frame.analysis.method(view.owner, "get_template_names") is not None:
        names = calls.call_method(frame, view, "get_template_names", given(node))
    if not names and isinstance(view, Made):
        ancestors = {frame.analysis.classes[c].name for c in frame.analysis.mro(view.owner)[0]}
        kinds = {
            "MultipleObjectMixin": "_list",
            "DeletionMixin": "_confirm_delete",
            "ModelFormMixin": "_form",
            "SingleObjectMixin": "_detail",
        }
        suffix = text_in(_own(frame, view, "template_name_suffix", node)) or next(
            (s for n, s in kinds.items() if n in ancestors), ""
        )
        model = model_of(frame, view, node)
        names = one(Constant(f"{model.label}/{model.name}{suffix}.html")) if model is not None else NOTHING
    return pages.render(frame, names, arguments.get(0), request_of(frame, one(view)), node)


def _page(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """What one page of a query set is; which page is said in the URL."""
    node = arguments.node
    if not _own(frame, view, "paginate_by", node):
        return one(Constant(None))
    frame.note_context("query", "page", node)
    return one(Page(frame.iterate(arguments.get(0), node)))


def _paged(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """The pagination of REST framework."""
    node = arguments.node
    values = frozenset(_own(frame, view, "pagination_class", node))
    index = view.owner if isinstance(view, Made) else -1
    said = frame.analysis.member(index, "pagination_class") is not None
    default = settings.rest_default(frame.analysis, "DEFAULT_PAGINATION_CLASS")
    if values or (not said and default):
        frame.note_context("query", "page", node)
        frame.iterate(arguments.get(0), node)
        for value in values or settings.by_name(frame.analysis, default[0]):
            if isinstance(value, ClassRef):
                calls.call_method(
                    frame, Instance(value.index), "paginate_queryset", given(node, *arguments.positional)
                )
    return arguments.get(0)


def _filtered(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """The filter backends of REST framework: what they filter by is said in the URL."""
    from cache_strategy.profile.frameworks.django import rest

    return rest.filtered(
        frame, view, arguments.get(0), _own(frame, view, "filter_backends", arguments.node), arguments.node
    )


def _form_class(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    found = _own(frame, view, "form_class", arguments.node)
    if found:
        return found
    model = model_of(frame, view, arguments.node)
    return one(External(f"django.forms.ModelForm<{model.index}>")) if model is not None else UNKNOWN


def _made(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    name, setting = text_in(arguments.get(0)) or "", text_in(arguments.get(1)) or ""
    index = view.owner if isinstance(view, Made) else view.index if isinstance(view, Instance) else -1
    return many(frozenset(Instance(c.index) for c in classes_of(frame.analysis, index, name, setting)))


def _feed(frame: "Frame", view: Value, arguments: Arguments) -> Values:
    """Each item of a feed is asked for what its entry shows."""
    index = view.owner if isinstance(view, Made) else -1
    frame.loops += 1
    for name in (
        "item_title",
        "item_description",
        "item_link",
        "item_pubdate",
        "item_author_name",
        "item_updateddate",
        "item_categories",
    ):
        if index >= 0 and frame.analysis.method(index, name) is not None:
            frame.consume(
                calls.call_method(frame, view, name, given(arguments.node, arguments.get(0))), arguments.node
            )
    frame.loops -= 1
    return PLAIN


_NATIVE = {
    "answer": _answer, "queryset": _queryset, "single": _single, "context": _context, "render": _render, "page": _page,
    "paged": _paged, "filtered": _filtered, "form_class": _form_class, "made": _made, "feed": _feed,
}  # fmt: skip
