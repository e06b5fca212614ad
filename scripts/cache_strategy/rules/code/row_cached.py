"""
CS114 row-cached

What it does
    Flags values that must not lie in a shared cache: rows and queries of SQLAlchemy, querysets of Django that were not
    evaluated, generators, responses that were not rendered; and an edit that takes away the conversion to plain data.

Why is this bad
    A row out of the cache belongs to a session that is closed and fails at its first relation; a generator is empty the
    second time; a queryset is a query that runs again, or a copy of rows that nobody updates.

Example
    def countries():
        found = cache.get("countries")
        if found is None:
            found = db.session.query(Country).all()
            cache.set("countries", found, 3600)
        return found

Use instead
    def countries():
        found = cache.get("countries")
        if found is None:
            found = [country.to_dict() for country in db.session.query(Country)]
            cache.set("countries", found, 3600)
        return found

Known problems
    A cache in the same process that is emptied with the session may hold rows: allow the line.

Source
    https://docs.sqlalchemy.org/en/20/orm/session_state_management.html; 25 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import STORES, cache_calls, caching_decorator
from cache_strategy.rules._keys import Names, names_of, value_argument
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS114", severity="warning")

_ALCHEMY = regex(
    r"(?:\.session|\bsession|\bdb)\.(?:query|scalars|get)\(|\.query\.(?:filter|filter_by|get|all|order_by|first)\b"
)
_ROWS = regex(
    r"\.(?:all|first|one|one_or_none|get|get_or_404|scalar_one|filter|filter_by|order_by|limit)\([^()]*\)$"
)
_LAZY = regex(
    r"\.objects\b(?!.*\.(?:values|values_list|count|exists|aggregate|get|first|last|in_bulk|latest)\().*\.(?:filter|all|exclude|order_by|select_related|annotate)\("
)
_CONVERSIONS = frozenset(
    "list tuple dict set str unicode mark_safe dumps model_dump to_dict as_dict values render".split()
)
_ONE_USE = frozenset("map filter zip iter reversed TemplateResponse".split())
_FIX = "Store plain data: ids, dicts, rendered text."


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    names = names_of(node, module)
    values: "list[tuple[ast.expr, ast.expr | None]]" = [
        (call, value_argument(call)) for call in cache_calls(node, module, STORES)
    ]
    cached = caching_decorator(node, module)
    if cached is not None and cached.decorator.last in ("memoize", "cached", "cache_on_arguments"):
        values += [
            (cached.decorator.node, part.value) for part in ast.walk(node) if isinstance(part, ast.Return)
        ]
    for place, value in values:
        what = _unfit(_last(value, names)) if value is not None else ""
        if what:
            yield rule.finding(place, f"{node.name}() keeps {what} in the cache.", fix=_FIX)
            return


def _unfit(value: "ast.expr") -> str:
    if isinstance(value, ast.Lambda):
        value = value.body
    if isinstance(value, ast.GeneratorExp):
        return "a generator, which is empty the second time,"
    if not isinstance(value, ast.Call):
        return ""
    if text_of(value.func).rpartition(".")[2] in _ONE_USE and isinstance(value.func, ast.Name):
        return f"the result of {text_of(value.func)}(), which is used up or not rendered,"
    text = ast.unparse(value)
    if _ALCHEMY.search(text) and _ROWS.search(text):
        return "rows of a database session"
    if _LAZY.search(text) and isinstance(value.func, ast.Attribute) and value.func.attr not in _CONVERSIONS:
        return "a queryset that was not evaluated"
    return ""


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    """`set(key, list(rows))` became `set(key, rows)`."""
    for earlier, node in change.pairs:
        old = {ast.dump(inner) for value in _stored(earlier, change.before) for inner in _converted(value)}
        plain = {ast.dump(value) for value in _stored(earlier, change.before)}
        for value in _stored(node, change.after) if old else ():
            if ast.dump(value) in old - plain and not isinstance(value, ast.Constant):
                yield rule.finding(
                    value,
                    f"{node.name}() no longer converts what it keeps in the cache to plain data.",
                    fix=_FIX,
                )
                break


def _stored(function: "Function", module: "IndexedModule") -> "list[ast.expr]":
    names = names_of(function, module)
    stored = [value_argument(call) for call in cache_calls(function, module, STORES)]
    return [one for value in stored if value is not None for one in (value, _last(value, names))]


def _last(value: "ast.expr", names: Names) -> "ast.expr":
    """What a stored name was given last."""
    return names.values.get(getattr(value, "id", ""), [value])[-1]


def _converted(value: "ast.expr") -> "list[ast.expr]":
    if not isinstance(value, ast.Call):
        return []
    name = text_of(value.func).rpartition(".")[2] or getattr(value.func, "attr", "")
    if name not in _CONVERSIONS:
        return []
    return value.args[:1] or ([value.func.value] if isinstance(value.func, ast.Attribute) else [])
