"""
CS131 conflicting-cache-control

What it does
    Flags answers that say two things about caching: never_cache together with cache_page or public, a Cache-Control of
    no-store or private with public or max-age, and directives that there are not (no_cache, max-age: 60).

Why is this bad
    Each cache on the way picks what it understands; one of them keeps what should not be kept, or nothing is kept at all.

Example
    from django.views.decorators.cache import cache_page, never_cache
    @never_cache
    @cache_page(600)
    def news(request):
        return render(request, "news.html")

Use instead
    from django.views.decorators.cache import cache_page
    @cache_page(600)
    def news(request):
        return render(request, "news.html")

Known problems
    A header for a CDN of its own (CDN-Cache-Control, Surrogate-Control) may differ on purpose, and is not looked at.

Source
    https://www.rfc-editor.org/rfc/rfc9111#section-5.2; 4 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import literal
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS131", severity="warning", keywords=("cache",))

_NAME = regex(r"cache[-_]control$", patterns.I)
_WRONG = regex(
    r"(?<![\w-])(no_cache|no_store|max_age|s_maxage|must_revalidate|nocache|nostore)(?![\w-])|(?<![\w-])(max-age|s-maxage)\s*:",
    patterns.I,
)


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    decorators = {d.last: d for d in decorators_of(node, module)}
    public = (
        "cache_control" in decorators and literal(decorators["cache_control"].keywords.get("public")) is True
    )
    if "never_cache" in decorators and ("cache_page" in decorators or public):
        yield rule.finding(
            decorators["never_cache"].node,
            f"{node.name}() is never to be cached and is cached.",
            fix="Keep the one that is meant.",
        )


@rule.visit(ast.Assign)
def visit_assignment(node: ast.Assign, module: "IndexedModule") -> "Iterator[Finding]":
    for target in node.targets:
        if isinstance(target, ast.Subscript) and _NAME.search(str(literal(target.slice, ""))):
            yield from _judged(node.value)


@rule.visit(ast.Dict)
def visit_dict(node: ast.Dict, module: "IndexedModule") -> "Iterator[Finding]":
    for key, value in zip(node.keys, node.values):  # noqa: B905 - Python 3.9
        if _NAME.search(str(literal(key, ""))):
            yield from _judged(value)


def _judged(value: "ast.expr") -> "Iterator[Finding]":
    text = literal(value)
    if not isinstance(text, str):
        return
    said = {part.partition("=")[0].strip().lower() for part in text.split(",")}
    age = patterns.search(r"(?:^|[\s,])max-age=([1-9]\d*)", text)
    wrong = _WRONG.search(text)
    told = ""
    if "public" in said and said & {"private", "no-store"}:
        told = "says public and " + (said & {"private", "no-store"}).pop()
    elif "no-store" in said and age:
        told = f"says no-store and {age.group().strip(' ,')}"
    elif wrong:
        told = f"has a directive that there is not: {wrong.group().strip()}"
    if told:
        yield rule.finding(
            value,
            f'Cache-Control "{text}" {told}.',
            fix='Write what is meant, for example "no-store" or "public, max-age=600".',
        )
