"""URLs to routes: urlpatterns with includes, converters and regular expressions; routers of REST framework."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
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
    External,
    FunctionRef,
    Instance,
    Made,
    Mapping,
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
ROUTERS = tuple(f"{p}.routers.{k}()" for p in ("rest_framework", "rest_framework_nested", "rest_framework_extensions", "rest_framework_bulk")
                for k in ("SimpleRouter", "DefaultRouter", "BaseRouter", "NestedSimpleRouter", "NestedDefaultRouter",
                          "ExtendedSimpleRouter", "ExtendedDefaultRouter", "BulkRouter"))  # fmt: skip
_PATHS = ("path", "re_path", "url")
_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
_DEEPEST = 12
_STANDARD = (("list", "", {"GET": "list", "POST": "create"}),
             ("detail", "/{}", {"GET": "retrieve", "PUT": "update", "PATCH": "partial_update", "DELETE": "destroy"}))  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """One URL: `view` answers it, `actions` say which method of a view set answers which HTTP method."""

    route: str
    view: Value
    actions: tuple[tuple[str, str], ...] = ()
    guards: tuple[str, ...] = ()
    around: tuple[Value, ...] = ()


def patterns(analysis: "Analysis") -> list[Pattern]:
    """Every URL of the project."""
    walker = _Walker(analysis)
    names = [
        n
        for s in analysis.notes["django"]["nodes"]
        if s.endswith("URLCONF")
        for n in settings.names_in(analysis, s)
    ]
    roots = [
        i
        for n in dict.fromkeys(names)
        if (i := analysis.program.find_module(n, analysis.modules[0])) is not None
    ]
    modules = [
        m.index for m in analysis.modules if not m.is_test and "urlpatterns" in analysis.program.bindings(m)
    ]
    found = [p for root in roots for p in walker.module(analysis.modules[root], "/", ())]
    # a module of URLs that nobody includes is the root of a project of its own
    for index in sorted(modules, key=lambda i: (analysis.modules[i].path.count("/"), i)):
        if index not in walker.seen:
            found.extend(walker.module(analysis.modules[index], "/", ()))
    return list(dict.fromkeys(found))


class _Walker:
    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.seen: set[int] = set()
        self.stack: list[int] = []

    def module(
        self, module: ModuleInfo, prefix: str, guards: tuple[str, ...], name: str = "urlpatterns"
    ) -> Iterator[Pattern]:
        if module.index in self.stack or len(self.stack) > _DEEPEST:
            return
        self.seen.add(module.index)
        self.stack.append(module.index)
        yield from self.bound(module, name, prefix, guards)
        self.stack.pop()

    def bound(self, module: ModuleInfo, name: str, prefix: str, guards: tuple[str, ...]) -> Iterator[Pattern]:
        for binding in self.analysis.program.bindings(module).get(name, ()):
            if binding[0] == "value" or (binding[0] == "declared" and binding[1] is not None):
                yield from self.node(module, binding[1], prefix, guards)
            elif binding[0] == "from":
                dotted = self.analysis.program.import_base(binding[1], binding[2], module)
                index = self.analysis.program.find_module(dotted, module)
                if index is not None:
                    yield from self.module(self.analysis.modules[index], prefix, guards, binding[3])

    def frame(self, module: ModuleInfo) -> Frame:
        return Frame(self.analysis, module, None, None, {}, Facts())

    def node(self, module: ModuleInfo, node: Node, prefix: str, guards: tuple[str, ...]) -> Iterator[Pattern]:
        kind = node[0]
        if kind == "seq" and not self.is_old(node):
            for item in node[2]:
                yield from self.node(module, item, prefix, guards)
        elif kind == "seq":
            yield from self.entry(module, node[2], prefix, guards)
        elif kind == "op":
            for item in node[3]:
                yield from self.node(module, item, prefix, guards)
        elif kind == "star":
            yield from self.node(module, node[1], prefix, guards)
        elif kind == "cond":
            yield from self.node(module, node[2], prefix, guards)
            yield from self.node(module, node[3], prefix, guards)
        elif kind == "comp":
            yield from self.node(module, node[3][0], prefix, guards)
        elif kind == "name":
            yield from self.bound(module, node[2], prefix, guards)
        elif kind == "call":
            last = last_name(node)
            if last in _PATHS:
                given = [
                    *node[3],
                    *(v for k, v in node[4] if k in ("route", "regex")),
                    *(v for k, v in node[4] if k == "view"),
                ]
                yield from self.entry(module, given[:2], prefix, guards, last)
            elif last == "i18n_patterns" and not any(v == ("const", False) for _, v in node[4]):
                for item in node[3]:
                    yield from self.node(module, item, _joined(prefix, "{language}/"), guards)
            elif last != "static":
                for item in node[3]:
                    if item[0] != "const":
                        yield from self.node(module, item, prefix, guards)
        elif kind == "attr":
            for value in self.frame(module).expression(node[2]):
                yield from self.attribute(value, node[3], prefix, guards)

    def is_old(self, node: Node) -> bool:
        """`(r"^x$", "app.views.x")` in `patterns(…)`."""
        return (
            node[1] == "tuple" and len(node[2]) >= 2 and node[2][0][0] == "const" and node[2][1][0] != "call"
        )

    def attribute(self, value: Value, name: str, prefix: str, guards: tuple[str, ...]) -> Iterator[Pattern]:
        if isinstance(value, ModuleRef):
            yield from self.module(self.analysis.modules[value.index], prefix, guards, name)
        elif isinstance(value, Made) and value.path in ROUTERS and name in ("urls", "get_urls"):
            yield from routed(self.analysis, value, prefix, guards)

    # --- one entry

    def entry(
        self,
        module: ModuleInfo,
        given: "list[Node] | Node",
        prefix: str,
        guards: tuple[str, ...],
        kind: str = "url",
    ) -> Iterator[Pattern]:
        if len(given) < 2:
            return
        frame = self.frame(module)
        rule, view = given[0], given[1]
        while rule[0] == "call" and rule[3]:
            rule = rule[3][0]
        text = text_in(frame.expression(rule))
        own = "{?}" if text is None else _CONVERTER.sub(r"{\1}", text) if kind == "path" else from_regex(text)
        full = _joined(prefix, own)
        if view[0] == "call" and last_name(view) == "include":
            yield from self.include(module, view[3][0] if view[3] else view[4][0][1], full, guards)
            return
        if last_name(view) == "urls":
            return
        guards = (*guards, *_guards(view))
        for found, around in self.views(frame, view):
            yield Pattern(full, found, guards=guards, around=around)

    def include(
        self, module: ModuleInfo, node: Node, prefix: str, guards: tuple[str, ...]
    ) -> Iterator[Pattern]:
        if node[0] == "seq" and node[1] == "tuple" and node[2]:
            node = node[2][0]
        if node[0] == "const":
            index = self.analysis.program.find_module(str(node[1]), module)
            if index is not None:
                yield from self.module(self.analysis.modules[index], prefix, guards)
            return
        if node[0] in ("name", "attr"):
            for value in self.frame(module).expression(node):
                if isinstance(value, ModuleRef):
                    yield from self.module(self.analysis.modules[value.index], prefix, guards)
                    return
                if isinstance(value, Constant) and isinstance(value.value, str):
                    yield from self.include(module, ("const", value.value), prefix, guards)
                    return
        yield from self.node(module, node, prefix, guards)

    def views(self, frame: Frame, node: Node) -> Iterator[tuple[Value, tuple[Value, ...]]]:
        """(view, what a decorator of the repository runs around it) of an expression."""
        if node[0] == "const" and isinstance(node[1], str):
            for value in settings.by_name(self.analysis, node[1]):
                yield value, ()
            return
        callee = (
            frame.expression(node[2])
            if node[0] == "call" and node[2][0] in ("name", "attr") and len(node[3]) == 1
            else NOTHING
        )
        if any(isinstance(v, FunctionRef) for v in callee):
            around = tuple(v for v in frame.expression(node) if isinstance(v, FunctionRef))
            inner = list(self.views(frame, node[3][0]))
            if any(is_view(v) for v, _ in inner):
                yield from ((v, (*around, *more)) for v, more in inner)
                return
        for value in sorted(frame.expression(node), key=repr):
            yield value, ()


def is_view(value: Value) -> bool:
    """Whether a value answers requests."""
    return isinstance(value, FunctionRef | Instance) or (
        isinstance(value, Made) and (value.path == AS_VIEW or value.owner >= 0)
    )


_GUARD = re.compile(
    r"(login|auth|permission|staff|superuser|admin|passes_test|require_user|member)", re.IGNORECASE
)


def is_guard(name: str) -> bool:
    """Whether a decorator or a class demands an identity, by its name."""
    return bool(_GUARD.search(name)) and not name.startswith(("AllowAny", "csrf"))


def _guards(node: Node) -> list[str]:
    """The decorators around a view that demand an identity."""
    found = []
    while node[0] == "call" and (node[3] or node[2][0] == "call"):
        if is_guard(last_name(node)) and last_name(node) != "as_view":
            found.append(source_of(node[2]))
        node = node[3][0] if node[3] else node[2]
    return found


def routed(analysis: "Analysis", router: Made, prefix: str, guards: tuple[str, ...]) -> Iterator[Pattern]:
    """The URLs of a router of REST framework."""
    slash = (
        ""
        if Constant(False) in router.keyword("trailing_slash")
        or "" in texts_in(router.keyword("trailing_slash"))
        else "/"
    )
    known = analysis.notes.setdefault("django routers", {})
    for rule, view, parent in known.get(router, {}):
        if isinstance(parent, Made):
            yield from routed(analysis, parent, prefix, guards)
            continue
        base = _joined(prefix, _nesting(analysis, router) + from_regex(rule))
        looked_up = text_in(_class_attribute(analysis, view.index, "lookup_url_kwarg")) or text_in(
            _class_attribute(analysis, view.index, "lookup_field")) or "pk"  # fmt: skip
        detail = base.rstrip("/") + "/{" + looked_up + "}"
        extra = []
        for name, function in _methods(analysis, view.index).items():
            action = analysis.notes.get("django actions", {}).get(function)
            if action is not None:
                is_detail, methods, url_path = action
                url = from_regex(url_path or name)
                extra.append(
                    (
                        (detail if is_detail else base).rstrip("/") + "/" + url.strip("/") + slash,
                        methods,
                        name,
                    )
                )
        for url, methods, name in extra:
            yield Pattern(url, view, tuple((m, name) for m in methods), guards)
        for kind, _, actions in _STANDARD:
            have = tuple((m, a) for m, a in actions.items() if analysis.method(view.index, a) is not None)
            if have:
                yield Pattern(
                    (base if kind == "list" else detail).rstrip("/")
                    + (slash if base != "/" or kind == "detail" else "/"),
                    view,
                    have,
                    guards,
                )


def _nesting(analysis: "Analysis", router: Made) -> str:
    """What stands before the rules of a nested router: the parent's rule and its row."""
    if "Nested" not in router.path or len(router.args) < 2:
        return ""
    parent = next((v for v in router.args[0] if isinstance(v, Made)), None)
    lookup = text_in(router.keyword("lookup")) or "parent"
    above = _nesting(analysis, parent) if parent is not None else ""
    return f"{above}{text_in(router.args[1])}/{{{lookup}_pk}}/"


