"""
CS154 public-answer-behind-a-guarded-base

What it does
    Flags a page cache or a public Cache-Control that an edit puts on a view which only some people may see: because of a
    base class in another file, of the routes, or of what runs before every request of its blueprint.

Why is this bad
    A proxy, a CDN or the page cache hands one person's answer to the next, who was never asked to log in.

Example
    # shop/base.py
    from django.contrib.auth.mixins import LoginRequiredMixin
    class AccountView(LoginRequiredMixin, TemplateView):
        pass
    # shop/views.py
    from django.utils.decorators import method_decorator
    from django.views.decorators.cache import cache_page
    from shop.base import AccountView
    +@method_decorator(cache_page(600), name="dispatch")
    class Invoices(AccountView):
        template_name = "invoices.html"

Use instead
    # shop/base.py
    from django.contrib.auth.mixins import LoginRequiredMixin
    class AccountView(LoginRequiredMixin, TemplateView):
        pass
    # shop/views.py
    from django.utils.decorators import method_decorator
    from django.views.decorators.cache import cache_control
    from shop.base import AccountView
    +@method_decorator(cache_control(private=True, max_age=600), name="dispatch")
    class Invoices(AccountView):
        template_name = "invoices.html"

Known problems
    A guard in a middleware, or in a base class of an installed package, is not seen.

Source
    https://www.rfc-editor.org/rfc/rfc9111#section-3.5; 35 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import PATH, caching_decorator
from cache_strategy.rules.code.public_private_answer import FIX, public_place
from cache_strategy.rules.index.facts import guard_of_class
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._types import Finding, Function, Iterator
    from cache_strategy.rules.index.change import ProjectChange

rule = Rule(__name__, code="CS154", since="0.4", severity="error")
_DEEPEST = 8


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    had = set()
    if change.before is not None:
        had = {change.before.qualname(node) for node, _ in _public_views(change.before)}
    for node, place in _public_views(change.after):
        if change.after.qualname(node) in had:
            continue
        guard = _guard(node, change)
        if guard:
            yield rule.finding(
                place, f"{node.name} may be seen by some only ({guard}), and its answer is shared.", fix=FIX
            )


def _public_views(module: "IndexedModule") -> "Iterator[tuple[ast.ClassDef | Function, ast.AST]]":
    """The views whose answers a shared cache may keep, with the place that says so."""
    for node in module.nodes:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            cached = caching_decorator(node, module)
            place = public_place(node, module)
            if cached is not None and cached.kind == PATH and not cached.key_expressions:
                yield node, cached.decorator.node
            elif place is not None:
                yield node, place


def _guard(node: "ast.ClassDef | Function", change: "ProjectChange") -> str:
    """Where the guard of a view stands, which its own lines do not show; "" where there is none."""
    module = change.after
    holder = node if isinstance(node, ast.ClassDef) else module.parent(node)
    if isinstance(holder, ast.ClassDef):
        if guard_of_class(holder, module):
            return ""
        found = _guarded_base(
            [text_of(base).rpartition(".")[2] for base in holder.bases], change, {holder.name}, 0
        )
        if found:
            return found
    for known in change.named("guard", holder.name if isinstance(holder, ast.ClassDef) else node.name):
        return f"{known.detail} in {known.path}:{known.line}"
    for decorator in decorators_of(node, module):
        blueprint, _, verb = decorator.text.rpartition(".")
        if verb in ("route", "get") and blueprint:
            for known in change.named("guard", blueprint):
                same = known.path == module.path or module.imports.get(blueprint, "").endswith(blueprint)
                if same and known.path.rpartition("/")[0] == module.path.rpartition("/")[0]:
                    return f"before every request of {blueprint}, {known.path}:{known.line}"
    return ""


def _guarded_base(names: "list[str]", change: "ProjectChange", seen: "set[str]", depth: int) -> str:
    for name in names:
        if name in seen or depth > _DEEPEST:
            continue
        seen.add(name)
        known = change.named("class", name)
        # Two classes of one name: which one it is cannot be told.
        if len(known) != 1:
            continue
        bases, _, guard = known[0].detail.partition("|")
        if guard == "open":
            return ""
        if guard:
            return f"{guard} of its base {name}, {known[0].path}:{known[0].line}"
        found = _guarded_base(bases.split(), change, seen, depth + 1)
        if found:
            return found
    return ""
