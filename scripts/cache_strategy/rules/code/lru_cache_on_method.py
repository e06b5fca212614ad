"""
CS107 lru-cache-on-method

What it does
    Flags functools.lru_cache and its kind on a method: every object it was called on is part of the key and is kept
    alive by the cache. An error where the method deals with a user, a request or a permission.

Why is this bad
    Objects (requests, rows, sessions) never go away, copies of a row do not share the cache, and what was true for an
    object once is answered for ever, permissions included.

Example
    import functools
    class Report:
        @functools.lru_cache(maxsize=None)
        def rows(self):
            return list(self.query)

Use instead
    import functools
    class Report:
        @functools.cached_property
        def rows(self):
            return list(self.query)

Known problems
    A class of which there is one object for the whole process is flagged as well: allow it and say so.

Source
    https://docs.python.org/3/faq/programming.html#how-do-i-cache-method-calls; 13 of 526 unsafe changes in 56
    open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, WARNING, Rule
from cache_strategy.rules._caches import MEMOISERS
from cache_strategy.rules._context import USER_WORD, parameters_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS107", severity="warning", keywords=("cache",))

_PERMISSION = regex(r"perm|(?:^|_)can_|allowed|is_admin|is_staff|role|member|visible|access", patterns.I)
_STATE = regex(r"self\.(?:request|session|db|user)\b")
_FIXED = regex(r"Enum$|NamedTuple$|Singleton|^type$|Flag$")


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    holder = module.parent(node)
    parameters = parameters_of(node)
    if (
        not isinstance(holder, ast.ClassDef)
        or parameters[:1] != ["self"]
        or _has_fixed_objects(holder, module)
    ):
        return
    decorators = decorators_of(node, module)
    memo = next((d for d in decorators if d.name in MEMOISERS and "key" not in d.keywords), None)
    if memo is None or any(d.last in ("staticmethod", "classmethod") for d in decorators):
        return
    text = module.source(node)
    grave = (
        _PERMISSION.search(node.name)
        or any(USER_WORD.search(name) for name in parameters[1:] if not name.endswith(("_id", "_pk")))
        or _STATE.search(text)
    )
    yield rule.finding(
        memo.node,
        f"{holder.name}.{node.name}() is memoised for every object of the class: the cache keeps them alive and answers "
        "from what was true at the first call.",
        fix="Use functools.cached_property, or memoise a module-level function of plain arguments such as ids.",
        severity=ERROR if grave else WARNING,
    )


def _has_fixed_objects(holder: ast.ClassDef, module: "IndexedModule") -> bool:
    """Whether the objects of a class are values, or live as long as the process anyway."""
    if any(_FIXED.search(text_of(base)) for base in holder.bases) or any(
        k.arg == "metaclass" for k in holder.keywords
    ):
        return True
    if any("frozen" in decorator.keywords for decorator in decorators_of(holder, module)):
        return True
    return any(getattr(part, "name", "") == "__hash__" for part in holder.body)
