"""
CS126 lock-without-effect

What it does
    Flags locks that keep nobody out: a lock of threading or asyncio that is made inside the function it guards, and a lock
    in a cache (cache.add, set with nx) that is released whether or not it was acquired.

Why is this bad
    Every caller gets a lock of its own, so all of them compute together; and who did not get the lock takes it away from
    the one that has it.

Example
    import threading
    from django.core.cache import cache
    def report(day):
        lock = threading.Lock()
        with lock:
            return cache.get_or_set(f"report:{day}", build, 300)

Use instead
    import threading
    from django.core.cache import cache
    LOCK = threading.Lock()
    def report(day):
        with LOCK:
            return cache.get_or_set(f"report:{day}", build, 300)

Known problems
    A lock that is handed to threads started in the same function is known by being passed on, and passes.

Source
    2 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import is_cache
from cache_strategy.rules._keys import key_argument, names_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import qualified_name, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS126", severity="warning", keywords=("cach", "redis", "memoize"))

_LOCKS = frozenset(
    f"{home}.{name}"
    for home in ("threading", "asyncio", "multiprocessing")
    for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore")
)


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    yield from _own_lock(node, module)
    yield from _released_by_others(node, module)


def _own_lock(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    for part in module.below(node):
        if not isinstance(part, (ast.With, ast.AsyncWith)) or module.enclosing(part)[:1] != [node]:
            continue
        for item in part.items:
            made = item.context_expr
            if isinstance(made, ast.Name):
                values = names_of(node, module).values.get(made.id, [])
                uses = [
                    n
                    for n in module.below(node)
                    if isinstance(n, ast.Name) and n.id == made.id and isinstance(n.ctx, ast.Load)
                ]
                alone = all(isinstance(module.parent(use), ast.withitem) for use in uses)
                inner = any(
                    isinstance(scope, FUNCTIONS) and scope is not node
                    for use in uses
                    for scope in module.enclosing(use)[:1]
                )
                made = values[0] if len(values) == 1 and alone and not inner else made
            if isinstance(made, ast.Call) and qualified_name(made.func, module) in _LOCKS:
                yield rule.finding(
                    made,
                    f"{text_of(made.func)}() is made at every call of {node.name}(), so it keeps nobody out.",
                    fix="Make the lock once, at module level or on the object that is shared.",
                )


def _released_by_others(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    """`got = cache.add(key, ...)`, and in `finally` `cache.delete(key)` without asking for `got`."""
    names = names_of(node, module)
    got = {
        names.text_of_key(key): name
        for name, values in names.values.items()
        for value in values
        if isinstance(value, ast.Call) and _acquires(value, module)
        for key in [key_argument(value)]
        if key is not None
    }
    for part in module.below(node) if got else ():
        for statement in part.finalbody if isinstance(part, ast.Try) else ():
            for call in module.calls_below(statement):
                key = key_argument(call)
                if (
                    getattr(call.func, "attr", "") != "delete"
                    or key is None
                    or names.text_of_key(key) not in got
                ):
                    continue
                name = got[names.text_of_key(key)]
                around = [held for held in _holders(call, module) if isinstance(held, ast.If)]
                if not any(
                    isinstance(n, ast.Name) and n.id == name for held in around for n in ast.walk(held.test)
                ) and not _left_early(node, name, part):
                    yield rule.finding(
                        call,
                        f"{node.name}() releases the lock also when {name} says that somebody else has it.",
                        fix=f"Release it only if {name}.",
                    )


def _acquires(call: ast.Call, module: "IndexedModule") -> bool:
    callee = call.func
    if not isinstance(callee, ast.Attribute) or not is_cache(callee.value, module):
        return False
    return callee.attr in ("add", "setnx") or (
        callee.attr == "set" and any(k.arg == "nx" for k in call.keywords)
    )


def _holders(node: ast.AST, module: "IndexedModule") -> "Iterator[ast.AST]":
    holder = module.parent(node)
    while holder is not None:
        yield holder
        holder = module.parent(holder)


def _left_early(node: "Function", name: str, before: ast.AST) -> bool:
    """Whether the function ends before the `try` where the lock was not acquired."""
    return any(
        isinstance(part, ast.If)
        and part.lineno < getattr(before, "lineno", 0)
        and isinstance(part.body[-1], (ast.Return, ast.Raise, ast.Continue))
        and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(part.test))
        for part in ast.walk(node)
    )
