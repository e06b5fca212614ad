"""URLs to routes: urlpatterns with includes, converters and regular expressions; routers of REST framework."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import settings
from cache_strategy.profile.program import ModuleInfo
from cache_strategy.profile.source_text import last_name, source_of
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    Constant,
    FunctionRef,
    Instance,
    Made,
    ModuleRef,
    Value,
    Values,
    is_true,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

AS_VIEW = "django.as_view()"
_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
_GROUP = re.compile(r"\((?:\?P<(\w+)>|(\?:)?)((?:[^()\\\[]|\\.|\[[^\]]*\]|\([^()]*\))*)\)([?*]?)")
_NOISE = re.compile(r"/\?|\[[^\]]*\]|\\[AZbdwsDWS]|[\^$\\+*?]")
_GUARD = re.compile(r"(login|auth|permission|staff|superuser|admin|passes_test|require_user|member)", re.I)
_LIST = (("GET", "list"), ("POST", "create"))
_DETAIL = (("GET", "retrieve"), ("PUT", "update"), ("PATCH", "partial_update"), ("DELETE", "destroy"))
_DEEPEST = 20


@dataclass(frozen=True)
class Pattern:
    """One URL: `view` answers it, `actions` say which method of a view set answers which HTTP method."""

    route: str
    view: Value | None = None
    actions: tuple[tuple[str, str], ...] = ()
    guards: tuple[str, ...] = ()
    around: tuple[Value, ...] = ()


def is_router(value: Value) -> bool:
    return (
        isinstance(value, Made)
        and value.path.endswith("Router()")
        and value.path.startswith("rest_framework")
    )


def is_view(value: Value) -> bool:
    is_made = isinstance(value, Made) and (value.path == AS_VIEW or value.owner >= 0)
    return is_made or isinstance(value, FunctionRef | Instance)


def is_guard(name: str) -> bool:
    """Whether a decorator or a class demands an identity, by its name."""
    return bool(_GUARD.search(name)) and not name.startswith(("AllowAny", "csrf"))


def patterns(analysis: "Analysis") -> list[Pattern]:
    """Every URL of the project."""
    walker = _Walker(analysis)
    confs = [name for name in analysis.notes["django"]["nodes"] if name.endswith("URLCONF")]
    roots = [
        analysis.program.find_module(n, analysis.modules[0]) for n in settings.names_in(analysis, *confs)
    ]
    has_urls = [
        m for m in analysis.modules if not m.is_test and "urlpatterns" in analysis.program.bindings(m)
    ]
    found = [
        p for root in roots if root is not None for p in walker.module(analysis.modules[root], Pattern("/"))
    ]
    # a module of URLs that nobody includes is the root of a project of its own
    for module in sorted(has_urls, key=lambda m: (m.path.count("/"), m.index)):
        if module.index not in walker.seen:
            found.extend(walker.module(module, Pattern("/")))
    return list(dict.fromkeys(found))


class _Walker:
    """Goes through modules of URLs; a pattern without a view is what stands before the URLs at hand."""

    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.seen: set[int] = set()
        self.stack: list[tuple[int, str]] = []

    def module(self, module: ModuleInfo, outer: Pattern, name: str = "urlpatterns") -> Iterator[Pattern]:
        self.seen.add(module.index)
        if len(self.stack) < _DEEPEST:
            yield from self.node(module, ("name", 0, name), outer)

    def named(
        self, dotted: str, importer: ModuleInfo, outer: Pattern, name: str = "urlpatterns"
    ) -> Iterator[Pattern]:
        index = self.analysis.program.find_module(dotted, importer)
        if index is not None:
            yield from self.module(self.analysis.modules[index], outer, name)

    def node(self, module: ModuleInfo, node: Node, outer: Pattern) -> Iterator[Pattern]:
        kind, last = node[0], last_name(node)
        if kind == "name":
            # `urlpatterns = […] + urlpatterns` means what the name was before
            bound = self.analysis.program.bindings(module).get(last, ())
            self.stack.append((module.index, last))
            for binding in bound if (module.index, last) not in self.stack[:-1] else ():
                if binding[0] in ("value", "declared") and binding[1] is not None:
                    yield from self.node(module, binding[1], outer)
                elif binding[0] == "from":
                    dotted = self.analysis.program.import_base(binding[1], binding[2], module)
                    yield from self.named(dotted, module, outer, binding[3])
            self.stack.pop()
        elif kind == "attr":
            for value in self.frame(module).expression(node[2]):
                if isinstance(value, ModuleRef):
                    yield from self.module(self.analysis.modules[value.index], outer, node[3])
                elif isinstance(value, Made) and is_router(value):
                    yield from routed(self.analysis, value, outer)
        elif kind == "call" and last in ("path", "re_path", "url"):
            named = [v for key in ("route", "regex", "view") for k, v in node[4] if k == key]
            yield from self.entry(module, [*node[3], *named], outer, last == "path")
        elif kind == "seq" and node[1] == "tuple" and node[2][:1] and node[2][0][0] == "const":
            yield from self.entry(module, node[2], outer, False)
        elif last != "static":
            place = {"seq": 2, "op": 3, "call": 3, "comp": 3}.get(kind, 0)
            inner = node[place] if place else node[1:] if kind in ("star", "cond") else ()
            if last == "i18n_patterns":
                outer = replace(outer, route=_joined(outer.route, "{language}/"))
            for item in inner:
                yield from self.node(module, item, outer)

    def frame(self, module: ModuleInfo) -> Frame:
        return Frame(self.analysis, module, None, None, {}, Facts())

    def entry(
        self, module: ModuleInfo, given: "list[Node] | Node", outer: Pattern, is_path: bool
    ) -> Iterator[Pattern]:
        if len(given) < 2 or last_name(given[1]) == "urls":
            return
        frame, (rule, view) = self.frame(module), given[:2]
        text = text_in(frame.expression(rule[3][0] if rule[0] == "call" and rule[3] else rule))
        own = "{?}" if text is None else _CONVERTER.sub(r"{\1}", text) if is_path else from_regex(text)
        outer = replace(outer, route=_joined(outer.route, own))
        if view[0] == "call" and last_name(view) == "include":
            yield from self.include(module, (*view[3], *(v for _, v in view[4]))[0], outer)
        else:
            outer = replace(outer, guards=(*outer.guards, *_guards(view)))
            yield from self.views(frame, view, outer)

    def include(self, module: ModuleInfo, node: Node, outer: Pattern) -> Iterator[Pattern]:
        node = node[2][0] if node[0] == "seq" and node[1] == "tuple" and node[2] else node
        if node[0] == "const":
            yield from self.named(str(node[1]), module, outer)
            return
        values = self.frame(module).expression(node) if node[0] in ("name", "attr") else NOTHING
        found = next((v for v in values if isinstance(v, ModuleRef)), None)
        if found is not None:
            yield from self.module(self.analysis.modules[found.index], outer)
        elif text_in(values):
            yield from self.named(text_in(values) or "", module, outer)
        else:
            yield from self.node(module, node, outer)

    def views(self, frame: Frame, node: Node, outer: Pattern) -> Iterator[Pattern]:
        """The views that an expression gives, with what a decorator of the repository runs around them."""
        values = frame.expression(node)
        wraps = node[0] == "call" and node[2][0] in ("name", "attr") and len(node[3]) == 1
        if wraps and any(isinstance(v, FunctionRef) for v in frame.expression(node[2])):
            wrapper = tuple(v for v in values if isinstance(v, FunctionRef))
            yield from self.views(frame, node[3][0], replace(outer, around=(*outer.around, *wrapper)))
            return
        text = text_in(values)
        for value in sorted(
            settings.by_name(self.analysis, text) if text and "." in text else values, key=repr
        ):
            if is_view(value):
                yield replace(outer, view=value)


def _guards(node: Node) -> Iterator[str]:
    while node[0] == "call" and (node[3] or node[2][0] == "call"):
        if is_guard(last_name(node)):
            yield source_of(node[2])
        node = node[3][0] if node[3] else node[2]


# --- routers


def routed(analysis: "Analysis", router: Made, outer: Pattern) -> Iterator[Pattern]:
    slash = "" if Constant(False) in router.keyword("trailing_slash") else "/"
    for rule, view in analysis.notes.get("django routers", {}).get(router, {}):
        if isinstance(view, Made):
            yield from routed(analysis, view, outer)
            continue
        if not isinstance(view, ClassRef):
            continue
        base = _joined(outer.route, _nesting(router) + from_regex(rule)).rstrip("/")
        names = [text_in(analysis.attribute_of(view.index, n)) for n in ("lookup_url_kwarg", "lookup_field")]
        detail = f"{base}/{{{next((n for n in names if n), 'pk')}}}"
        methods: dict[str, int] = {}
        for ancestor in reversed(analysis.mro(view.index)[0]):
            methods |= analysis.classes[ancestor].methods
        for name, function in methods.items():
            is_detail, verbs, url = analysis.notes.get("django actions", {}).get(function, (False, (), ""))
            if verbs:
                route = f"{detail if is_detail else base}/{from_regex(url or name).strip('/')}{slash}"
                yield Pattern(route, view, tuple((verb, name) for verb in verbs), outer.guards)
        for route, actions in ((base, _LIST), (detail, _DETAIL)):
            have = tuple(action for action in actions if action[1] in methods)
            if have:
                yield Pattern((route + slash) or "/", view, have, outer.guards)


def _nesting(router: Made) -> str:
    if "Nested" not in router.path or len(router.args) < 2:
        return ""
    above = "".join(_nesting(v) for v in router.args[0] if isinstance(v, Made))
    return f"{above}{text_in(router.args[1])}/{{{text_in(router.keyword('lookup')) or 'parent'}_pk}}/"


def call(analysis: "Analysis", last: str, router: Made, first: Values, second: Values) -> Values:
    """`router.register("articles", ArticleViewSet)`, `router.registry.extend(other.registry)`."""
    known = analysis.notes.setdefault("django routers", {}).setdefault(router, {})
    rule = text_in(first) or ""
    for view in second if last == "register" else first:
        known[rule, view] = None
    return NOTHING


def note_action(analysis: "Analysis", function: int, keywords: dict[str, Values], last: str) -> None:
    """`@action(detail=True, methods=["post"])`, and `@name.mapping.delete` on another method."""
    notes, info = analysis.notes.setdefault("django actions", {}), analysis.functions[function]
    verbs = tuple(m.upper() for m in texts_in(keywords.get("methods", NOTHING))) or ("GET",)
    detail, url = (
        is_true(keywords.get("detail", NOTHING)) or last == "detail_route",
        text_in(keywords.get("url_path", NOTHING)),
    )
    notes[function] = (detail, verbs, url)
    for other in analysis.classes[info.owner].methods.values() if info.owner >= 0 else ():
        for decorator in map(source_of, analysis.functions[other].decorators):
            if decorator.startswith(f"{info.name}.mapping."):
                notes[other] = (detail, (decorator.rpartition(".")[2].upper(),), url or info.name)


def from_regex(text: str) -> str:
    """A regular expression as a route: named groups in braces, what may be left out is."""
    before = ""
    while before != text:
        before, text = text, _GROUP.sub(_group, text, count=1)
    return _NOISE.sub("", text)


def _group(match: "re.Match[str]") -> str:
    name, plain, inner, optional = match.groups()
    if optional:
        return ""
    return f"{{{name}}}" if name else inner.split("|")[0] if plain else "{}"


def _joined(prefix: str, rule: str) -> str:
    return prefix + rule.lstrip("/") if prefix.endswith("/") else prefix + rule
