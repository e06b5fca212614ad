"""
CS104 key-misses-input

What it does
    Flags a function that stores a value under a key that lacks one of its own arguments, though the value is computed
    from it, and a caching decorator with a constant key on a function of arguments.

Why is this bad
    The first caller's argument decides what all others get.

Example
    def reviews(book_id, language):
        found = cache.get(f"reviews:{book_id}")
        if found is None:
            found = load_reviews(book_id, language)
            cache.set(f"reviews:{book_id}", found, 300)
        return found

Use instead
    def reviews(book_id, language):
        found = cache.get(f"reviews:{book_id}:{language}")
        if found is None:
            found = load_reviews(book_id, language)
            cache.set(f"reviews:{book_id}:{language}", found, 300)
        return found

Known problems
    An argument that cannot change the value (a connection, a time limit) is known by its name only.

Source
    26 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import PATH, caching_decorator, is_cache
from cache_strategy.rules._context import parameters_of
from cache_strategy.rules._keys import KEY_NAME, Key, Names, key_argument, names_of, role_of, value_argument
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS104", severity="error")

# Arguments that decide how something is computed, not what comes out.
_TOOLS = regex(
    r"^(?:self|cls|args|kwargs)$|request|session|(?:^|_)(?:db|conn|client|log|timeout|ttl|expir|cache|force|refresh|func|fn|callback|"
    r"default|loader|generator|getter|compute|retries|instance|obj|user|using|app|version|trans|engine)",
    patterns.I,
)
_FIX = "Put it into the key, in get, set and delete alike."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    parameters = [name for name in parameters_of(node) if not _TOOLS.search(name)]
    if not parameters:
        return
    yield from _decorated(node, parameters, module)
    stores = [call for call in module.calls_below(node) if role_of(call, module) == "store"]
    if not stores or any(map(KEY_NAME.search, parameters)):
        return
    names = names_of(node, module)
    read = names.keys_read()
    for call in stores:
        key, value = key_argument(call), value_argument(call)
        if key is None or value is None or names.text_of_key(key) not in read:
            continue
        built = Key("store", call, key, names)
        if "self" in built.parts or not built.words:
            continue
        held = _roots(key, names)
        missing = [name for name in parameters if name in _roots(value, names) - held]
        if missing and not any(isinstance(part, ast.Starred) for part in built.nodes):
            yield rule.finding(
                call,
                f"{node.name}() computes the value from {', '.join(missing)}, which the key {names.shown(key)} lacks.",
                fix=_FIX,
                severity=WARNING,
            )
            return


def _roots(node: "ast.AST", names: Names) -> "set[str]":
    """The names that an expression depends on, through what the function assigns; called names are left out."""
    found: "set[str]" = set()
    stack: "list[ast.AST]" = [node]
    while stack:
        parts = names.module.below(stack.pop())
        callees = {part.func for part in parts if isinstance(part, ast.Call)}
        for part in parts:
            if isinstance(part, ast.Name) and part not in callees and part.id not in found:
                found.add(part.id)
                stack.extend(names.every(part.id))
    return found


def _decorated(node: "Function", parameters: "list[str]", module: "IndexedModule") -> "Iterator[Finding]":
    cached = caching_decorator(node, module)
    if cached is not None and cached.kind == PATH and cached.decorator.last == "cached":
        prefix = cached.decorator.keywords.get("key_prefix")
        keys = [
            name for name in cached.decorator.keywords if name in ("make_cache_key", "query_string", "unless")
        ]
        used = [name for name in parameters if _is_read(name, node)]
        if isinstance(prefix, ast.Constant) and "%s" not in str(prefix.value) and used and not keys:
            yield rule.finding(
                cached.decorator.node,
                f'all calls of {node.name}({", ".join(used)}) share the entry "{prefix.value!s}".',
                fix="Use @cache.memoize, whose key holds the arguments, or a key function.",
            )
    for decorator in node.decorator_list:
        template = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
        if (
            not isinstance(template, ast.Constant)
            or not isinstance(template.value, str)
            or "{" not in template.value
        ):
            continue
        callee = decorator.func  # type: ignore[attr-defined]  # a call, by the test before
        if (
            isinstance(callee, ast.Attribute)
            and callee.attr in ("set", "cached")
            and is_cache(callee.value, module)
        ):
            missing = [
                name for name in parameters if "{" + name not in template.value and _is_read(name, node)
            ]
            if missing:
                yield rule.finding(
                    decorator,
                    f'{node.name}() depends on {", ".join(missing)}, which the key "{template.value}" lacks.',
                    fix=_FIX,
                    severity=WARNING,
                )


def _is_read(name: str, node: "Function") -> bool:
    return any(
        isinstance(part, ast.Name) and part.id == name
        for statement in node.body
        for part in ast.walk(statement)
    )
