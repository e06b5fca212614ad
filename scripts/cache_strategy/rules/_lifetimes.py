"""How long a stored value lives: the expression that a call or a decorator gives as its time to live."""

from __future__ import annotations

from cache_strategy.rules._caches import STORES, is_cache
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._index import IndexedModule

LIFETIME = regex(
    r"(?:(?:cache_)?(?:time_?out|ttl|expir\w*|life_?time|max_?age|s_maxage)(?:_in)?(?:_seconds|_s)?|ex|px|exat|pxat|cache_time|time)$"
)
_ABOUT_CACHES = regex(r"cach|redis|memo", patterns.I)
# Where a lifetime stands among the positional arguments. Sources: Django, Flask-Caching and redis-py.
_POSITIONS = {
    "set": 2, "add": 2, "get_or_set": 2, "set_many": 1, "setex": 1, "psetex": 1, "memoize": 0, "cached": 0, "cache_page": 0, "expire": 1,
}  # fmt: skip


def lifetime_of(call: ast.Call) -> "ast.expr | None":
    """The lifetime that a call names, None where it names none."""
    for keyword in call.keywords:
        if keyword.arg and LIFETIME.match(keyword.arg):
            return keyword.value
    position = _POSITIONS.get(text_of(call.func).rpartition(".")[2] or getattr(call.func, "attr", ""), 99)
    return call.args[position] if position < len(call.args) else None


def is_endless(value: "ast.expr | None") -> bool:
    """Whether a lifetime is missing or says "for ever"."""
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def storing_calls(node: "ast.AST", module: "IndexedModule") -> "Iterator[ast.Call]":
    """Calls below a node that store into a cache, decorators and the project's own wrappers included."""
    return (call for call in module.calls_below(node) if is_storing(call, module))


def is_storing(call: ast.Call, module: "IndexedModule") -> bool:
    """Whether a call stores into a cache, itself or as a wrapper of the project's own."""
    callee = call.func
    if isinstance(callee, ast.Attribute) and is_cache(callee.value, module):
        is_set = callee.attr == "add" and len(call.args) + len(call.keywords) == 1
        return not is_set and (callee.attr in STORES or callee.attr in _POSITIONS)
    return bool(_ABOUT_CACHES.search(text_of(callee))) and not any(
        isinstance(arg, ast.Starred) for arg in call.args
    )
