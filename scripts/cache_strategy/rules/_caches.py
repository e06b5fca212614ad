"""
Where Python code uses a cache: decorators that cache a function, calls that read, store or invalidate.

Sources: functools, cachetools 5, Flask-Caching 2.3 (`Cache.cached`, `Cache.memoize`), Django 5
(`django.views.decorators.cache`, `django.core.cache`), redis-py 5, aiocache, fastapi-cache2, dogpile.cache,
django-cacheops, and the modules that `emit` writes (`<package>/caching/entries.py`, `flask_http.py`).
"""

from __future__ import annotations

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import Decorator, decorators_of
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._index import Function, IndexedModule

# What the key of a cached function is made of.
ARGUMENTS = "arguments"
PATH = "path"

_BY_ARGUMENTS = frozenset(
    "functools.lru_cache functools.cache async_lru.alru_cache methodtools.lru_cache cachetools.cached "
    "cachetools.func.lru_cache cachetools.func.ttl_cache cachetools.func.lfu_cache "
    "cachetools.func.rr_cache cachetools.func.fifo_cache asyncache.cached aiocache.cached "
    "aiocache.decorators.cached fastapi_cache.decorator.cache cacheops.cached cacheops.cached_as "
    "cacheops.simple.cached".split()
)
# Memoisers in the process: the arguments are the key, and nothing is told when data changes.
MEMOISERS = frozenset(
    name for name in _BY_ARGUMENTS if name.startswith(("functools", "cachetools", "async_lru", "methodtools"))
)
_BY_PATH = frozenset(
    (
        "django.views.decorators.cache.cache_page",
        "cacheops.cached_view",
        "cacheops.cached_view_as",
    )
)
_CACHE_NAME = regex(
    r"(?:^|_)(?:cache|caches|redis|memcache|memcached)(?:_|$|\d)|[a-z]Cache$|^Cache$", patterns.I
)
_ENTRY = regex(r"(?:^|\.)caching\.entries(?:\.|$)")
_ENDPOINT = regex(r"(?:^|\.)caching\.flask_http\.cached_endpoint$")
_CACHE_TYPE = regex(
    r"^(?:dogpile|redis|valkey|fakeredis|flask_caching|cachetools|diskcache|pymemcache|memcache|aiocache|cashews)\b"
)

# Keyword arguments that decide about the key, or about whose answers are cached at all.
KEY_KEYWORDS = frozenset(
    "make_cache_key key_prefix key key_func key_builder function_key_generator make_name extra unless "
    "condition skip_cache_func".split()
)

READS = frozenset("get get_many mget get_or_set get_or_create get_or_compute hget hgetall get_dict".split())
STORES = frozenset("set add setex psetex set_many get_or_set get_or_create get_or_compute hset write".split())
REMOVES = frozenset(
    "delete delete_many delete_dict delete_memoized delete_memoized_verhash delete_pattern "
    "delete_keys_by_pattern delete_by_pattern delete_key pop unlink clear clear_prefix clear_keys "
    "invalidate invalidate_all purge evict remove expire_key hdel".split()
)
_WITHOUT_KEY = frozenset("clear invalidate invalidate_all purge".split())
_ANYWHERE = frozenset("cache_clear delete_memoized invalidate_after_commit cache_invalidate".split())
REMOVING_WORD = regex(
    r"(?:^|_)(?:clear|clears|delete|deletes|invalidate|invalidates|invalidated|invalidation|purge|purges|bust|evict|expire|"
    r"drop|reset|flush|remove|rebuild|refresh|recache|bump|forget|uncache)(?:_|$)",
    patterns.I,
)
_CACHE_WORD = regex(
    r"(?:^|_|\.)(?:caches?|cached|caching|cdn|varnish|surrogate|memoi[sz]ed?|memo)(?:_|\.|$)|Cache",
    patterns.I,
)
_INVALIDATES = regex(r"(?:^|_)invalidate[sd]?(?:_|$)", patterns.I)
# Things that are invalidated and are no caches.
_OTHER_THINGS = regex(
    r"token|session|login|password|jwt|invite|invitation|otp|form|code|selection|credential|auth|challenge",
    patterns.I,
)


class CachedFunction:
    """A decorator that caches: how its key is made, and the expressions that decide about it."""

    __slots__ = ("decorator", "index", "key_expressions", "kind", "shown")

    def __init__(self, decorator: Decorator, index: int, kind: str) -> None:
        self.decorator = decorator
        self.index = index
        self.kind = kind
        self.shown = decorator.text
        self.key_expressions = [value for name, value in decorator.keywords.items() if name in KEY_KEYWORDS]
        if decorator.last == "cached" and len(decorator.args) > 1:
            # Flask-Caching: cached(timeout, key_prefix, unless, ...); cachetools: cached(cache, key).
            self.key_expressions.extend(decorator.args[1:])


def is_cache(node: "ast.AST", module: "IndexedModule") -> bool:
    """Whether an expression is a cache object, by what it is made of or by its name."""
    known = module.caches.get(node)
    if known is None:
        known = module.caches[node] = _is_cache(node, module)
    return known


def _is_cache(node: "ast.AST", module: "IndexedModule") -> bool:
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Call):
        name = qualified_name(node.func, module)
        return bool(_CACHE_TYPE.match(name)) or bool(
            _CACHE_NAME.search(text_of(node.func).rpartition(".")[2])
        )
    last = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    if not last:
        return False
    if _CACHE_NAME.search(last):
        return True
    name = qualified_name(node, module)
    return bool(_CACHE_TYPE.match(name)) or bool(_ENTRY.search(name)) or name.startswith("django.core.cache.")


