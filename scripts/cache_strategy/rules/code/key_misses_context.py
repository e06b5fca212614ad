"""
CS122 key-misses-context

What it does
    Flags a cached function whose answer depends on something that is around every call and not in its key: the language,
    the site or host, the tenant, the time zone; and, for a memoiser of functools, the time or the current request.

Why is this bad
    The first language, site or tenant that asks decides what all others see; what was "now" once is now for ever.

Example
    from django.core.cache import cache
    from django.utils.translation import gettext as _
    def menu():
        found = cache.get("menu")
        if found is None:
            found = [_("Home"), _("Books")]
            cache.set("menu", found, 3600)
        return found

Use instead
    from django.core.cache import cache
    from django.utils.translation import get_language
    from django.utils.translation import gettext as _
    def menu():
        key = f"menu:{get_language()}"
        found = cache.get(key)
        if found is None:
            found = [_("Home"), _("Books")]
            cache.set(key, found, 3600)
        return found

Known problems
    A key function or a prefix in the cache's configuration that adds the language or the tenant is not seen: allow the line.

Source
    https://docs.djangoproject.com/en/stable/topics/cache/#cache-key-transformation; 16 of 526 unsafe changes in 56
    open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import ARGUMENTS, MEMOISERS, PATH, caching_decorator
from cache_strategy.rules._keys import Key, keys_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS122", severity="warning", keywords=("cach", "redis", "memoize"))

# What a call or an attribute asks for: (its name, its word in a key, what it is).
_CONTEXTS = (
    (regex(r"^(?:(?:flask_babel|django\.utils\.translation|babel|gettext)\..*\b(?:n?p?gettext|get_language|get_locale)|get_language|get_locale)$|(?:^|\.)request\.LANGUAGE_CODE$"),
     regex(r"lang|locale|i18n|translat|culture", patterns.I), "the language"),
    (regex(r"(?:^|\.)(?:get_current_site|get_current_tenant|current_tenant|get_tenant|schema_name|find_for_request)$|^request\.(?:host|get_host|tenant|site)$|^flask\.request\.host$"),
     regex(r"site|host|domain|tenant|schema|realm|org", patterns.I), "the site or tenant"),
    (regex(r"(?:^|\.)(?:get_current_timezone(?:_name)?|localtime|localdate|get_timezone)$"),
     regex(r"tz|timezone|zone|date|day", patterns.I), "the time zone"),
)  # fmt: skip
_CLOCK = regex(
    r"^(?:datetime\.)?(?:datetime|date)\.(?:now|utcnow|today)$|^time\.time$|^django\.utils\.timezone\.(?:now|localdate)$"
)
_REQUEST = regex(
    r"^flask\.request\.(?:args|headers|host|path|url|form|cookies|json|values|method)$|(?:^|\.)get_current_request$"
)
_WHOLE = regex(r"get_full_path|build_absolute_uri|make_template_fragment_key|query_string|headers|repr|vary")


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    memo = next(
        (d for d in decorators_of(node, module) if d.name in MEMOISERS and "key" not in d.keywords), None
    )
    if memo is not None and any(isinstance(scope, FUNCTIONS) for scope in module.enclosing(node)):
        return  # made anew with every call of the function around it
    if memo is not None:
        told = (
            _asked(node, module, _CLOCK, _REQUEST)
            if memo.name.startswith(("functools", "methodtools"))
            else ""
        )
        parameters = " ".join(
            argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)
        )
        told = told or _missing(node, module, parameters)
        if told:
            yield rule.finding(
                memo.node,
                f"{node.name}() is memoised for the whole process, and its answer depends on {told}.",
                fix=_FIX,
            )
    elif (
        cached is not None
        and not cached.key_expressions
        and not (cached.kind == PATH and cached.decorator.last == "cache_page")
    ):
        # Django's page cache has language and time zone in its keys.
        names = " ".join(argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg))
        told = _missing(node, module, names if cached.kind == ARGUMENTS else "")
        if told:
            yield rule.finding(
                cached.decorator.node, f"{node.name}() is cached, and {told} is not in its key.", fix=_FIX
            )
    elif cached is None:
        keys = [key for key in keys_of(node, module) if key.role in ("read", "store")]
        if {key.role for key in keys} == {"read", "store"}:
            stored = next(key for key in keys if key.role == "store")
            told = (
                ""
                if any(_is_open_ended(key) for key in keys)
                else _missing(node, module, _words(stored), stored.place)
            )
            if told:
                yield rule.finding(
                    stored.place,
                    f"{node.name}() stores what depends on {told} under a key without it.",
                    fix=_FIX,
                )


_FIX = "Put it into the key, or cache what does not depend on it and translate, filter or format afterwards."


def _missing(node: "Function", module: "IndexedModule", key: str, before: "ast.AST | None" = None) -> str:
    """What the body asks for (up to a place) that the words of the key do not name."""
    last = getattr(before, "end_lineno", None)
    for asks, word, what in _CONTEXTS:
        if not word.search(key) and not _WHOLE.search(key) and _asked(node, module, asks, last=last):
            return what
    return ""


def _asked(
    node: "Function", module: "IndexedModule", *patterns: "re.Pattern[str]", last: "int | None" = None
) -> str:
    for statement in node.body:
        for part in module.below(statement):
            if last is not None and getattr(part, "lineno", 0) > last:
                return ""
            callee = part.func if isinstance(part, ast.Call) else part
            if isinstance(callee, (ast.Name, ast.Attribute)) and (
                callee is not part or isinstance(part, ast.Attribute)
            ):
                name = qualified_name(callee, module) or text_of(callee)
                if any(pattern.search(name) for pattern in patterns) and not _is_for_a_failure(
                    part, node, module
                ):
                    return text_of(callee) + ("()" if callee is not part else "")
    return ""


def _is_for_a_failure(part: "ast.AST", node: "Function", module: "IndexedModule") -> bool:
    """Whether it stands where an error is handled: what is asked there does not get into the value."""
    holder = module.parent(part)
    while holder is not None and holder is not node:
        if isinstance(holder, ast.ExceptHandler):
            return True
        holder = module.parent(holder)
    return False


def _words(key: Key) -> str:
    return " ".join([*key.words, *key.parts, *key.calls])


def _is_open_ended(key: Key) -> bool:
    """Whether a key is made elsewhere: a parameter, or a function that may put anything in."""
    made = key.calls - {"format", "join", "str", "encode", "lower", "upper"}
    return (
        bool(made)
        or not key.words
        or any(patterns.search(r"key|prefix|self\.|args", part) for part in key.parts)
    )
