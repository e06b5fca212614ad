"""
CS128 cached-write

What it does
    Flags a caching decorator on something that is done for its effect: a view for POST, PUT, PATCH or DELETE only, or a
    function that commits, saves, sends or posts.

Why is this bad
    The second call does nothing: the order is not placed, the mail is not sent, and the caller is told that it was.

Example
    from flask import Blueprint
    from shop.extensions import cache
    blueprint = Blueprint("orders", __name__)
    @blueprint.route("/orders", methods=["POST"])
    @cache.cached(timeout=60)
    def place_order():
        return save_order()

Use instead
    from flask import Blueprint
    from shop.extensions import cache
    blueprint = Blueprint("orders", __name__)
    @blueprint.route("/orders", methods=["POST"])
    def place_order():
        return save_order()

Known problems
    A POST that only asks (a search) may be cached by what was posted: give the key, and it passes.

Source
    https://www.rfc-editor.org/rfc/rfc9110#section-9.2.3; 2 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, Rule
from cache_strategy.rules._caches import ARGUMENTS, caching_decorator
from cache_strategy.rules._writes import write_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import literal, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS128", severity="warning", keywords=("cach", "memoize"))

_WRITING = frozenset("POST PUT PATCH DELETE".split())
_DONE = frozenset("commit save asave send_mail send_message".split())
_POSTS = regex(r"(?:^|\.)(?:requests|httpx|session|client)\.(?:post|put|patch|delete)$")


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    if cached is None:
        return
    methods = _methods(node, module)
    if methods and not methods - _WRITING:
        if not cached.key_expressions and not any(
            "key" in name or "hash" in name or "query" in name for name in cached.decorator.keywords
        ):
            flask = cached.decorator.last in ("cached", "memoize")
            yield rule.finding(
                cached.decorator.node,
                f"{node.name}() answers {', '.join(sorted(methods))}, and @{cached.shown} answers in its place the second time.",
                fix="Take the cache off; a search by POST needs a key of what was posted.",
                severity=ERROR if flask else None,
            )
    elif cached.kind == ARGUMENTS:
        for statement in node.body:
            for call in module.calls_below(statement):
                text = text_of(call.func)
                done = text.rpartition(".")[2] in _DONE and (write_of(call, module) or "send" in text)
                if done or (
                    _POSTS.search(text)
                    and not patterns.search(
                        r"token|auth|login|graphql|query|search", module.source(node), patterns.I
                    )
                ):
                    yield rule.finding(
                        cached.decorator.node,
                        f"{node.name}() does {text}(), and @{cached.shown} leaves it out the second time.",
                        fix="Cache what is computed, in a function of its own.",
                    )
                    return


def _methods(node: "Function", module: "IndexedModule") -> "set[str]":
    """The methods that a view is for; empty where its decorators do not say."""
    for decorator in decorators_of(node, module):
        last = decorator.last
        if last in ("route", "api_route", "api_view", "require_http_methods"):
            given = decorator.keywords.get("methods") or (
                decorator.args[0] if last in ("api_view", "require_http_methods") and decorator.args else None
            )
            names = literal(given)
            if isinstance(names, (list, tuple, set)):
                return {str(name).upper() for name in names} - {"OPTIONS"}
        elif last in ("post", "put", "patch", "delete") and "." in decorator.text and decorator.called:
            return {last.upper()}
        elif last in ("require_POST",):
            return {"POST"}
    return set()
