"""
CS156 cached-page-shows-the-user

What it does
    Flags a page cache that an edit puts on a view whose template shows the current user, itself or in what it extends or
    includes (the menu of the base template).

Why is this bad
    Everybody gets the page of whoever came first, with that person's name and links.

Example
    # shop/templates/base.html
    <nav>{{ current_user.name }}</nav>
    # shop/templates/home.html
    {% extends "base.html" %}
    # shop/views.py
    from flask import render_template
    from shop.extensions import cache
    +@cache.cached(timeout=50)
    def home():
        return render_template("home.html")

Use instead
    # shop/templates/base.html
    <nav>{{ current_user.name }}</nav>
    # shop/templates/home.html
    {% extends "base.html" %}
    # shop/views.py
    from flask import render_template
    from flask_login import current_user
    from shop.extensions import cache
    +@cache.cached(timeout=50, unless=lambda: current_user.is_authenticated)
    def home():
        return render_template("home.html")

Known problems
    A template whose name is computed, or that lies in an installed package, is not seen.

Source
    35 of 526 unsafe changes in 56 open-source projects put private answers into shared caches.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import PATH, caching_decorator
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.decorators import decorators_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._types import Finding, Iterator
    from cache_strategy.rules.index.change import ProjectChange
    from cache_strategy.rules.index.store import Known

rule = Rule(__name__, code="CS156", since="0.4", severity="warning")
_DEEPEST = 6


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    had = {(name, template) for name, _, template in _pages(change.before)} if change.before else set()
    for name, place, template in _pages(change.after):
        shown = _shown(template, change, set(), 0) if (name, template) not in had else None
        if shown is not None:
            yield rule.finding(
                place,
                f"{name}() is kept for everybody, and its page shows {shown.detail} ({shown.path}:{shown.line}).",
                fix="Leave out who is logged in (unless=...), make the user part of the key, or cache what the page shows.",
            )


def _pages(module: "IndexedModule") -> "Iterator[tuple[str, ast.AST, str]]":
    """(name, decorator, template) of the views of a file that are kept under their path."""
    for node in module.nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        cached = caching_decorator(node, module)
        if cached is None or cached.kind != PATH or cached.key_expressions:
            continue
        if any(decorator.last.startswith("vary_on") for decorator in decorators_of(node, module)):
            continue
        for part in module.below(node):
            if (
                isinstance(part, ast.Constant)
                and isinstance(part.value, str)
                and part.value.endswith((".html", ".jinja", ".j2"))
            ):
                yield node.name, cached.decorator.node, part.value


def _shown(template: str, change: "ProjectChange", seen: "set[str]", depth: int) -> "Known | None":
    """Where a template shows the user, itself or in what it is made of."""
    seen.add(template)
    for known in change.index.named("shows", template):
        return known
    for known in change.index.named("extends", template) if depth < _DEEPEST else ():
        found = _shown(known.detail, change, seen, depth + 1) if known.detail not in seen else None
        if found is not None:
            return found
    return None
