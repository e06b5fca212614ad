"""
CS113 cached-error

What it does
    Flags an edit that takes away the check of an answer (raise_for_status, a test of the status) before it is stored or
    marked public, and code that stores what an except branch made up with the lifetime of a good answer.

Why is this bad
    A short failure of another service becomes a long one of yours: the error page or the empty list is served until it
    expires.

Example
    import requests
    def rates():
        response = requests.get(RATES_URL, timeout=5)
    -    response.raise_for_status()
        cache.set("rates", response.json(), 3600)
        return response.json()

Use instead
    import requests
    def rates():
        response = requests.get(RATES_URL, timeout=5)
    -    response.raise_for_status()
    +    if not response.ok:
    +        return None
        cache.set("rates", response.json(), 3600)
        return response.json()

Known problems
    A client that raises on its own makes the check superfluous: allow the line.

Source
    17 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, WARNING, Rule
from cache_strategy.rules._caches import STORES, cache_calls
from cache_strategy.rules._keys import key_argument
from cache_strategy.rules._lifetimes import lifetime_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS113", severity="error", keywords=("cach", "redis", "memoize", "max-age"))

_STATUS = regex(r"\.(?:status|status_code|ok|is_success|is_error|success)\b|\berrors?\b")
_MISS = regex(r"^not \w+$|\bis (?:not )?(?:None|[A-Z_]+)\b|cache", patterns.I)
_FIX = "Store only what came back well; for a failure use a lifetime of seconds."


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        moved = sum(map(_checks, change.after.functions)) >= sum(map(_checks, change.before.functions))
        if _checks(earlier) and not _checks(node) and not moved:
            stores = next(_kept(node, change.after), None)
            if stores is None and "raise_for_status" not in change.before.source(earlier):
                continue
            yield rule.finding(
                stores or (node.lineno, node.col_offset, node.lineno),
                f"{node.name}() no longer checks the answer before it is used and kept: an error is cached like a result.",
                fix=_FIX,
                severity=ERROR if stores is not None else WARNING,
            )


@rule.change
def visit_conditions(change: "Change") -> "Iterator[Finding]":
    """A store that stood under a condition of its own is done in any case now."""
    for earlier, node in change.pairs:
        old, new = _conditions(earlier, change.before), _conditions(node, change.after)
        for key, (call, conditions) in new.items():
            if key in old and old[key][1] and not conditions:
                yield rule.finding(
                    call,
                    f"{node.name}() stored this only if {', '.join(sorted(old[key][1]))[:80]}, and now does so in any case.",
                    fix=_FIX,
                    severity=WARNING,
                )


def _conditions(function: "Function", module: "IndexedModule") -> "dict[str, tuple[ast.Call, set[str]]]":
    """What each store of a function depends on, by its call and key; tests for a miss do not count."""
    found: "dict[str, tuple[ast.Call, set[str]]]" = {}
    for call in cache_calls(function, module, STORES):
        tests: "set[str]" = set()
        inner: "ast.AST" = call
        holder: "ast.AST | None" = module.parent(call)
        while isinstance(holder, ast.AST) and holder is not function:
            if (
                isinstance(holder, ast.If)
                and inner in holder.body
                and not _MISS.search(ast.unparse(holder.test))
            ):
                tests.add(ast.unparse(holder.test))
            inner, holder = holder, module.parent(holder)
        key = key_argument(call)
        found[text_of(call.func) + ast.dump(key) if key is not None else ""] = call, tests
    return found


def _checks(function: "Function") -> bool:
    """Whether a function tests a status, or lets a bad one raise."""
    for part in ast.walk(function):
        if isinstance(part, ast.Attribute) and part.attr == "raise_for_status":
            return True
        if isinstance(part, (ast.If, ast.IfExp)) and _STATUS.search(ast.unparse(part.test)):
            return True
    return False


def _kept(function: "Function", module: "IndexedModule") -> "Iterator[ast.AST]":
    """The places where a function stores a value or lets others keep its answer."""
    yield from cache_calls(function, module, STORES)
    for part in module.below(function):
        if (
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and patterns.search(r"max-age|public", part.value)
        ):
            yield part


@rule.visit(ast.ExceptHandler)
def visit_handler(node: ast.ExceptHandler, module: "IndexedModule") -> "Iterator[Finding]":
    function = next((scope for scope in module.enclosing(node) if hasattr(scope, "body")), None)
    if function is None:
        return
    inside = set(cache_calls(node, module, STORES))
    for call in inside:
        given, key = lifetime_of(call), key_argument(call)
        for other in cache_calls(function, module, STORES):
            same = lifetime_of(other)
            if other in inside or key is None or given is None or same is None or key_argument(other) is None:
                continue
            if ast.dump(key) == ast.dump(key_argument(other) or key) and ast.dump(given) == ast.dump(same):
                yield rule.finding(
                    call,
                    f"{text_of(call.func)}() in the except branch keeps the failure as long as a good answer.",
                    fix=_FIX,
                    severity=WARNING,
                )
                return
