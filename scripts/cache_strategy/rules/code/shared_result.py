"""
CS110 shared-result

What it does
    Flags functools.lru_cache on a function that takes rows, sessions or requests or whose result is a list, dict or
    set that every caller shares; and an edit that takes away the copy of a cached object before it is changed.

Why is this bad
    One caller's change is seen by all who follow. A row or a session in the key is kept alive, and is never equal to
    the next one that is loaded.

Example
    from functools import lru_cache
    @lru_cache(maxsize=None)
    def options(kind: str) -> list:
        return load(kind)

Use instead
    from functools import lru_cache
    @lru_cache(maxsize=100)
    def options(kind: str) -> tuple:
        return tuple(load(kind))

Known problems
    Callers that only read are safe: return a tuple or a MappingProxyType, or allow the line.

Source
    https://docs.python.org/3/library/functools.html#functools.lru_cache; 10 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import MEMOISERS
from cache_strategy.rules._context import parameters_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import literal, qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS110", severity="warning", keywords=("cache",))

_MUTABLE = regex(r"(?:^|\.)(?:list|dict|set|List|Dict|Set|DefaultDict|OrderedDict|MutableMapping)$")
_ROW = regex(r"(?:^|\.)(?:models?|orm|entities|database)\.|(?:Session|QuerySet|Request|Engine)$")
_HELD = frozenset("request session db db_session queryset qs user".split())
_COPIES = frozenset("deepcopy copy".split())


@rule.visit(ast.FunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    memo = next(
        (d for d in decorators_of(node, module) if d.name in MEMOISERS and "key" not in d.keywords), None
    )
    if memo is None or parameters_of(node)[:1] in (["self"], ["cls"]):
        return
    if any(isinstance(scope, FUNCTIONS) for scope in module.enclosing(node)):
        return  # made anew with every call of the function around it
    held = [
        argument.arg
        for argument in ast.walk(node.args)
        if isinstance(argument, ast.arg) and _is_held(argument, module)
    ]
    if held:
        names = ", ".join(held)
        yield rule.finding(
            memo.node,
            f"{node.name}() is memoised by {names}, which the cache keeps alive and which is another object next time.",
            fix="Take ids instead of rows, sessions or requests.",
        )
        if memo.last == "cache" or literal(memo.keywords.get("maxsize"), 0) is None:
            yield rule.finding(
                memo.node,
                f"nothing bounds what {node.name}() keeps of {names}.",
                fix="Take ids, and give a maxsize.",
            )
    elif node.returns is not None and _MUTABLE.search(_annotated(node.returns)):
        yield rule.finding(
            memo.node,
            f"all callers of {node.name}() share one {_annotated(node.returns)}: what one of them changes, all see.",
            fix="Return a tuple, a frozenset or types.MappingProxyType, or a copy.",
        )


def _is_held(argument: ast.arg, module: "IndexedModule") -> bool:
    if argument.annotation is None:
        return argument.arg in _HELD
    return bool(_ROW.search(qualified_name(argument.annotation, module)))


def _annotated(node: "ast.expr") -> str:
    return text_of(node.value if isinstance(node, ast.Subscript) else node)


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    """`x = deepcopy(cached)` became `x = cached`."""
    for earlier, node in change.pairs:
        copied = {target: value for target, value in _assigned(earlier) if isinstance(value, ast.Call)}
        for target, value in _assigned(node):
            was = copied.get(target)
            if was is None or text_of(was.func).rpartition(".")[2] not in _COPIES or not was.args:
                continue
            if ast.dump(was.args[0]) == ast.dump(value):
                yield rule.finding(
                    value,
                    f"{target} in {node.name}() is no longer a copy: a change to it changes the shared object.",
                    fix="Keep the copy, or change nothing in place.",
                )


def _assigned(function: "Function") -> "Iterator[tuple[str, ast.expr]]":
    for part in ast.walk(function):
        if isinstance(part, ast.Assign) and len(part.targets) == 1 and isinstance(part.targets[0], ast.Name):
            yield part.targets[0].id, part.value
