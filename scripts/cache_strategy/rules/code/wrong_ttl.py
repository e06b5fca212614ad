"""
CS116 wrong-ttl

What it does
    Flags lifetimes that cannot be meant: a product of seconds that lacks a factor (60 * 60 * 365), milliseconds where
    seconds are wanted, a timedelta where a number is wanted, a freshness test that adds the lifetime to now.

Why is this bad
    The entry lives for days instead of a year, or for weeks instead of a minute, and nothing fails.

Example
    from django.core.cache import cache
    def remember(key, value):
        cache.set("year:" + key, value, 60 * 60 * 365)

Use instead
    from django.core.cache import cache
    def remember(key, value):
        cache.set("year:" + key, value, 60 * 60 * 24 * 365)

Known problems
    A lifetime that is computed elsewhere is not seen.

Source
    https://docs.djangoproject.com/en/stable/topics/cache/#basic-usage; 11 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._lifetimes import LIFETIME, is_storing, lifetime_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS116", severity="error")

_DAYS = frozenset((7, 14, 28, 30, 31, 90, 180, 364, 365, 366))
_NAME = regex(
    r"(?:^|_)(?:timeout|ttl|expir\w*|max_?age|lifetime|cache_(?:time|duration|seconds))(?:_|$)", patterns.I
)
_FRESH = regex(r"cach|fresh|stale|expir|ttl", patterns.I)


@rule.visit(ast.Call)
def visit_call(call: ast.Call, module: "IndexedModule") -> "Iterator[Finding]":
    given = lifetime_of(call) if is_storing(call, module) else None
    if isinstance(given, ast.Call) and text_of(given.func).endswith("timedelta"):
        if qualified_name(call.func, module).startswith("django.core.cache"):
            yield rule.finding(
                given, "Django's caches take seconds, not a timedelta.", fix="Add .total_seconds()."
            )
    else:
        yield from _product(given)


@rule.visit(ast.Assign, ast.AnnAssign)
def visit_assignment(node: "ast.Assign | ast.AnnAssign", module: "IndexedModule") -> "Iterator[Finding]":
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if _NAME.search(text_of(target).rpartition(".")[2]):
        yield from _product(node.value)


@rule.visit(ast.arguments)
def visit_defaults(node: ast.arguments, module: "IndexedModule") -> "Iterator[Finding]":
    every = [*node.posonlyargs, *node.args]
    for argument, value in [*zip(every[::-1], node.defaults[::-1]), *zip(node.kwonlyargs, node.kw_defaults)]:  # noqa: B905
        if LIFETIME.match(argument.arg):
            yield from _product(value)


def _product(value: "ast.AST | None") -> "Iterator[Finding]":
    factors = _factors(value) if isinstance(value, ast.BinOp) else []
    if factors.count(60) == 2 and len(factors) == 3 and factors[-1] in _DAYS:
        days = factors[-1]
        yield rule.finding(
            value,  # type: ignore[arg-type]  # its kind was tested before
            f"{days} days are 60 * 60 * 24 * {days} seconds, not {' * '.join(map(str, factors))}.",
            fix="Write the product in full, or timedelta(...).total_seconds().",
        )
    elif 1000 in factors and 60 in factors:
        yield rule.finding(
            value,  # type: ignore[arg-type]  # its kind was tested before
            "this looks like milliseconds; caches count in seconds.",
            fix="Take the factor 1000 away, or use px= or psetex().",
            severity=WARNING,
        )


def _factors(value: "ast.AST | None") -> "list[int]":
    """The whole numbers of a product; empty when it holds anything else."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        left, right = _factors(value.left), _factors(value.right)
        return left + right if left and right else []
    return [value.value] if isinstance(value, ast.Constant) and type(value.value) is int else []


@rule.visit(ast.Compare)
def visit_comparison(node: ast.Compare, module: "IndexedModule") -> "Iterator[Finding]":
    """`checked <= now() + lifetime` is true for everything that is past."""
    function = next(iter(module.enclosing(node)), None)
    if (
        function is None
        or not isinstance(node.ops[0], (ast.Lt, ast.LtE))
        or not _FRESH.search(module.qualname(node))
    ):
        return
    limit = node.comparators[0]
    for part in module.below(function) if isinstance(limit, ast.Name) else ():
        if isinstance(part, ast.Assign) and text_of(part.targets[0]) == limit.id:  # type: ignore[attr-defined]  # its kind was tested before
            limit = part.value
            break
    if isinstance(limit, ast.BinOp) and patterns.match(
        r"[\w.]*\b(?:now|utcnow|time)\([^)]*\) \+", ast.unparse(limit)
    ):
        yield rule.finding(
            node,
            "what was stored in the past is always before now plus its lifetime: nothing ever expires.",
            fix="Compare with now minus the lifetime.",
            severity=WARNING,
        )
