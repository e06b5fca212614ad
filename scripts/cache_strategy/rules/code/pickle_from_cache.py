"""
CS125 pickle-from-cache

What it does
    Flags pickle (dill, cloudpickle, marshal, jsonpickle, joblib) and unsafe YAML that read what came out of Redis or
    memcached.

Why is this bad
    Whoever can write into the cache runs code in every process that reads it; and an object of a class that has changed
    since fails or is half empty.

Example
    import pickle
    import redis
    client = redis.Redis()
    def settings_of(shop_id):
        found = client.get(f"settings:{shop_id}")
        return pickle.loads(found) if found else None

Use instead
    import json
    import redis
    client = redis.Redis()
    def settings_of(shop_id):
        found = client.get(f"settings:{shop_id}")
        return json.loads(found) if found else None

Known problems
    What the cache's own library pickles inside is its configuration, and not seen here.

Source
    https://docs.python.org/3/library/pickle.html (warning), CVE-2021-33026
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import READS, is_cache
from cache_strategy.rules._keys import names_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import qualified_name
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS125", severity="error", keywords=("cach", "redis"))

_LOADS = regex(
    r"^(?:_?c?[pP]ickle|dill|cloudpickle|marshal|jsonpickle|joblib)\.(?:loads?|decode|Unpickler)$|^yaml\.(?:unsafe_load|full_load)$"
)
_REMOTE = READS | {
    "lrange",
    "lpop",
    "rpop",
    "blpop",
    "brpop",
    "hvals",
    "smembers",
    "getset",
    "getex",
    "lindex",
}
_FILE = regex(r"path|file|disk|dir", patterns.I)


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    for call in module.calls_below(node):
        name = qualified_name(call.func, module)
        if not _LOADS.match(name) or not call.args or _owner(call, module) is not node:
            continue
        values = [
            call.args[0],
            *(
                value
                for part in ast.walk(call.args[0])
                if isinstance(part, ast.Name)
                for value in names_of(node, module).every(part.id)
            ),
        ]
        for value in values:
            read = next(
                (
                    inner
                    for inner in ast.walk(value)
                    if isinstance(inner, ast.Call) and _is_read(inner, module)
                ),
                None,
            )
            if read is not None:
                shown = ast.unparse(read)
                yield rule.finding(
                    call,
                    f"{name}() runs whatever lies in the cache under {shown if len(shown) < 60 else 'that key'}.",
                    fix="Store data: json.dumps and json.loads, or msgpack.",
                )
                break


def _is_read(call: ast.Call, module: "IndexedModule") -> bool:
    callee = call.func
    return (
        isinstance(callee, ast.Attribute)
        and callee.attr in _REMOTE
        and is_cache(callee.value, module)
        and not _FILE.search(ast.unparse(callee.value))
    )


def _owner(call: ast.Call, module: "IndexedModule") -> "ast.AST | None":
    return next((scope for scope in module.enclosing(call) if isinstance(scope, FUNCTIONS)), None)
