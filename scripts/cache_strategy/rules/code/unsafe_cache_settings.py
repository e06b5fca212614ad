"""
CS130 unsafe-cache-settings

What it does
    Flags settings of Django and Flask that make a cache unsafe: the site-wide page cache beside logins, and an edit that
    puts a cache of one process (LocMem, simple) in the place of a shared one, or takes the key prefix away.

Why is this bad
    A site-wide cache keeps pages of people who are logged in; a cache per process holds a different value in each of them,
    and no invalidation reaches the others; without its prefix two installations share one Redis and each other's answers.

Example
    MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]

Use instead
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]

Known problems
    Views that all say private or never_cache make the site-wide cache safe: allow the line. Settings that are put together
    from several files are read one by one.

Source
    https://docs.djangoproject.com/en/stable/topics/cache/#the-per-site-cache; 2 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS130", severity="warning", keywords=("cache",))

_ONE_PROCESS = regex(r"locmem\.LocMemCache|\bLocMemCache\b|^(?:simple|SimpleCache)$")
_SHARED = regex(r"redis|(?<!loc)memcache|MemcachedCache|PyLibMC|PyMemcache|DatabaseCache|valkey", patterns.I)
_NOT_PRODUCTION = regex(r"dev|local|test|debug|ci\b|example|docs|build", patterns.I)
_SETTINGS = regex(r"settings|config|conf\b|production|prod\b|base|common", patterns.I)
_PREFIXES = frozenset("KEY_PREFIX CACHE_KEY_PREFIX CACHE_MIDDLEWARE_KEY_PREFIX".split())


@rule.visit(ast.List, ast.Tuple)
def visit_list(node: "ast.List | ast.Tuple", module: "IndexedModule") -> "Iterator[Finding]":
    texts = {
        item.value: item
        for item in node.elts
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }
    cached = next((item for text, item in texts.items() if text.endswith(".FetchFromCacheMiddleware")), None)
    if cached is None or "ANONYMOUS_ONLY" in module.text or _NOT_PRODUCTION.search(module.path):
        return
    if any(text.endswith(("AuthenticationMiddleware", "RemoteUserMiddleware")) for text in texts):
        yield rule.finding(
            cached,
            "the site-wide cache keeps every page, and this site has logins.",
            fix="Cache views that are the same for everybody, with cache_page, and keep the middleware out.",
        )


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    path = change.after.path
    if not _SETTINGS.search(path) or _NOT_PRODUCTION.search(path):
        return
    old, new = _texts(change.before), _texts(change.after)
    if any(map(_SHARED.search, _backends(old))) and not any(map(_SHARED.search, _backends(new))):
        for node in _backends(new).values():
            if isinstance(node.value, str) and _ONE_PROCESS.search(node.value):
                yield rule.finding(
                    node,
                    f"{node.value} holds a value per process, and no invalidation reaches the others.",
                    fix="Keep the shared cache here, and the other one in the settings of development and tests.",
                )
                break
    gone = _PREFIXES & set(_named(change.before)) - set(_named(change.after))
    kept = any(map(_SHARED.search, _backends(new)))
    for name in sorted(gone) if kept else ():
        yield rule.finding(
            (1, 0, 1),
            f"{name} is gone: another installation in the same cache shares its keys.",
            fix="Keep the prefix.",
        )


def _texts(module: "IndexedModule") -> "dict[str, ast.Constant]":
    return {
        node.value: node
        for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _backends(texts: "dict[str, ast.Constant]") -> "dict[str, ast.Constant]":
    """The texts that name a cache's backend."""
    return {
        text: node
        for text, node in texts.items()
        if len(text) < 100
        and patterns.search(r"cache", text, patterns.I)
        and patterns.search(r"^[\w.]+$", text)
        and (_SHARED.search(text) or _ONE_PROCESS.search(text))
    }


def _named(module: "IndexedModule") -> "dict[str, ast.AST]":
    """The keys of dicts and the names that are assigned."""
    found: "dict[str, ast.AST]" = {}
    for node in module.nodes:
        if isinstance(node, ast.Dict):
            found.update(
                {
                    key.value: key
                    for key in node.keys
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
            )
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = node
    return found
