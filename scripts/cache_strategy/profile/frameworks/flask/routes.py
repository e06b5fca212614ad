"""Flask's routes: rules, blueprints and their prefixes, class-based views, hooks around requests."""

import re
from dataclasses import dataclass, field

from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.kinds import Analysis, Frame
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    Constant,
    FunctionRef,
    Instance,
    Made,
    Mapping,
    Value,
    Values,
    one,
    text_in,
    texts_in,
)

_VERBS = ("get", "post", "put", "patch", "delete")
_APPS = ("flask.Flask()", "quart.Quart()")
_BLUEPRINTS = ("flask.Blueprint()", "quart.Blueprint()")
_NAMESPACE = "flask_restx.Namespace()"
_RESOURCES = ("flask_restful.Api()", "flask_restx.Api()", _NAMESPACE)
_NO_ROUTES = frozenset(
    """errorhandler register_error_handler teardown_request teardown_appcontext shell_context_processor
    app_errorhandler add_template_filter cli""".split()
)
_RULE_PART = re.compile(r"<(?:[^<>:]*(?:\([^()]*\))?:)?([^<>:]+)>")
_DEEPEST = 8


@dataclass(frozen=True)
class _Rule:
    owner: Made | None
    rule: str
    methods: tuple[str, ...]
    function: int
    line: int
    receiver: ClassRef | None = None


@dataclass
class Notes:
    rules: dict[_Rule, None] = field(default_factory=dict)
    registered: dict[tuple[Made, Made, str | None], None] = field(default_factory=dict)
    hooks: dict[tuple[int, str, Made | None], None] = field(default_factory=dict)
    guards: dict[int, list[str]] = field(default_factory=dict)
    queries: dict[int, dict[str, None]] = field(default_factory=dict)


def notes_of(analysis: Analysis) -> Notes:
    found: Notes = analysis.notes.setdefault("flask routes", {}).setdefault("notes", Notes())
    return found