_MENTIONS = "cach redis memo etag last_modified condition".split()


def mentions_cache(function: "Function", module: "IndexedModule") -> bool:
    """Whether a function's lines hold a word of caching, or a name of the file that stands for a cache."""
    names = module.known.get(("mentions", module.tree))
    if names is None:
        names = [name for name, value in module.bindings.items() if is_cache(value, module)]
        names += [name for name, target in module.imports.items() if _CACHE_WORD.search(target)]
        module.known["mentions", module.tree] = names
    source = module.source(function)
    lowered = source.lower()
    return any(word in lowered for word in _MENTIONS) or any(name in source for name in names)


def caching_decorator(node: "ast.AST", module: "IndexedModule") -> "CachedFunction | None":
    """The outermost decorator of a function or class that caches its result, or None."""
    if not getattr(node, "decorator_list", None):
        return None
    if ("cached", node) not in module.known:
        module.known["cached", node] = _caching_decorator(node, module)
    return module.known["cached", node]  # type: ignore[no-any-return]  # `known` holds what each asker put there


def _caching_decorator(node: "ast.AST", module: "IndexedModule") -> "CachedFunction | None":
    for index, decorator in enumerate(decorators_of(node, module)):
        kind = _kind_of(decorator, module)
        if kind:
            return CachedFunction(decorator, index, kind)
        wrapped = _method_decorator(decorator, module)
        if wrapped is not None:
            return CachedFunction(wrapped, index, PATH)
    return None


def _kind_of(decorator: Decorator, module: "IndexedModule") -> str:
    name = decorator.name
    if name in _BY_ARGUMENTS:
        return ARGUMENTS
    if name in _BY_PATH:
        return PATH
    if name and _ENDPOINT.search(name):
        return PATH
    callee = decorator.node.func if isinstance(decorator.node, ast.Call) else decorator.node
    if name and _ENTRY.search(name) and not decorator.called:
        # `<entry>_endpoint` has its key function in entries.py, `<entry>_http` keeps nothing.
        return "" if name.endswith(("_endpoint", "_http")) else ARGUMENTS
    if isinstance(callee, ast.Attribute) and is_cache(callee.value, module):
        if callee.attr == "cached":
            return PATH
        if callee.attr in ("memoize", "cache_on_arguments", "memoize_async"):
            return ARGUMENTS
    return ""


def _method_decorator(decorator: Decorator, module: "IndexedModule") -> "Decorator | None":
    """`cache_page(...)` inside `method_decorator(...)`."""
    if not decorator.name.endswith("method_decorator") or not decorator.args:
        return None
    first = decorator.args[0]
    for expression in first.elts if isinstance(first, (ast.List, ast.Tuple)) else (first,):
        inner = Decorator(expression, module)
        if inner.name in _BY_PATH:
            return inner
    return None


def invalidation(call: "ast.AST", module: "IndexedModule") -> str:
    """
    The text of a call (or decorator) that makes cached values go away, else "".

    `cache.delete(...)`, `f.cache_clear()`, `entry.invalidate(...)`, `clear_user_cache(...)`; not
    `session.delete(row)`, not `items.clear()`, not `invalidate_token(...)`.
    """
    callee = call.func if isinstance(call, ast.Call) else call
    if isinstance(callee, ast.Attribute):
        written = text_of(callee) or callee.attr
        if callee.attr in _ANYWHERE:
            return written
        if callee.attr in REMOVES and is_cache(callee.value, module):
            # `cache_entry.delete()` deletes a row; a cache is told what to delete.
            given = not isinstance(call, ast.Call) or call.args or call.keywords
            return written if given or callee.attr in _WITHOUT_KEY else ""
        name = callee.attr
    elif isinstance(callee, ast.Name):
        written = name = callee.id
    else:
        return ""
    # `from shop.cache import clear_user`: the place says what the name leaves out.
    home = qualified_name(callee, module).rpartition(".")[0] if isinstance(callee, ast.Name) else ""
    if REMOVING_WORD.search(name) and _CACHE_WORD.search(home):
        return written
    if _OTHER_THINGS.search(name):
        return ""
    if REMOVING_WORD.search(name) and _CACHE_WORD.search(written):
        return written
    if _INVALIDATES.search(name) and _CACHE_WORD.search(qualified_name(callee, module)):
        return written
    return ""


def cache_calls(tree: "ast.AST", module: "IndexedModule", methods: "frozenset[str]") -> "Iterator[ast.Call]":
    """Calls of these methods on cache objects below `tree`."""
    for node in module.calls_below(tree):
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in methods
            and is_cache(node.func.value, module)
        ):
            yield node


def reads_a_cache(module: "IndexedModule") -> bool:
    """Whether anything in the file reads a cache: a `get`, a caching decorator, an entry."""
    if next(cache_calls(module.tree, module, READS), None) is not None:
        return True
    return any(caching_decorator(node, module) for node in module.nodes if hasattr(node, "decorator_list"))


def item_changes(tree: "ast.AST", module: "IndexedModule") -> "Iterator[tuple[ast.AST, str, bool]]":
    """(place, text, whether a value is stored) of `cache[key] = value` and `del cache[key]` below `tree`."""
    for node in module.below(tree):
        if (
            isinstance(node, ast.Subscript)
            and not isinstance(node.ctx, ast.Load)
            and is_cache(node.value, module)
        ):
            stored = isinstance(node.ctx, ast.Store)
            text = text_of(node.value) or "cache"
            yield node, f"{text}[...] = ..." if stored else f"del {text}[...]", stored
