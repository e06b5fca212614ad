"""
CS120 broken-cache-call

What it does
    Flags calls that do not do what they look like: a cached value that is overwritten at once, a value that is read
    from one cache and stored in another or under another key, `cache[key] = value` on a cache that has no such
    interface, a decorator factory without its brackets or above the route, a default that is computed although it is
    there, "false" as a truth value.

Why is this bad
    The cache never hits, or the call fails when it first runs in production.

Example
    from django.core.cache import cache
    def popular():
        found = cache.get("popular")
        found = None
        if not found:
            found = load_popular()
            cache.set("popular", found, 300)
        return found

Use instead
    from django.core.cache import cache
    def popular():
        found = cache.get("popular")
        if found is None:
            found = load_popular()
            cache.set("popular", found, 300)
        return found

Known problems
    Two tiers that are meant to hold the same value under one key look alike when only one of them is written.

Source
    15 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import READS, STORES, cache_calls, caching_decorator, is_cache
from cache_strategy.rules._keys import Names, key_argument, names_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS120", severity="error", keywords=("cach", "redis", "memoize", "etag"))

_FLAGS = regex(
    r"etags?$|conditional$|^(?:public|private|no_store|no_cache|must_revalidate|version_disabled)$"
)
_ROUTE = regex(r"(?:app|blueprint|bp|router|api|views?)\.(?:route|get|api_route)$|_bp\.(?:route|get)$")
# Calls that cost nothing or give the function that is wanted.
_CHEAP = frozenset(
    "list dict set tuple int str float bool partial now time uuid4 get getattr method_to_function".split()
)
_NO_ITEMS = regex(r"^(?:flask_caching|flask_cache|django\.core\.cache)\b")


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    for decorator in decorators_of(node, module):
        callee = decorator.node
        bare = isinstance(callee, ast.Attribute) and decorator.last in ("memoize", "cached")
        if bare and is_cache(callee.value, module):  # type: ignore[attr-defined]  # an attribute where it is bare
            yield rule.finding(
                callee,
                f"@{decorator.text} lacks its brackets: {node.name} becomes the decorator's result.",
                fix=f"Write @{decorator.text}().",
            )
    yield from _above_the_route(node, module)
    yield from _overwritten(node, module)
    yield from _elsewhere(node, module)


def _above_the_route(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    below = node.decorator_list[cached.index + 1 :] if cached is not None else []
    for route in below:
        if (
            isinstance(route, ast.Call)
            and _ROUTE.search(text_of(route.func))
            and route.args
            and isinstance(route.args[0], ast.Constant)
        ):
            yield rule.finding(
                node.decorator_list[cached.index],  # type: ignore[union-attr]  # there is one, or nothing is below it
                f"@{text_of(route.func)} registers {node.name}() without the cache above it: nothing is ever served from it.",
                fix="Put the route first, and the cache below it.",
                severity=WARNING,
            )


def _overwritten(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    """`found = cache.get(k)`, and in the next statement `found = None`."""
    for part in module.below(node):
        body = getattr(part, "body", None)
        for first, second in zip(body, body[1:]) if isinstance(body, list) else ():  # noqa: B905, RUF007 - Python 3.9
            name = _target(first)
            if not name or _target(second) != name or not _is_read(first.value, module):
                continue
            if not any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(second.value)):
                yield rule.finding(
                    second,
                    f"{name} was read from the cache and is overwritten at once: no hit is ever used.",
                    fix="Take the line away.",
                )


def _target(statement: "ast.stmt") -> str:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return text_of(statement.targets[0])
    return ""


def _is_read(value: "ast.AST", module: "IndexedModule") -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in READS
        and is_cache(value.func.value, module)
    )


def _elsewhere(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    """After a miss the value goes to another cache than the one that was asked."""
    if next(cache_calls(node, module, STORES), None) is None:
        return
    names = names_of(node, module)
    for branch in module.below(node):
        if not isinstance(branch, ast.If):
            continue
        tested = {part.id for part in ast.walk(branch.test) if isinstance(part, ast.Name)}
        for name in tested:
            reads = [value for value in names.values.get(name, ()) if _is_read(value, module)]
            if len(reads) != 1:
                continue
            asked, key = text_of(reads[0].func.value), key_argument(reads[0])  # type: ignore[attr-defined,arg-type]  # a call on an attribute, by what was collected
            stores = [call for part in branch.body for call in cache_calls(part, module, STORES)]
            same = [call for call in stores if key is not None and _same_key(key, key_argument(call), names)]
            if asked and same and all(text_of(call.func.value) not in ("", asked) for call in same):  # type: ignore[attr-defined]  # a call on an attribute, by what was collected
                other = text_of(same[0].func.value)  # type: ignore[attr-defined]  # a call on an attribute, by what was collected
                yield rule.finding(
                    same[0],
                    f"{node.name}() asks {asked} and stores in {other} under the same key: it never hits.",
                    fix=f"Store in {asked}.",
                )


def _same_key(one: "ast.expr", other: "ast.expr | None", names: Names) -> bool:
    return other is not None and names.text_of_key(one) == names.text_of_key(other)


@rule.visit(ast.Call)
def visit_call(call: ast.Call, module: "IndexedModule") -> "Iterator[Finding]":
    default = call.args[1] if len(call.args) > 1 else None
    if (
        isinstance(default, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "get_or_set"
        and is_cache(call.func.value, module)
    ):
        made = text_of(default.func).rpartition(".")[2] or getattr(default.func, "attr", "")
        if made and made[0].islower() and made not in _CHEAP:
            yield rule.finding(
                default,
                f"{made}() is called before the cache is asked, at every hit as well.",
                fix=f"Give the function itself, or lambda: {ast.unparse(default)[:60]}.",
                severity=WARNING,
            )
    for keyword in call.keywords:
        value = keyword.value
        if (
            keyword.arg
            and _FLAGS.search(keyword.arg)
            and isinstance(value, ast.Constant)
            and str(value.value).lower() in ("false", "true")
            and isinstance(value.value, str)
        ):
            yield rule.finding(
                value,
                f'{keyword.arg}="{value.value}" is a text, and every text is true.',
                fix=f"Write {keyword.arg}={value.value.capitalize()}.",
                severity=WARNING,
            )


@rule.visit(ast.Subscript)
def visit_item(node: ast.Subscript, module: "IndexedModule") -> "Iterator[Finding]":
    if (
        isinstance(node.ctx, ast.Load)
        or not isinstance(node.value, ast.Name)
        or not is_cache(node.value, module)
    ):
        return
    name = node.value.id
    calls = {text_of(call.func) for call in module.calls_below(module.tree)}
    certain = bool(_NO_ITEMS.match(qualified_name(node.value, module))) and name != "caches"
    if certain or (name in module.imports and name == "cache" and name + ".get" in calls):
        yield rule.finding(
            node,
            f"{name}[...] = ... is no interface of this cache; it has get, set and delete.",
            fix=f"Write {name}.set(key, value, timeout).",
            severity=None if certain else WARNING,
        )
