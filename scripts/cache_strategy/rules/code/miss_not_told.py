"""
CS115 miss-not-told

What it does
    Flags an edit that takes away the test for a miss of a value that may not be there, or turns `is None` into a test of
    truth; and a value from cache.get() that is used without any test.

Why is this bad
    On a cold cache the code fails. With a test of truth an empty list, 0 or False is computed again on every request.

Example
    from django.core.cache import cache
    def names():
        found = cache.get("names")
        return found["first"], found["last"]

Use instead
    from django.core.cache import cache
    def names():
        found = cache.get("names")
        if found is None:
            found = load_names()
        return found["first"], found["last"]

Known problems
    A value that is certainly there, because it was stored in the same function, is flagged as well.

Source
    16 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import is_cache
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS115", severity="warning")

_MAYBE = regex(r"(?:^|_)(?:get|first|last|latest|find|one_or_none|load|lookup|hget|mget)(?:_|$)")


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        kept = {ast.dump(value) for _, value in _fetched(earlier, change.before)}
        if not kept:
            continue
        old, new = _tests(earlier, change.before), _tests(node, change.after)
        for name, value in _fetched(node, change.after):
            was, now = old.get(name, ""), new.get(name, "")
            if was == "none" and now == "truth" and _is_cached(value, change.after):
                told = f"{name} in {node.name}() is tested for truth: an empty result counts as a miss every time."
            elif was == "none" and not now and _is_used(name, node, change.after) and ast.dump(value) in kept:
                told = f"{node.name}() no longer tests whether {name} is there before it is used."
            else:
                continue
            yield rule.finding(value, told, fix=f"Test {name} is None.")


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    fetched = [(name, value) for name, value in _fetched(node, module) if _is_cached(value, module)]
    if not fetched or any(isinstance(part, ast.Try) for part in module.below(node)):
        return
    tests = _tests(node, module)
    for name, value in fetched:
        unsure = name not in tests and len(value.args) == 1 and not value.keywords
        if unsure and _is_used(name, node, module):
            yield rule.finding(
                value,
                f"{node.name}() uses {name} without a test whether the cache had it.",
                fix=f"Test {name} is None, or give a default.",
            )


def _fetched(function: "Function", module: "IndexedModule") -> "list[tuple[str, ast.Call]]":
    """(name, call) of the variables that hold what may not be there."""
    found: "dict[str, list[ast.expr]]" = {}
    for part in module.below(function):
        if isinstance(part, ast.Assign) and len(part.targets) == 1 and isinstance(part.targets[0], ast.Name):
            found.setdefault(part.targets[0].id, []).append(part.value)
    return [
        (name, value)
        for name, values in found.items()
        for value in values[:1]
        if isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and _MAYBE.search(value.func.attr)
    ]


def _is_cached(call: ast.Call, module: "IndexedModule") -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("get", "hget")
        and is_cache(call.func.value, module)
    )


def _tests(function: "Function", module: "IndexedModule") -> "dict[str, str]":
    """How each name is tested: "none" for `is None`, "truth" for the rest."""
    found: "dict[str, str]" = {}
    for part in module.below(function):
        if isinstance(part, ast.Compare) and isinstance(
            part.ops[0], (ast.Is, ast.IsNot, ast.Eq, ast.NotEq, ast.In)
        ):
            for name in ast.walk(part):
                if isinstance(name, ast.Name):
                    found[name.id] = "none"
        tests = (
            [part.test]
            if isinstance(part, (ast.If, ast.IfExp, ast.While, ast.Assert))
            else part.values
            if isinstance(part, ast.BoolOp)
            else []
        )
        for test in tests:
            for name in ast.walk(test):
                if isinstance(name, ast.Name):
                    found.setdefault(name.id, "truth")
    return found


def _is_used(name: str, function: "Function", module: "IndexedModule") -> bool:
    for part in module.below(function):
        held = (
            part.value
            if isinstance(part, (ast.Attribute, ast.Subscript, ast.Starred))
            else part.iter
            if isinstance(part, (ast.For, ast.comprehension))
            else None
        )
        if isinstance(held, ast.Name) and held.id == name:
            return True
    return False
