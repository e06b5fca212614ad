"""
CS106 missing-ttl

What it does
    Flags an edit that takes the lifetime from a cached value (the timeout argument, `ex=`, a following expire()) or
    sets it to None, and new code that stores one value per row, user or query for ever.

Why is this bad
    A value without a lifetime stays wrong until somebody notices, and keys that are never read again fill the memory.

Example
    def rates(country):
        found = cache.get(f"rates:{country}")
        if found is None:
            found = load_rates(country)
    -        cache.set(f"rates:{country}", found, timeout=3600)
    +        cache.set(f"rates:{country}", found)
        return found

Use instead
    def rates(country):
        found = cache.get(f"rates:{country}")
        if found is None:
            found = load_rates(country)
    -        cache.set(f"rates:{country}", found, timeout=3600)
    +        cache.set(f"rates:{country}", found, timeout=600)
        return found

Known problems
    A default lifetime in the cache's configuration is not seen; name it at the call.

Source
    19 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import READS, cache_calls
from cache_strategy.rules._keys import Key, key_argument, names_of, words_of
from cache_strategy.rules._lifetimes import is_endless, is_storing, lifetime_of, storing_calls
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS106", severity="error")

_FIX = "Name a lifetime, also as the net under an invalidation that fails: timeout=, ttl=, ex=."
# Keys of things that are meant to stay.
_STAYS = regex(r"version|generation|lock|count|seq|token|queue|flag|config|setting", patterns.I)
_EXPIRES = frozenset("expire pexpire expireat touch".split())
_REDIS = regex(r"redis|valkey|(?:^|_)r$", patterns.I)


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        old, new = _by_callee(earlier, change.before), _by_callee(node, change.after)
        for callee, calls in new.items():
            for was, now in _paired(old.get(callee, []), calls):
                if _is_bounded(lifetime_of(was)) and is_endless(lifetime_of(now)) and not _is_open(now):
                    yield rule.finding(
                        now,
                        f"{callee}(...) had a lifetime and has none any more: what it stores may stay for ever.",
                        fix=_FIX,
                        severity=WARNING if callee.endswith((".memoize", ".cached")) else None,
                    )
        if _expirations(earlier) > 0 == _expirations(node) and not any(
            not is_endless(lifetime_of(call)) for calls in new.values() for call in calls
        ):
            yield rule.finding(
                (node.lineno, node.col_offset, node.lineno),
                f"{node.name}() no longer calls expire(): what it keeps stays for ever.",
                fix=_FIX,
                severity=WARNING,
            )


def _by_callee(function: "Function", module: "IndexedModule") -> "dict[str, list[ast.Call]]":
    found: "dict[str, list[ast.Call]]" = {}
    for call in storing_calls(function, module):
        found.setdefault(text_of(call.func) or getattr(call.func, "attr", ""), []).append(call)
    return found


def _paired(old: "list[ast.Call]", new: "list[ast.Call]") -> "Iterator[tuple[ast.Call, ast.Call]]":
    """The calls that stand for each other: in order, or by the words of their keys."""
    if len(old) == len(new):
        yield from zip(old, new)  # noqa: B905 - Python 3.9
        return
    for now in new:
        words = _words(now)
        same = [was for was in old if words and _words(was) == words]
        if len(same) == 1:
            yield same[0], now


def _is_bounded(value: "ast.expr | None") -> bool:
    return not is_endless(value) and "max" not in text_of(value)


def _words(call: ast.Call) -> "list[str]":
    return words_of(call.args[0]) if call.args else []


def _is_open(call: ast.Call) -> bool:
    """Whether a call passes on arguments that are not seen here."""
    return any(keyword.arg is None for keyword in call.keywords)


def _expirations(node: "ast.AST") -> int:
    return sum(isinstance(part, ast.Attribute) and part.attr in _EXPIRES for part in ast.walk(node))


@rule.visit(ast.Call)
def visit_call(call: ast.Call, module: "IndexedModule") -> "Iterator[Finding]":
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in (
        "set",
        "add",
        "hset",
        "set_many",
        "get_or_set",
    ):
        return
    if not is_storing(call, module) or _is_open(call):
        return
    key = key_argument(call)
    function = next((scope for scope in module.enclosing(call) if isinstance(scope, FUNCTIONS)), None)
    if key is None or function is None:
        return
    given = lifetime_of(call)
    explicit = isinstance(given, ast.Constant) and given.value is None
    by_default = (
        given is None
        and bool(_REDIS.search(text_of(call.func.value)))
        and not _expirations(function)
        and next(cache_calls(function, module, READS), None) is not None
    )
    parts = Key("store", call, key, names_of(function, module)) if explicit or by_default else None
    if parts is not None and parts.parts and not any(_STAYS.search(word) for word in parts.words):
        yield rule.finding(
            call,
            f"{function.name}() stores one entry per {', '.join(sorted(parts.parts)[:2])} and lets none of them expire.",
            fix=_FIX,
            severity=WARNING,
        )
