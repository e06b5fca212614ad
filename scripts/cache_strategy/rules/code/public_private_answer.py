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

from cache_strategy.rules._base import ERROR, WARNING, Rule
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
    code="CS112",
    severity="error",
    keywords=("cache", "etag", "no-store", "max-age"),
    concerns=Edit.touches_headers,
)

_GUARD = regex(
    r"login_required|permission|require[sd]?_auth|auth(?:entication)?_required|roles?_(?:required|accepted)|jwt_required|"
    r"requires?_(?:login|role|admin|scope)|user_passes_test|user_has_|(?:staff_member|admin|superuser|token)_required",
    patterns.I,
)
_GUARDED_BASE = regex(
    r"LoginRequired|PermissionRequired|UserPassesTest|AccessMixin|Authenticated|Protected", patterns.I
)
_BEFORE = frozenset("cache_page etag condition last_modified cached_view".split())
_CONTROLS = frozenset("cache_control patch_cache_control cache_for".split())
_PRIVATE = regex(r"(?<![\w-])(?:private|no-store|no-cache)(?![\w-])", patterns.I)
_PUBLIC = regex(r"\b(?:public|s-maxage)\b", patterns.I)
_FORM = regex(r"[a-z]Form\(|\bcsrf")
FIX = "Say private (or never_cache), or vary the entry by the user, or take the cache off this view."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
def visit_view(node: "Function | ast.ClassDef", module: "IndexedModule") -> "Iterator[Finding]":
    decorators = _decorators(node, module)
    guards = [index for index, decorator in enumerate(decorators) if _GUARD.search(decorator.text)]
    guard = decorators[guards[0]].text if guards else _guard_of(node, module)
    if not guard:
        yield from _before_authentication(node, decorators, module)
        return
    for index, decorator in enumerate(decorators):
        if decorator.last in _BEFORE and guards and index < guards[0]:
            told, fix = (
                f"@{decorator.text} answers before @{guard} is asked: what one may see, all get.",
                "Put the cache below.",
            )
        elif decorator.last in _CONTROLS and _PUBLIC.search(_directives(decorator.node)):
            told, fix = f"{node.name} needs @{guard}, and its answer is public.", FIX
        else:
            continue
        yield rule.finding(decorator.node, told, fix=fix)
        return
    for place, text in _controls(node, module) if isinstance(node, FUNCTIONS) else ():
        if _PUBLIC.search(text) and not _PRIVATE.search(text):
            yield rule.finding(place, f"{node.name}() needs {guard}, and its answer is public.", fix=FIX)
            return


def public_place(node: "ast.AST", module: "IndexedModule") -> "ast.AST | None":
    """What makes a view's answer public: a decorator, or a header that it sets."""
    for decorator in _decorators(node, module):
        if decorator.last in _CONTROLS and _PUBLIC.search(_directives(decorator.node)):
            return decorator.node
    for place, text in _controls(node, module) if isinstance(node, FUNCTIONS) else ():
        if _PUBLIC.search(text) and not _PRIVATE.search(text):
            return place
    return None


def _decorators(node: "ast.AST", module: "IndexedModule") -> "list[Decorator]":
    """The decorators of a view, those in `method_decorator([a, b], name=...)` included."""
    found: "list[Decorator]" = []
    for decorator in decorators_of(node, module):
        if decorator.last == "method_decorator" and decorator.args:
            first = decorator.args[0]
            parts = first.elts if isinstance(first, (ast.List, ast.Tuple)) else [first]
            found.extend(Decorator(part, module) for part in parts)
        else:
            found.append(decorator)
    return found


def _guard_of(node: "ast.AST", module: "IndexedModule") -> str:
    """What guards the class of a view."""
    holder = node if isinstance(node, ast.ClassDef) else module.parent(node)
    if not isinstance(holder, ast.ClassDef):
        return ""
    bases = [text_of(base) for base in holder.bases if _GUARDED_BASE.search(text_of(base))]
    return next(iter(bases + [d.text for d in _decorators(holder, module) if _GUARD.search(d.text)]), "")


def _before_authentication(
    node: "Function | ast.ClassDef", decorators: "list[Decorator]", module: "IndexedModule"
) -> "Iterator[Finding]":
    """`cache_page` around an API view answers before its authentication and permissions run."""
    paged = next((d.node for d in decorators if d.last == "cache_page"), None)
    if paged is None or any(d.last.startswith("vary_on") for d in decorators):
        return
    text = ast.unparse(node)
    if any(patterns.search(r"APIView$|ViewSet$", text_of(base)) for base in getattr(node, "bases", ())):
        if "AllowAny" not in text:
            yield rule.finding(
                paged,
                f"@cache_page on {node.name} answers before the view's authentication and permissions run.",
                fix="Cache the value inside the view, or say permission_classes = [AllowAny].",
                severity=WARNING,
            )
    elif _FORM.search(text):
        yield rule.finding(
            paged,
            f"{node.name} shows a form, and @cache_page gives one visitor's form token to all.",
            fix="Cache what the page shows, not the page.",
            severity=WARNING,
        )


def _directives(call: "ast.AST") -> str:
    """`cache_control(public=True, max_age=60)` as a header's text."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return ", ".join(
        k.arg.replace("_", "-") for k in keywords if k.arg and literal(k.value, True) is not False
    )


def _controls(node: "ast.AST", module: "IndexedModule") -> "Iterator[tuple[ast.AST, str]]":
    """(place, text) of Cache-Control values and of what sets them."""
    for part in module.below(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) < 200:
            holder = module.parent(part)
            if isinstance(holder, ast.Dict) and part in holder.keys:
                continue
            yield (
                part,
                part.value if "=" in part.value or "-" in part.value or part.value == "private" else "",
            )
        elif isinstance(part, ast.Call) and text_of(part.func).rpartition(".")[2] in _CONTROLS:
            yield part, _directives(part)
        elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            yield part, part.attr.replace("_", "-") if part.attr in ("public", "private", "no_store") else ""


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in [*change.pairs, *change.classes]:
        was, now = _kept_private(earlier, change.before), _kept_private(node, change.after)
        lost = {what for what in was if was.count(what) > now.count(what)}
        if lost and not set(now) - set(was):
            yield rule.finding(
                (node.lineno, node.col_offset, node.lineno),
                f"{node.name} no longer says {', '.join(sorted(lost))}: caches may keep its answer and give it to others.",
                fix="Keep it, or make sure that the answer is the same for everybody and may be old.",
                severity=WARNING if lost == {"no-cache"} else ERROR,
            )


def _kept_private(node: "Function | ast.ClassDef", module: "IndexedModule") -> "list[str]":
    """What a view says to keep its answer out of shared caches."""
    never = [d for d in _decorators(node, module) if d.last in ("never_cache", "nocache", "no_cache")]
    parts = [*node.decorator_list, *(node.body if isinstance(node, FUNCTIONS) else [])]
    words = [word for part in parts for _, text in _controls(part, module) for word in _PRIVATE.findall(text)]
    return ["never_cache"] * bool(never) + words