def decorated(
    frame: Frame, function: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    last = path.rpartition(".")[2]
    owner = path[: -len(last) - 1]
    if arguments is None or not (owner in _APPS or owner in _BLUEPRINTS or owner == "?"):
        return False
    if last == "route":
        methods = texts_in(arguments.get(-1, "methods")) or ["GET"]
    elif last in _VERBS and owner != "?":
        methods = [last]
    else:
        return False
    _add(frame, function, receiver, texts_in(arguments.get(0, "rule")), methods, arguments.line)
    return True


def decorated_class(
    frame: Frame, index: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    """`@namespace.route("/path")` on a resource, `@blueprint.route("/path")` on a view class."""
    owner, _, last = path.rpartition(".")
    if last != "route" or arguments is None or not (owner in _RESOURCES or owner in _BLUEPRINTS):
        return False
    for position in range(len(arguments.positional)):
        rules = texts_in(arguments.get(position))
        _add_view(frame, ClassRef(index), receiver, rules, [], arguments.line)
    return True


def _add(
    frame: Frame,
    function: int,
    receiver: Value | None,
    rules: list[str],
    methods: list[str],
    line: int,
    view: ClassRef | None = None,
) -> None:
    owner = receiver if isinstance(receiver, Made) else None
    verbs = tuple(sorted({m.upper() for m in methods}))
    for rule in rules or ["/?"]:
        notes_of(frame.analysis).rules[_Rule(owner, rule, verbs, function, line, view)] = None


def hook(frame: Frame, function: int, name: str, receiver: Value | None) -> None:
    owner = receiver if isinstance(receiver, Made) else None
    notes_of(frame.analysis).hooks[(function, name, owner)] = None


def guard(frame: Frame, function: int, text: str) -> None:
    found = notes_of(frame.analysis).guards.setdefault(function, [])
    if text not in found:
        found.append(text)


def note_arguments(frame: Frame, function: int, arguments: Arguments) -> None:
    """`@use_kwargs({...})`: the names that the handler takes from the request."""
    where = text_in(arguments.get(-1, "location")) or "?"
    found = notes_of(frame.analysis).queries.setdefault(function, {})
    for value in arguments.get(0):
        if isinstance(value, Mapping):
            for name, _ in value.fields:
                found[f"{where}:{name}"] = None
        elif isinstance(value, Instance | ClassRef):
            for ancestor in frame.analysis.mro(value.index)[0]:
                for name in frame.analysis.classes[ancestor].attributes:
                    for made in frame.analysis.class_attribute(ancestor, name):
                        if isinstance(made, Made) and made.path.startswith("marshmallow.fields."):
                            found[f"{where}:{name}"] = None


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`register_blueprint`, `add_url_rule`, `View.as_view`, `add_resource`, hooks given as calls."""
    owner, _, last = path.rpartition(".")
    if last == "as_view" and isinstance(receiver, ClassRef):
        return one(Made("flask.view()", (frame.module.path, arguments.line), (one(receiver),)))
    if last in ("register_blueprint", "register_api", "add_namespace"):
        if owner in (*_APPS, *_BLUEPRINTS, *_RESOURCES, "flask_smorest.Api()"):
            _register(frame, receiver, last, arguments)
            return NOTHING
    elif owner in _APPS or owner in _BLUEPRINTS:
        if last == "add_url_rule":
            _add_url_rule(frame, receiver, arguments)
            return NOTHING
        if last in ("before_request", "before_app_request", "after_request", "after_app_request"):
            for value in arguments.get(0):
                if isinstance(value, FunctionRef):
                    hook(frame, value.index, last, receiver)
            return NOTHING
        if last in _NO_ROUTES:
            return NOTHING
    elif last == "add_resource" and owner in _RESOURCES:
        for view in arguments.get(0):
            if isinstance(view, ClassRef):
                for urls in arguments.positional[1:]:
                    _add_view(frame, view, receiver, texts_in(urls), [], arguments.line)
        return NOTHING
    return None


def _register(frame: Frame, receiver: Value | None, last: str, arguments: Arguments) -> None:
    given = arguments.get(1, "path" if last == "add_namespace" else "url_prefix")
    parents: list[Value | None] = [receiver]
    if isinstance(receiver, Made) and receiver.path == "flask_smorest.Api()":
        given = arguments.get(-1, "url_prefix")
        parents = [v for v in receiver.arg(0) if isinstance(v, Made)]
    for child in arguments.get(0, "ns" if last == "add_namespace" else "blueprint"):
        for parent in parents or [child]:
            if isinstance(child, Made) and isinstance(parent, Made):
                notes_of(frame.analysis).registered[parent, child, text_in(given)] = None


def _add_url_rule(frame: Frame, receiver: Value | None, arguments: Arguments) -> None:
    rules = texts_in(arguments.get(0, "rule"))
    methods = texts_in(arguments.get(-1, "methods"))
    for value in arguments.get(2, "view_func"):
        if isinstance(value, FunctionRef):
            _add(frame, value.index, receiver, rules, methods or ["GET"], arguments.line)
        elif isinstance(value, Made) and value.path == "flask.view()":
            for view in value.args[0]:
                if isinstance(view, ClassRef):
                    _add_view(frame, view, receiver, rules, methods, arguments.line)


def _add_view(
    frame: Frame, view: ClassRef, receiver: Value | None, rules: list[str], methods: list[str], line: int
) -> None:
    method = frame.analysis.method
    dispatch = method(view.index, "dispatch_request")
    found = [(m, [verb]) for verb in _VERBS if (m := method(view.index, verb)) is not None]
    if dispatch is not None and not found:
        found = [(dispatch, methods or ["GET"])]
    elif methods:
        found = [(m, verbs) for m, verbs in found if verbs[0].upper() in methods]
    for function, verbs in found:
        _decorate_view(frame, view, function)
        _add(frame, function, receiver, rules, verbs, line, view)


def _decorate_view(frame: Frame, view: ClassRef, function: int) -> None:
    analysis = frame.analysis
    info = analysis.functions[function]
    found = analysis.decoration(info)
    for name in ("decorators", "method_decorators"):
        member = analysis.member(view.index, name)
        if member is None or member[0] != "attribute":
            continue
        owner = analysis.classes[member[2]]
        value = owner.attributes[name][0]
        if value is None or value[0] != "seq":
            continue
        inner = frame.within(analysis.modules[owner.module], found.facts, owner.outer)
        for node in value[2]:
            if "@" + source_of(node) not in found.texts:
                inner.decorate(info, node, found)


def routes(analysis: Analysis) -> list[Route]:
    notes = notes_of(analysis)
    found: list[Route] = []
    around: dict[tuple[Made, ...], tuple[int, ...]] = {}
    for rule in notes.rules:
        function = analysis.functions[rule.function]
        if analysis.modules[function.module].is_test:
            continue
        for prefix, owners in _prefixes(notes, rule.owner, 0):
            if owners not in around:
                around[owners] = _around(analysis, notes, owners)
            full = _joined(prefix, rule.rule)
            parts = tuple(_RULE_PART.findall(full))
            for method in rule.methods:
                if method in ("HEAD", "OPTIONS"):
                    continue
                bound = {"request.method": one(Constant(method))}
                receiver = Instance(rule.receiver.index) if rule.receiver is not None else None
                if receiver is None and function.owner >= 0 and not analysis.binding(function):
                    receiver = Instance(function.owner)
                context = analysis.context(function, receiver, bound)
                found.append(
                    Route(
                        method=method,
                        route=_RULE_PART.sub(r"{\1}", full),
                        function=rule.function,
                        context=context.index,
                        line=function.line,
                        around=around[owners],
                        guards=tuple(notes.guards.get(rule.function, ())),
                        path_parts=parts,
                        query_parts=_named(notes, rule.function, method, parts, True),
                        body_parts=_named(notes, rule.function, method, parts, False),
                    )
                )
    return found


def _named(notes: Notes, function: int, method: str, parts: tuple[str, ...], query: bool) -> tuple[str, ...]:
    """The request's arguments that decorators name; webargs takes them from the URL in a GET unless told otherwise."""
    found = (entry.partition(":") for entry in notes.queries.get(function, {}))
    in_query = ("query", "querystring", "?" if method == "GET" else "")
    return tuple(name for where, _, name in found if (where in in_query) == query and name not in parts)


def _prefixes(notes: Notes, owner: Made | None, level: int) -> list[tuple[str, tuple[Made, ...]]]:
    """(prefix, applications and blueprints from the outside in) for every place where a blueprint is registered."""
    if owner is None:
        return [("", ())]
    if level > _DEEPEST:
        return [("", (owner,))]
    if owner.path in ("flask_restful.Api()", "flask_restx.Api()"):
        prefix = text_in(owner.keyword("prefix")) or ""
        above = [v for v in owner.arg(0, "app") if isinstance(v, Made)]
        outside = [place for parent in above for place in _prefixes(notes, parent, level + 1)]
        return [(_joined(outer, prefix), owners) for outer, owners in outside or [("", ())]]
    if owner.path not in _BLUEPRINTS and owner.path != _NAMESPACE:
        return [("", (owner,))]
    own = text_in(owner.keyword("url_prefix")) or ""
    if owner.path == _NAMESPACE:
        own = text_in(owner.keyword("path")) or f"/{text_in(owner.arg(0, 'name')) or '?'}"
    found: list[tuple[str, tuple[Made, ...]]] = []
    for parent, child, given in notes.registered:
        if child != owner:
            continue
        prefix = own if given is None else given
        above_it = [("", ())] if parent == owner else _prefixes(notes, parent, level + 1)
        found.extend((_joined(outer, prefix), (*owners, owner)) for outer, owners in above_it)
    return list(dict.fromkeys(found)) or [(own, (owner,))]


def _joined(prefix: str, rule: str) -> str:
    return prefix.rstrip("/") + "/" + rule.lstrip("/") if prefix and rule else prefix or rule


def _around(analysis: Analysis, notes: Notes, owners: tuple[Made, ...]) -> tuple[int, ...]:
    found = []
    for function, name, owner in notes.hooks:
        of_all = "app" in name or owner is None
        if owner is not None and owner.path in _APPS:
            # of another application only where this route's own is known
            of_all = owner in owners or not any(o.path in _APPS for o in owners)
        if of_all or owner in owners:
            info = analysis.functions[function]
            if not analysis.modules[info.module].is_test:
                found.append(analysis.generic(info).index)
    return tuple(dict.fromkeys(found))
