"""
CS108 lru-cache-on-coroutine

What it does
    Flags a synchronous memoiser (functools.lru_cache, cache, cached_property, cachetools.cached) on an async function.

Why is this bad
    The cache keeps the coroutine, not its result: the second caller gets one that was awaited already, and fails.

Example
    import functools
    @functools.lru_cache
    async def rates(day):
        return await load_rates(day)

Use instead
    from async_lru import alru_cache
    @alru_cache(maxsize=100, ttl=300)
    async def rates(day):
        return await load_rates(day)

Known problems
    A wrapper of your own that knows coroutines and is called lru_cache is told apart by its import only.

Source
    https://docs.python.org/3/library/functools.html; 7 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import MEMOISERS
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.decorators import decorators_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS108", severity="error", keywords=("cache",))

_SYNCHRONOUS = (MEMOISERS - {"async_lru.alru_cache"}) | {
    "functools.cached_property",
    "django.utils.functional.cached_property",
}


@rule.visit(ast.AsyncFunctionDef)
def visit_function(node: ast.AsyncFunctionDef, module: "IndexedModule") -> "Iterator[Finding]":
    if any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in module.below(node)):
        return
    decorators = decorators_of(node, module)
    if decorators and decorators[-1].name in _SYNCHRONOUS:
        yield rule.finding(
            decorators[-1].node,
            f"{node.name}() is a coroutine function, and {decorators[-1].text} keeps the coroutine, which can be awaited once.",
            fix="Use a memoiser for coroutines (async_lru.alru_cache, aiocache, cashews), or cache the awaited value.",
        )
