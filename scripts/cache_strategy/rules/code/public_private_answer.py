"""
CS112 public-private-answer

What it does
    Flags a view that asks for a login or a permission and lets shared caches keep its answer (public, s-maxage,
    cache_page), a cache or ETag decorator that answers before the permission is checked, and an edit that takes away
    never_cache, private or no-store.

Why is this bad
    A proxy, a CDN or the page cache hands one person's answer to the next, who was never asked to log in.

Example
    from django.contrib.auth.decorators import login_required
    from django.views.decorators.cache import cache_control
    @login_required
    @cache_control(public=True, max_age=3600)
    def invoice(request, number):
        return render(request, "invoice.html", {"number": number})

Use instead
    from django.contrib.auth.decorators import login_required
    from django.views.decorators.cache import cache_control
    @login_required
    @cache_control(private=True, max_age=3600)
    def invoice(request, number):
        return render(request, "invoice.html", {"number": number})

Known problems
    A permission that is checked in a base class of another file, in the URL configuration or in a middleware is not seen.

Source
    https://www.rfc-editor.org/rfc/rfc9111#section-3.5; 35 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

import ast
import re

from cache_strategy.rules._base import ERROR, WARNING, Rule
from cache_strategy.rules._edit import Edit
from cache_strategy.syntax.decorators import Decorator, decorators_of
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import literal, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(
    __name__,
    code="CS112",
    severity="error",
    keywords=("cache", "etag", "no-store", "max-age"),
    concerns=Edit.touches_headers,
)

_GUARD = re.compile(
    r"login_required|permission|require[sd]?_auth|auth(?:entication)?_required|roles?_(?:required|accepted)|requires?_(?:login|role|admin|scope)|"
    r"jwt_required|user_passes_test|staff_member_required|user_has_|admin_required|superuser_required|token_required",
    re.I,
)
_GUARDED_BASE = re.compile(
    r"(?:LoginRequired|PermissionRequired|UserPassesTest|AccessMixin|Authenticated|Protected)", re.I
)
_BEFORE = frozenset("cache_page etag condition last_modified cached_view".split())
_PRIVATE = re.compile(r"\b(?:private|no-store)\b", re.I)
_PUBLIC = re.compile(r"\b(?:public|s-maxage)\b", re.I)
_FIX = "Say private (or never_cache), or vary the entry by the user, or take the cache off this view."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
def visit_view(node: "Function | ast.ClassDef", module: "IndexedModule") -> "Iterator[Finding]":
    decorators = [inner for outer in decorators_of(node, module) for inner in _unwrapped(outer, module)]
    guards = [index for index, d in enumerate(decorators) if _GUARD.search(d.text)]
    holder = node if isinstance(node, ast.ClassDef) else module.parent(node)
    guard = decorators[guards[0]].text if guards else _class_guard(holder, module)
    if not guard:
        if isinstance(node, ast.ClassDef):
            yield from _cached_before_authentication(node, decorators, module)
        return
    for index, decorator in enumerate(decorators):
        if decorator.last in _BEFORE and guards and index < guards[0]:
            yield rule.finding(
                decorator.node,
                f"@{decorator.text} answers before @{guard} is asked: what one may see, all get.",
                fix="Put the cache below the permission.",
            )
            return
        if _is_public(decorator):
            yield rule.finding(
                decorator.node, f"{node.name} needs @{guard}, and its answer is public.", fix=_FIX
            )
            return
    if not isinstance(node, ast.ClassDef):
        for place, text in _header_texts(node, module):
            if _PUBLIC.search(text) and not _PRIVATE.search(text):
                yield rule.finding(place, f"{node.name}() needs {guard}, and its answer is public.", fix=_FIX)
                return


def _unwrapped(decorator: Decorator, module: "IndexedModule") -> "list[Decorator]":
    """The decorators in `method_decorator([a, b], name=...)`, else the decorator itself."""
    if decorator.last != "method_decorator" or not decorator.args:
        return [decorator]
    first = decorator.args[0]
    return [
        Decorator(part, module)
        for part in (first.elts if isinstance(first, (ast.List, ast.Tuple)) else [first])
    ]


def _class_guard(holder: "ast.AST | None", module: "IndexedModule") -> str:
    if not isinstance(holder, ast.ClassDef):
        return ""
    for base in holder.bases:
        if _GUARDED_BASE.search(text_of(base)):
            return text_of(base)
    return next(
        (
            d.text
            for outer in decorators_of(holder, module)
            for d in _unwrapped(outer, module)
            if _GUARD.search(d.text)
        ),
        "",
    )


def _cached_before_authentication(
    node: ast.ClassDef, decorators: "list[Decorator]", module: "IndexedModule"
) -> "Iterator[Finding]":
    """`cache_page` around an API view answers before its authentication and permissions run."""
    text = "\n".join(module.text.split("\n")[node.lineno - 1 : node.end_lineno])
    if not any(re.search(r"APIView$|ViewSet$", text_of(base)) for base in node.bases) or "AllowAny" in text:
        return
    for decorator in decorators:
        if decorator.last == "cache_page" and not any(d.last.startswith("vary_on") for d in decorators):
            yield rule.finding(
                decorator.node,
                f"@cache_page on {node.name} answers before the view's authentication and permissions run.",
                fix="Cache the value inside the view, or say permission_classes = [AllowAny].",
                severity=WARNING,
            )


def _is_public(decorator: Decorator) -> bool:
    keywords = decorator.keywords
    if decorator.last not in ("cache_control", "patch_cache_control", "cache_for"):
        return False
    return literal(keywords.get("public")) is True or "s_maxage" in keywords


def _header_texts(node: "ast.AST", module: "IndexedModule") -> "Iterator[tuple[ast.AST, str]]":
    """(place, text) of Cache-Control values and of what sets them."""
    for part in module.below(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) < 200:
            yield part, part.value
        elif isinstance(part, ast.Call) and text_of(part.func).rpartition(".")[2] in (
            "cache_control",
            "patch_cache_control",
        ):
            names = [
                k.arg.replace("_", "-")
                for k in part.keywords
                if k.arg and literal(k.value, True) is not False
            ]
            yield part, " ".join(names)
        elif (
            isinstance(part, ast.Attribute)
            and isinstance(part.ctx, ast.Store)
            and part.attr in ("public", "private", "no_store")
        ):
            yield part, part.attr.replace("_", "-")


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    before, after = change.before, change.after
    for earlier, node in [*change.pairs, *change.classes]:
        was, now = _kept_private(earlier, before), _kept_private(node, after)
        lost = {what for what in was if was[what] > now.get(what, 0)}
        if not lost or now.keys() - was.keys():
            continue
        strong = lost & {"never_cache", "private", "no-store"}
        yield rule.finding(
            (node.lineno, node.col_offset, node.lineno),
            f"{node.name} no longer says {', '.join(sorted(lost))}: caches may keep its answer and give it to others.",
            fix="Keep it, or make sure that the answer is the same for everybody and may be old.",
            severity=ERROR if strong else WARNING,
        )


def _kept_private(function: "Function | ast.ClassDef", module: "IndexedModule") -> "dict[str, int]":
    found: "dict[str, int]" = {}
    for outer in decorators_of(function, module):
        for decorator in _unwrapped(outer, module):
            if decorator.last in ("never_cache", "nocache", "no_cache"):
                found["never_cache"] = 1
    for statement in [*function.decorator_list, *(function.body if isinstance(function, FUNCTIONS) else [])]:
        for _, text in _header_texts(statement, module):
            for word in (
                re.findall(r"(?<![\w-])(?:private|no-store|no-cache)(?![\w-])", text)
                if "=" in text or "-" in text or text == "private"
                else ()
            ):
                found[word] = found.get(word, 0) + 1
    return found
