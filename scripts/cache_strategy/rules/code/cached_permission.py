"""
CS121 cached-permission

What it does
    Flags a permission, a role or a membership that is kept in a cache beyond the request.

Why is this bad
    Whoever loses a right keeps it until the entry expires, and nobody thinks of the cache when rights are taken away.

Example
    @cache.memoize(3600)
    def can_edit(user_id, page_id):
        return Membership.query.filter_by(user=user_id, page=page_id).count() > 0

Use instead
    from flask import g
    def can_edit(user_id, page_id):
        if "pages" not in g:
            g.pages = pages_of(user_id)
        return page_id in g.pages

Known problems
    Whether every place that changes rights clears the entry is not seen.

Source
    14 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import caching_decorator
from cache_strategy.rules._keys import Key, key_argument, names_of, role_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS121", severity="warning")

RIGHT = regex(
    r"(?:^|_)(?:has|user)_(?:any_)?perm|permissions?(?:_|$)|(?:^|_)can_[a-z]|(?:^|_)is_(?:admin|member|staff|owner|moderator|allowed)|"
    r"(?:^|_)roles?_(?:of|for)|(?:user|member)_roles?$|(?:^|_)allowed_(?:to|for)",
    patterns.I,
)
_FIX = "Keep it for the request only (an attribute of the request, g), or clear it wherever rights change."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    if cached is not None and RIGHT.search(node.name) and not isinstance(module.parent(node), ast.ClassDef):
        yield rule.finding(
            cached.decorator.node, f"{node.name}() decides about rights and its answer is cached.", fix=_FIX
        )
        return
    names = names_of(node, module)
    for call in module.calls_below(node):
        key = key_argument(call) if role_of(call, module) == "store" else None
        if key is not None and RIGHT.search("_".join(Key("store", call, key, names).words)):
            yield rule.finding(call, f"{node.name}() keeps rights in the cache.", fix=_FIX)
            return
