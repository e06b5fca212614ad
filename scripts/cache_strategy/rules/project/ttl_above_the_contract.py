"""
CS155 ttl-above-the-contract

What it does
    Flags a lifetime that an edit raises above what the contract (cache-strategy.yaml) allows for the function: its staleness
    bound where nothing but time makes the entry fresh, else the lifetime that was agreed.

Why is this bad
    Somebody confirmed how old this answer may be; readers would now see an older one.

Example
    # cache-strategy.yaml
    entries:
      - id: featured
        target: shop/catalog.py:featured
        ttl_seconds: 300
        staleness_bound_seconds: 600
    # shop/catalog.py
    from shop.extensions import cache
    -@cache.memoize(timeout=300)
    +@cache.memoize(timeout=3600)
    def featured():
        return rows()

Use instead
    # cache-strategy.yaml
    entries:
      - id: featured
        target: shop/catalog.py:featured
        ttl_seconds: 300
        staleness_bound_seconds: 600
    # shop/catalog.py
    from shop.extensions import cache
    -@cache.memoize(timeout=300)
    +@cache.memoize(timeout=600)
    def featured():
        return rows()

Known problems
    A lifetime that comes from a setting of another file is not seen.

Source
    The contract's own promise: blueprint of the contract, `staleness_bound_seconds`.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._lifetimes import is_endless, lifetime_of, storing_calls
from cache_strategy.rules.index.facts import seconds_of
from cache_strategy.syntax.names import literal, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast

    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._types import Finding, Function, Iterator
    from cache_strategy.rules.index.change import ProjectChange

rule = Rule(__name__, code="CS155", since="0.4", severity="error")
_AGE = regex(r"(?:max-age|s-maxage)\s*=\s*(\d+)")
FOR_EVER = 10**12


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    for node in change.after.functions:
        qualname = change.after.qualname(node)
        for entry in change.index.named("entry", node.name):
            path, function, limit = entry.detail.rsplit(" ", 2)
            if path != change.after.path or function != qualname:
                continue
            earlier = {seconds for _, seconds in _earlier(qualname, change)}
            for place, seconds in _lifetimes(node, change.after):
                if seconds > int(limit) and seconds not in earlier:
                    told = "for ever" if seconds >= FOR_EVER else f"{seconds} seconds"
                    yield rule.finding(
                        place,
                        f"{qualname}() is kept {told}, and the contract allows {limit} ({entry.path}:{entry.line}, {entry.where}).",
                        fix="Keep within the contract, or have the entry's bound changed there first.",
                    )
                    break


def _earlier(qualname: str, change: "ProjectChange") -> "Iterator[tuple[ast.AST, int]]":
    for node in change.before.functions if change.before is not None else ():
        if change.before is not None and change.before.qualname(node) == qualname:
            yield from _lifetimes(node, change.before)


def _lifetimes(function: "Function", module: "IndexedModule") -> "Iterator[tuple[ast.AST, int]]":
    """The lifetimes that a function gives to what it stores or answers, in seconds."""
    for call in storing_calls(function, module):
        given = lifetime_of(call)
        seconds = seconds_of(given, module)
        if seconds:
            yield call, int(seconds)
        elif given is not None and is_endless(given):
            yield call, FOR_EVER
    for part in module.below(function):
        value = literal(part) if type(part).__name__ == "Constant" else None
        for age in _AGE.findall(value) if isinstance(value, str) and len(value) < 200 else ():
            yield part, int(age)
    for call in module.calls_below(function):
        if text_of(call.func).rpartition(".")[2] in ("cache_control", "patch_cache_control"):
            for keyword in call.keywords:
                seconds = seconds_of(keyword.value, module) if keyword.arg in ("max_age", "s_maxage") else ""
                if seconds:
                    yield call, int(seconds)
