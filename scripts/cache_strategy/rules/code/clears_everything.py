"""
CS124 clears-everything

What it does
    Flags code of an application that empties a whole cache or database of Redis (cache.clear(), flushdb(), flushall()), or
    that walks all keys of it (KEYS, delete_pattern in a signal receiver), outside of management commands, migrations,
    scripts and tests.

Why is this bad
    One write empties the cache for everybody, sessions, locks and queues in the same database included, and all requests
    fall through to the database together. KEYS serves nobody else until it is done.

Example
    from django.core.cache import cache
    def rename(product, name):
        product.name = name
        product.save()
        cache.clear()

Use instead
    from django.core.cache import cache
    def rename(product, name):
        product.name = name
        product.save()
        cache.delete(f"product:{product.pk}")

Known problems
    A small cache that changes once a week may well be cleared: allow the line.

Source
    https://docs.djangoproject.com/en/stable/topics/cache/#cache-clear, https://redis.io/docs/latest/commands/keys/; 8 of 526
    unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._writes import is_listener
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS124", severity="warning")

_TOOL = regex(
    r"(?:^|/)(?:management|commands?|migrations|scripts?|tasks?/maintenance|bin|tools?|cli|fixtures|conftest|testing|dev|alembic|fabfile|manage)(?:/|\.py|_)|(?:^|/)(?:apps|__main__|setup)\.py$"
)
_SHARED = regex(r"^django\.core\.cache\b|^flask_caching\b|^flask_cache\b|^(?:redis|valkey|django_redis)\b")
_REDIS = regex(r"(?:^|_|\.)(?:redis|valkey|rdb|redis_client|redis_conn\w*|redis_store)$", patterns.I)
_COMMAND = regex(
    r"click|command|cli|task|teardown|setup|test|reset|clear|flush|purge|wipe|drop|handle|main|warm|upgrade|install|load|restore|import",
    patterns.I,
)


@rule.visit(ast.Call)
def visit_call(call: ast.Call, module: "IndexedModule") -> "Iterator[Finding]":
    callee = call.func
    if not isinstance(callee, ast.Attribute) or callee.attr not in _TOLD or _TOOL.search(module.path):
        return
    holder = callee.value.value if isinstance(callee.value, ast.Subscript) else callee.value
    name = qualified_name(holder, module) or text_of(holder)
    if callee.attr == "clear" and (call.args or not _SHARED.match(name) or name.startswith("redis")):
        return
    if callee.attr != "clear" and not (_SHARED.match(name) or _REDIS.search(name)):
        return
    if callee.attr in ("keys", "delete_pattern") and not call.args:
        return
    around = [
        scope
        for scope in module.enclosing(call)
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    if not around or any(
        _COMMAND.search(
            " ".join([scope.name, *(text_of(getattr(d, "func", d)) for d in scope.decorator_list)])
        )
        for scope in around
    ):
        return
    if callee.attr == "delete_pattern" and not any(is_listener(scope, module) for scope in around):
        return
    yield rule.finding(call, f"{text_of(callee) or callee.attr}() {_TOLD[callee.attr]}.", fix=_FIX)


_TOLD = {
    "clear": "empties the whole cache for everybody",
    "flushdb": "deletes every key of the database: caches, sessions, locks and queues alike",
    "flushall": "deletes every key of every database of the server",
    "keys": "walks all keys in one step, and Redis serves nobody else meanwhile",
    "delete_pattern": "walks all keys of the cache at every change of a row",
}
_FIX = "Delete the keys that are wrong, or raise a version that is part of them; list keys with scan_iter()."
