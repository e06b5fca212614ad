"""
CS101 shared-key-for-user-data

What it does
    Flags a cached function or view that reads the current user (current_user, request.user, the login session,
    g.user, a JWT) when its key holds nothing of the user; a value that depends on the user and is stored by hand
    under a key that does not; and an edit that takes the user out of a key.

Why is this bad
    The first visitor's answer is served to everyone who follows: their name, their orders, their permissions.

Example
    from flask_caching import Cache
    from flask_login import current_user
    cache = Cache()

    @cache.cached(timeout=60)
    def dashboard():
        return render_template("dashboard.html", orders=orders_of(current_user.id))

Use instead
    from flask_caching import Cache
    from flask_login import current_user
    cache = Cache()

    @cache.cached(timeout=60, make_cache_key=lambda *args, **kwargs: f"dashboard:{current_user.id}")
    def dashboard():
        return render_template("dashboard.html", orders=orders_of(current_user.id))

Known problems
    A user read inside a helper of another file, a template or a base class is not seen. A key function of another
    file is trusted.

Source
    https://flask-caching.readthedocs.io/en/latest/ (the key of `cached` is the path of the request),
    https://docs.djangoproject.com/en/stable/topics/cache/#using-vary-headers
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import (
    ARGUMENTS,
    PATH,
    STORES,
    CachedFunction,
    cache_calls,
    caching_decorator,
)
from cache_strategy.rules._context import USER_WORD, parameters_of
from cache_strategy.rules._keys import Key, key_argument, names_of, value_argument, words_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import literal
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._context import UserReaders
    from cache_strategy.rules._types import Edit, Finding, Function, IndexedModule, Iterator

_READ = regex(
    r"current_user|current_identity|jwt|get_user|\.(?:user|session|auth|authorization|user_id)\b|\bsession\b|"
    r"\bg\.get\b|\bg\.\w*(?:user|identity|principal|viewer|login|auth)"
)
_ABOUT_KEYS = regex(r"cach|memo|redis|lru|key|unless|vary|private|condition|extra|import", patterns.I)
_USERS = regex(
    r"user|uid|account|member|owner|viewer|author|identity|principal|customer|session|login|email|token|profile|auth|"
    r"cookie|\bme\b|jwt|key|\bg\b",
    patterns.I,
)


def _concerns(edit: "Edit") -> bool:
    """Whether an edit can make a key shared: it touches a key, a cache, a user, or a function that may read one."""
    if edit.before is None:
        return bool(_READ.search(edit.after))
    if _USERS.search(edit.removed):
        return True
    changed = edit.removed + "\n" + edit.added
    touches = _ABOUT_KEYS.search(changed) or _USERS.search(changed) or edit.mentions_a_function()
    return bool(touches and _READ.search(edit.after))


rule = Rule(
    __name__,
    code="CS101",
    since="0.1",
    keywords=("cach", "redis", "memoize"),
    severity="error",
    wide=True,
    concerns=_concerns,
)

_VARIES_ON_USER = frozenset("cookie authorization x-user x-user-id *".split())


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    if cached is not None:
        around = module.enclosing(node) if cached.decorator.name.startswith("functools.") else []
        # A memoiser inside of a function is made anew with every call of it.
        if not any(isinstance(scope, FUNCTIONS) for scope in around):
            yield from _cached_function(node, cached, module)
    else:
        yield from _stored_by_hand(node, module)


@rule.visit(ast.ClassDef)
def visit_class(node: ast.ClassDef, module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    if cached is None or cached.kind != PATH or _is_private(node, cached, module):
        return
    for method in node.body:
        if isinstance(method, FUNCTIONS):
            for place, text in module.readers.reads(method):
                yield _finding(cached, node.name, text, place)
                return


def _cached_function(
    node: "Function", cached: CachedFunction, module: "IndexedModule"
) -> "Iterator[Finding]":
    own: "list[str]" = []
    if cached.kind == ARGUMENTS:
        own = parameters_of(node)
        if cached.decorator.name.startswith("fastapi_cache."):
            # Source: fastapi-cache2, `cache`: the request and the response are taken out of the key.
            own = [name for name in own if name not in ("request", "response")]
        if any(USER_WORD.search(name) for name in own):
            return
    if _is_private(node, cached, module):
        return
    for expression in cached.key_expressions:
        if _may_hold_user(expression, module):
            return
    for place, text in module.readers.reads(node, own):
        yield _finding(cached, node.name + "()", text, place)
        return


def _finding(cached: CachedFunction, name: str, text: str, place: ast.AST) -> "Finding":
    line = getattr(place, "lineno", 0)
    return rule.finding(
        cached.decorator.node,
        f"{name} is cached for all users together, but its answer depends on {text} (line {line}).",
        fix="Put @vary_on_cookie directly below @cache_page, or take the cache off this view."
        if cached.decorator.last == "cache_page"
        else "Put the user into the key: make_cache_key=, key=, or an argument such as user_id.",
    )


def _is_private(node: ast.AST, cached: CachedFunction, module: "IndexedModule") -> bool:
    """Whether a decorator below the cache gives each user an own answer or keeps the answer out of the cache."""
    if cached.kind != PATH:
        return False
    for index, decorator in enumerate(decorators_of(node, module)):
        names = [decorator]
        if decorator.name.endswith("method_decorator") and decorator.args:
            from cache_strategy.syntax.decorators import Decorator

            first = decorator.args[0]
            parts = first.elts if isinstance(first, (ast.List, ast.Tuple)) else [first]
            names = [Decorator(part, module) for part in parts]
        elif index < cached.index:
            continue
        for inner in names:
            if inner.last == "vary_on_cookie" or inner.last == "never_cache":
                return True
            if inner.last == "vary_on_headers":
                headers = {str(literal(argument, "")).lower() for argument in inner.args}
                if headers & _VARIES_ON_USER:
                    return True
            if inner.last == "cache_control" and "private" in inner.keywords:
                return True
    return False


def _may_hold_user(expression: "ast.expr", module: "IndexedModule") -> bool:
    """Whether a key expression reads the user, or does something that this file does not show."""
    readers = module.readers
    if isinstance(expression, ast.Constant):
        return False
    if isinstance(expression, ast.Lambda):
        return next(readers.reads(expression.body), None) is not None or _calls_elsewhere(
            expression.body, readers
        )
    if isinstance(expression, ast.Name):
        functions = readers.by_name.get(expression.id, [])
        if len(functions) == 1 and expression.id not in module.imports:
            return bool(readers.read_in(functions[0])) or _calls_elsewhere(functions[0], readers)
        bound = module.bindings.get(expression.id)
        return not isinstance(bound, ast.Constant)
    if isinstance(expression, ast.JoinedStr):
        return any(
            USER_WORD.search(ast.unparse(part.value))
            for part in expression.values
            if isinstance(part, ast.FormattedValue)
        )
    return True


# What a key function may call without learning who asks.
_HARMLESS = frozenset(
    "str repr int len sorted tuple list dict hash join format encode decode hexdigest items lower upper "
    "strip split replace to_dict get getlist md5 sha256 sha1 urlencode quote get_full_path dumps".split()
)


def _calls_elsewhere(node: ast.AST, readers: "UserReaders") -> bool:
    """Whether code calls something whose text is not in this file and that could know the user."""
    for call in readers.module.calls_below(node):
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if last in _HARMLESS:
            continue
        function = readers.callee(call)
        if function is None or _calls_elsewhere(function, readers):
            return True
    return False


def _stored_by_hand(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    stores = [call for call in cache_calls(node, module, STORES) if _innermost(call, module) is node]
    if not stores or _is_for_anonymous_only(node, module):
        return
    names = names_of(node, module)
    read = names.keys_read()
    for call in stores:
        key, value = key_argument(call), value_argument(call)
        if key is None or value is None or not Key("store", call, key, names).is_open():
            continue
        both = call.func.attr in ("get_or_set", "get_or_create", "get_or_compute")  # type: ignore[attr-defined]  # a call on an attribute, by the test before
        if not both and names.text_of_key(key) not in read:
            continue
        source = names.user_read(value)
        if source:
            yield rule.finding(
                call,
                f"{node.name}() stores a value that depends on {source} under the key {names.shown(key)}, "
                "which is the same for every user.",
                fix="Put the user into the key, in get, set and delete alike, for example "
                f'f"{":".join(words_of(key)) or "name"}:{{current_user.id}}".',
            )


def _innermost(node: ast.AST, module: "IndexedModule") -> "ast.AST | None":
    for scope in module.enclosing(node):
        if isinstance(scope, FUNCTIONS):
            return scope
    return None


def _is_for_anonymous_only(node: ast.AST, module: "IndexedModule") -> bool:
    """Whether the function tells anonymous visitors from others, so that what it stores may be theirs alone."""
    return any(
        isinstance(part, ast.Attribute) and part.attr in ("is_anonymous", "is_authenticated")
        for part in module.below(node)
    )
