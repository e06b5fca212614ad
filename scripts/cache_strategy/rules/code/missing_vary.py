"""
CS111 missing-vary

What it does
    Flags an edit that takes away a Vary header (vary_on_headers, patch_vary_headers, add_vary, headers["Vary"]) or
    makes it conditional, while the answer still depends on the request; and a view that shared caches keep, whose
    answer depends on a header, without any Vary.

Why is this bad
    A shared cache keeps one answer per URL: JSON is served to browsers, one language to all, one site's CORS header to
    another.

Example
    from django.views.decorators.vary import vary_on_headers
    -@vary_on_headers("Accept")
    def author(request, pk):
        if wants_json(request):
            return JsonResponse(cache.get(pk))
        return render(request, "author.html")

Use instead
    from django.views.decorators.vary import vary_on_headers
    -@vary_on_headers("Accept")
    +@vary_on_headers("Accept", "Accept-Language")
    def author(request, pk):
        if wants_json(request):
            return JsonResponse(cache.get(pk))
        return render(request, "author.html")

Known problems
    A middleware or a proxy that sets the header is not seen.

Source
    https://www.rfc-editor.org/rfc/rfc9110#field.vary; 17 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import KEY_KEYWORDS
from cache_strategy.rules._edit import Edit
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import Decorator, decorators_of
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import literal, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(
    __name__,
    code="CS111",
    severity="error",
    keywords=("vary", "cache_page", "cache_control", "cached"),
    concerns=Edit.touches_headers,
)

_VARY = regex(r"(?:^|_)vary(?:_|$)|^vary$", patterns.I)
_HEADER = regex(
    r"^(?:HTTP_)?(?:Accept(?:[-_]Language)?|User[-_]Agent|Origin|X[-_]Requested[-_]With|HX[-_]\w+|Cookie)$",
    patterns.I,
)
_AGENT = regex(r"user[-_]?agent|is_?mobile|htmx", patterns.I)
_CONDITIONS = (ast.If, ast.IfExp, ast.Try, ast.While)
_FIX = "Name every request header that decides about the answer, on every way out of the function."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_view(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    shared = next((d for d in decorators_of(node, module) if _is_shared(d)), None)
    if shared is None or "vary" in module.source(node).lower():
        return
    for statement in node.body:
        for part in module.below(statement):
            header = _header(part)
            if header:
                yield rule.finding(
                    shared.node,
                    f"{node.name}() answers by {header}, is kept by shared caches, and says no Vary.",
                    fix=_FIX,
                    severity=WARNING,
                )
                return


def _is_shared(decorator: "Decorator") -> bool:
    if decorator.last == "cache_control":
        return literal(decorator.keywords.get("public")) is True
    # The page cache of Django keeps requests apart by what Vary says, that of Flask by the path alone.
    return decorator.last == "cache_page" or (
        decorator.last == "cached"
        and decorator.called
        and not KEY_KEYWORDS & set(decorator.keywords)
        and len(decorator.args) < 2
    )


def _header(node: "ast.AST") -> str:
    """The request header that an expression reads, if a page may differ by it."""
    named: object = None
    if isinstance(node, ast.Subscript):
        holder, named = text_of(node.value), literal(node.slice)
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and node.args
    ):
        holder, named = text_of(node.func.value), literal(node.args[0])
    elif isinstance(node, ast.Attribute):
        holder = ""
        if text_of(node) in (
            "request.accept_languages",
            "request.accept_mimetypes",
            "request.user_agent",
            "request.htmx",
        ):
            return text_of(node)
    if isinstance(named, str) and holder.endswith(("request.headers", "request.META")):
        return named if _HEADER.search(named) else ""
    return ""


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    if "vary" not in change.before.text.lower():
        return
    moved = _count(change.after) >= _count(change.before)
    for earlier, node in [*change.pairs, *change.classes]:
        old, new = _varies(earlier, change.before), _varies(node, change.after)
        lost = sorted(set(old) - set(new))
        held = sorted(what for what in set(old) & set(new) if old[what] < new[what])
        if lost and not moved and not new:
            yield rule.finding(
                (node.lineno, node.col_offset, node.lineno),
                f"{node.name} no longer says Vary ({', '.join(lost)}): a shared cache serves one answer to all.",
                fix=_FIX,
                severity=None if _still_asked(earlier, change) else WARNING,
            )
        elif held:
            yield rule.finding(
                (node.lineno, node.col_offset, node.lineno),
                f"{node.name}() says Vary only under a condition now: the answer without it is kept for everybody.",
                fix=_FIX,
            )


def _still_asked(earlier: "Function | ast.ClassDef", change: "Change") -> bool:
    """No where a decorator named User-Agent alone and nothing in the file asks for it: such headers come out of habit."""
    named = {
        str(literal(arg, "")).lower()
        for d in decorators_of(earlier, change.before)
        if _VARY.search(d.last)
        for arg in d.args
    }
    return named != {"user-agent"} or bool(_AGENT.search(change.after.text))


def _count(module: "IndexedModule") -> int:
    return sum(len(_varies(node, module)) for node in module.functions)


def _varies(function: "Function | ast.ClassDef", module: "IndexedModule") -> "dict[str, int]":
    """What a function does for Vary, and under how many conditions."""
    found: "dict[str, int]" = {d.text: 0 for d in decorators_of(function, module) if _VARY.search(d.last)}
    for statement in function.body if isinstance(function, FUNCTIONS) else ():
        for node in module.below(statement):
            text = ""
            if isinstance(node, ast.Call):
                name = text_of(node.func) or getattr(node.func, "attr", "")
                header = (
                    node.args
                    and isinstance(node.args[0], ast.Constant)
                    and str(node.args[0].value).lower() == "vary"
                )
                text = name if header or any(_VARY.search(part) for part in name.split(".")) else ""
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                named = node.slice
                text = (
                    "Vary" if isinstance(named, ast.Constant) and str(named.value).lower() == "vary" else ""
                )
            if text:
                depth = _depth(node, function, module)
                found[text] = min(found.get(text, depth), depth)
    return found


def _depth(node: "ast.AST", function: "ast.AST", module: "IndexedModule") -> int:
    depth = 0
    holder = module.parent(node)
    while holder is not None and holder is not function:
        depth += isinstance(holder, _CONDITIONS)
        holder = module.parent(holder)
    return depth
