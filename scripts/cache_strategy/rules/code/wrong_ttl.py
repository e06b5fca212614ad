"""
CS116 wrong-ttl

What it does
    Flags lifetimes that cannot be meant: a product of seconds that lacks a factor (60 * 60 * 365), milliseconds where
    seconds are wanted, a timedelta where a number is wanted, setex() with value and lifetime exchanged, a freshness test
    that adds the lifetime to now.

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

import ast
import re

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._lifetimes import LIFETIME, is_storing, lifetime_of
from cache_strategy.syntax.names import qualified_name, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS116", severity="error")

_DAYS = frozenset((7, 14, 28, 30, 31, 90, 180, 364, 365, 366))
_LIFETIME_NAME = re.compile(
    r"(?:^|_)(?:timeout|ttl|expir\w*|max_?age|lifetime|cache_(?:time|duration|seconds))(?:_|$)", re.I
)
_FRESH = re.compile(r"cach|fresh|stale|expir|ttl", re.I)


@rule.visit(ast.Call)
def visit_call(call: ast.Call, module: "IndexedModule") -> "Iterator[Finding]":
    if not is_storing(call, module):
        return
    given = lifetime_of(call)
    method = getattr(call.func, "attr", "")
    if (
        method in ("setex", "psetex")
        and len(call.args) == 3
        and _is_number(call.args[2])
        and not _is_number(call.args[1])
        and isinstance(call.args[1], (ast.Constant, ast.JoinedStr, ast.Call))
    ):
        yield rule.finding(
            call,
            f"{method}(key, lifetime, value): value and lifetime are exchanged.",
            fix="Write setex(key, seconds, value).",
        )
    elif isinstance(given, ast.BinOp):
        yield from _product(given)
    elif (
        isinstance(given, ast.Call)
        and text_of(given.func).endswith("timedelta")
        and qualified_name(call.func, module).startswith("django.core.cache")
    ):
        yield rule.finding(
            given, "Django's caches take seconds, not a timedelta.", fix="Add .total_seconds()."
        )


@rule.visit(ast.Assign, ast.AnnAssign, ast.arg, ast.arguments)
def visit_name(node: "ast.AST", module: "IndexedModule") -> "Iterator[Finding]":
    if isinstance(node, ast.arguments):
        every = [*node.posonlyargs, *node.args]
        pairs = [*zip(reversed(every), reversed(node.defaults)), *zip(node.kwonlyargs, node.kw_defaults)]  # noqa: B905
        values = [value for argument, value in pairs if LIFETIME.match(argument.arg)]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        values = [node.value] if _LIFETIME_NAME.search(text_of(targets[0]).rpartition(".")[2]) else []
    else:
        return
    for value in values:
        if isinstance(value, ast.BinOp):
            yield from _product(value)


def _product(value: ast.BinOp) -> "Iterator[Finding]":
    factors = _factors(value)
    if factors.count(60) == 2 and len(factors) == 3 and factors[-1] in _DAYS:
        yield rule.finding(
            value,
            f"{ast.unparse(value)} seconds lack a factor: {factors[-1]} days are 60 * 60 * 24 * {factors[-1]}.",
            fix="Write the product in full, or timedelta(...).total_seconds().",
        )
    elif len(factors) > 1 and 1000 in factors and 60 in factors:
        yield rule.finding(
            value,
            f"{ast.unparse(value)} looks like milliseconds; caches count in seconds.",
            fix="Take the factor 1000 away, or use px= or psetex().",
            severity=WARNING,
        )


def _factors(value: "ast.AST") -> "list[int]":
    """The whole numbers of a product; empty when it holds anything else."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        left, right = _factors(value.left), _factors(value.right)
        return left + right if left and right else []
    return [value.value] if isinstance(value, ast.Constant) and type(value.value) is int else []


def _is_number(node: "ast.AST") -> bool:
    return bool(_factors(node)) or (
        isinstance(node, (ast.Name, ast.Attribute)) and bool(_LIFETIME_NAME.search(text_of(node)))
    )


@rule.visit(ast.Compare)
def visit_comparison(node: ast.Compare, module: "IndexedModule") -> "Iterator[Finding]":
    """`checked <= now() + lifetime` is true for everything that is past."""
    if (
        len(node.ops) != 1
        or not isinstance(node.ops[0], (ast.Lt, ast.LtE))
        or not _FRESH.search(module.qualname(node))
    ):
        return
    limit = node.comparators[0]
    function = module.enclosing(node)
    if isinstance(limit, ast.Name) and function:
        bound = [
            part.value
            for part in ast.walk(function[0])
            if isinstance(part, ast.Assign) and text_of(part.targets[0]) == limit.id
        ]
        limit = bound[0] if len(bound) == 1 else limit
    if (
        isinstance(limit, ast.BinOp)
        and isinstance(limit.op, ast.Add)
        and isinstance(limit.left, ast.Call)
        and text_of(limit.left.func).rpartition(".")[2] in ("now", "utcnow", "time")
    ):
        yield rule.finding(
            node,
            "what was stored in the past is always before now plus its lifetime: nothing ever expires.",
            fix="Compare with now minus the lifetime.",
            severity=WARNING,
        )
