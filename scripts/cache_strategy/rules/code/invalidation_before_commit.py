"""
CS119 invalidation-before-commit

What it does
    Flags an edit that takes an invalidation out of on_commit, and code that removes an entry right before it saves the
    row.

Why is this bad
    Between the invalidation and the commit another request reads the old row and stores it again, and nobody removes it
    any more.

Example
    from django.core.cache import cache
    def rename(product, name):
        product.name = name
        cache.delete(f"product:{product.pk}")
        product.save()

Use instead
    from django.core.cache import cache
    from django.db import transaction
    def rename(product, name):
        product.name = name
        product.save()
        transaction.on_commit(lambda: cache.delete(f"product:{product.pk}"))

Known problems
    A delete both before and after the commit is safe and passes.

Source
    https://docs.djangoproject.com/en/stable/topics/db/transactions/#performing-actions-after-commit; 10 of 526 unsafe
    changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import invalidation
from cache_strategy.rules._writes import write_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS119", severity="error", keywords=("cach", "redis", "invalidat", "purge"))

_COMMIT = regex(r"on_?commit|after_?commit", patterns.I)
_FIX = "Invalidate when the write is committed: transaction.on_commit(...), after_commit, or after session.commit()."


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        if not _deferred(earlier, change.before) or _deferred(node, change.after):
            continue
        calls = [call for call in change.after.calls_below(node) if invalidation(call, change.after)]
        if calls:
            yield rule.finding(
                calls[0],
                f"{node.name}() no longer waits for the commit before it calls {text_of(calls[0].func)}(): a reader in "
                "between stores the old value again.",
                fix=_FIX,
            )


def _deferred(function: "Function", module: "IndexedModule") -> bool:
    """Whether something that happens after the commit is about caches."""
    return any(
        _COMMIT.search(text_of(call.func))
        and (
            invalidation(call, module)
            or any(invalidation(inner, module) for inner in module.calls_below(call))
            or any(invalidation(arg, module) for arg in call.args)
        )
        for call in module.calls_below(function)
    )


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    removed: "ast.Call | None" = None
    for statement in node.body:
        if not isinstance(statement, ast.Expr):
            removed = None if isinstance(statement, (ast.If, ast.Return, ast.For, ast.While)) else removed
            continue
        calls = module.calls_below(statement)
        if any(invalidation(call, module) for call in calls):
            removed = next(call for call in calls if invalidation(call, module))
        elif removed is not None and any(_saves(call, module) for call in calls):
            later = node.body[node.body.index(statement) + 1 :]
            if not any(invalidation(call, module) for part in later for call in module.calls_below(part)):
                yield rule.finding(
                    removed,
                    f"{node.name}() removes the entry before it writes: a reader in between stores the old value again.",
                    fix=_FIX,
                    severity=WARNING,
                )
            return


def _saves(call: ast.Call, module: "IndexedModule") -> bool:
    return bool(write_of(call, module)) and getattr(call.func, "attr", "") in (
        "save",
        "commit",
        "update",
        "execute",
        "asave",
    )