def _methods(analysis: "Analysis", index: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for ancestor in reversed(analysis.mro(index)[0]):
        found.update(analysis.classes[ancestor].methods)
    return found


def _class_attribute(analysis: "Analysis", index: int, name: str) -> Values:
    member = analysis.member(index, name)
    return (
        analysis.class_attribute(member[2], name)
        if member is not None and member[0] == "attribute"
        else NOTHING
    )


def register(
    analysis: "Analysis", router: Made, rule: str, views: Values, parent: Made | None = None
) -> None:
    """`router.register("articles", ArticleViewSet)`."""
    known = analysis.notes.setdefault("django routers", {}).setdefault(router, {})
    for view in [*views, *([parent] if parent is not None else [])]:
        if isinstance(view, ClassRef) or view is parent:
            known[rule, view, parent] = None


def note_action(analysis: "Analysis", function: int, keywords: dict[str, Values], detail: bool) -> None:
    """`@action(detail=True, methods=["post"])`."""
    methods = tuple(m.upper() for m in texts_in(keywords.get("methods", NOTHING))) or ("GET",)
    is_detail = is_true(keywords["detail"]) if "detail" in keywords else detail
    analysis.notes.setdefault("django actions", {})[function] = (
        is_detail,
        methods,
        text_in(keywords.get("url_path", NOTHING)),
    )
    info = analysis.functions[function]
    for name in ("get", "post", "put", "patch", "delete"):
        # `@name.mapping.post` on another method
        for other in analysis.classes[info.owner].methods.values() if info.owner >= 0 else ():
            if any(
                source_of(d) == f"{info.name}.mapping.{name}" for d in analysis.functions[other].decorators
            ):
                analysis.notes["django actions"][other] = (
                    is_detail,
                    (name.upper(),),
                    text_in(keywords.get("url_path", NOTHING)) or info.name,
                )


def actions_of(values: Values) -> tuple[tuple[str, str], ...]:
    """`as_view({"get": "list"})`."""
    return tuple((n.upper(), text_in(v) or "") for m in values if isinstance(m, Mapping) for n, v in m.fields)


def from_regex(text: str) -> str:
    """A regular expression as a route: named groups in braces, optional parts left out."""
    found, index, unnamed = "", 0, 0
    text = text.removeprefix("^").removesuffix("$").removesuffix("\\Z").replace("/?", "")
    while index < len(text):
        letter = text[index]
        if letter == "\\" and index + 1 < len(text):
            found += text[index + 1] if not text[index + 1].isalpha() else ""
            index += 2
        elif letter == "(":
            end = _closing(text, index)
            inner = text[index + 1 : end]
            optional = text[end + 1 : end + 2] in ("?", "*")
            if inner.startswith("?P<"):
                found += "" if optional else "{" + inner[3 : inner.index(">")] + "}"
            elif inner.startswith("?:"):
                found += (
                    "" if optional else from_regex(inner[2:].split("|")[0] if "(" not in inner else inner[2:])
                )
            elif not inner.startswith("?"):
                found += "" if optional else "{" + str(unnamed) + "}"
                unnamed += 1
            index = end + 1 + optional
        elif letter == "[":
            index = text.find("]", index + 2) + 1 or len(text)
        else:
            found += "" if letter in "^$+*?|" or text[index + 1 : index + 2] in ("?", "*") else letter
            index += 1
    return found


def _closing(text: str, start: int) -> int:
    depth, index, in_class = 0, start, False
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == "[":
            in_class = True
        elif text[index] == "]":
            in_class = False
        elif not in_class:
            depth += {"(": 1, ")": -1}.get(text[index], 0)
            if depth == 0:
                return index
        index += 1
    return len(text) - 1


def _joined(prefix: str, rule: str) -> str:
    return prefix + rule.lstrip("/") if prefix.endswith("/") else prefix + rule


__all__ = [
    "AS_VIEW",
    "ROUTERS",
    "External",
    "Pattern",
    "actions_of",
    "is_guard",
    "is_view",
    "note_action",
    "patterns",
    "register",
]
