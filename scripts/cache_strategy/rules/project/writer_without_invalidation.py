"""
CS151 writer-without-invalidation

What it does
    Flags a new write of a model (or a new write method of an API client) that invalidates nothing, where the project's other
    writers of it call the same invalidation.

Why is this bad
    What they all clear is cached somewhere: after the new write everybody reads the old value until it expires.

Example
    # shop/stock.py
    from shop.caching import forget_product
    from shop.models import Product
    def restock(product_id, n):
        Product.objects.filter(id=product_id).update(stock=n)
        forget_product(product_id)
    def rename(product_id, name):
        Product.objects.filter(id=product_id).update(name=name)
        forget_product(product_id)
    # shop/caching.py
    from django.core.cache import cache
    def product(product_id):
        return cache.get(f"product:{product_id}")
    def forget_product(product_id):
        cache.delete(f"product:{product_id}")
    # shop/views.py
    from shop.models import Product
    +def reprice(product_id, price):
    +    Product.objects.filter(id=product_id).update(price=price)

Use instead
    # shop/stock.py
    from shop.caching import forget_product
    from shop.models import Product
    def restock(product_id, n):
        Product.objects.filter(id=product_id).update(stock=n)
        forget_product(product_id)
    def rename(product_id, name):
        Product.objects.filter(id=product_id).update(name=name)
        forget_product(product_id)
    # shop/caching.py
    from django.core.cache import cache
    def product(product_id):
        return cache.get(f"product:{product_id}")
    def forget_product(product_id):
        cache.delete(f"product:{product_id}")
    # shop/views.py
    from shop.caching import forget_product
    from shop.models import Product
    +def reprice(product_id, price):
    +    Product.objects.filter(id=product_id).update(price=price)
    +    forget_product(product_id)

Known problems
    A write whose caller, in another file, invalidates is flagged: allow the line and name the caller. A model of which fewer
    than two writers invalidate, or about as many do not, says nothing.

Source
    93 of 526 unsafe caching changes in the histories of 56 open-source projects were a writer that does not invalidate.
"""

from __future__ import annotations

from collections import Counter

from cache_strategy.rules._base import Rule
from cache_strategy.rules.index.facts import is_one_off
from cache_strategy.rules.index.shapes import same_key
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Edit, Finding, Function, Iterator
    from cache_strategy.rules.index.change import ProjectChange
    from cache_strategy.rules.index.store import Known

_WRITES = regex(
    r"save|delete|update|create|insert|add|commit|flush|merge|execute|\.(?:post|put|patch)\(|soft_delete",
    patterns.I,
)
# A call with such a name may well invalidate, in another file.
_MAY_INVALIDATE = regex(
    r"cache|invalid|evict|purge|bust|expire|refresh|clear|notify|publish|signal|emit|dispatch|on_commit|enqueue|reindex",
    patterns.I,
)


def _concerns(edit: "Edit") -> bool:
    return bool(_WRITES.search(edit.added))


rule = Rule(__name__, code="CS151", since="0.4", severity="warning", keywords=(), concerns=_concerns)


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    if is_one_off(change.after.path):
        return
    gone = {fact.name for fact in change.lost("write")}
    for fact in change.brought("write"):
        node = change.function(fact.where)
        # A function that was renamed or moved within the file writes what it wrote before.
        if fact.detail or fact.name in gone or node is None or _may_invalidate(node, change):
            continue
        if change.named("listen", fact.name) or change.named("listen", "*"):
            continue
        common = _common_invalidation(fact.name, fact.where, change)
        if common is None:
            continue
        name, example, with_, all_ = common
        thing = fact.name.partition(" ")[2] or fact.name
        yield rule.finding(
            (fact.line, 0, fact.line),
            f"{fact.where}() changes {thing} and invalidates nothing; {with_} of {all_} other writers invalidate {name} "
            f"({example.path}:{example.line}).",
            fix=f"Invalidate {name} once the change is committed, as {example.where}() does.",
        )


def _may_invalidate(node: "Function", change: "ProjectChange") -> bool:
    module = change.after
    for call in module.calls_below(node):
        name = (text_of(call.func) or getattr(call.func, "attr", "")).rpartition(".")[2]
        if name and (_MAY_INVALIDATE.search(text_of(call.func) or name) or change.named("clear", name)):
            return True
    clears = {fact.where for fact in change.own("clear")}
    for other in module.functions:
        if module.qualname(other) in clears and any(
            module.readers.callee(call) is node for call in module.calls_below(other)
        ):
            return True
    return False


def _common_invalidation(
    model: str, where: str, change: "ProjectChange"
) -> "tuple[str, Known, int, int] | None":
    """What most of the other writers of a model invalidate: its name, one of them, how many do, how many there are."""
    writers: "dict[tuple[str, str], Known]" = {}
    for known in change.named("write", model):
        if known.where != where or known.path != change.after.path:
            writers.setdefault((known.path, known.where), known)
    told = Counter(name for known in writers.values() for name in set(known.detail.split()))
    for name, count in told.most_common(1):
        shown = name.replace("fragment_", "fragment ")
        if count < 2 or count < 0.75 * len(writers) or not _is_used(shown, change):
            continue
        example = next(known for known in writers.values() if name in known.detail.split())
        return shown, example, count, len(writers)
    return None


def _is_used(name: str, change: "ProjectChange") -> bool:
    """Whether what is invalidated is read: a key that somebody sets or gets, a cached function, a helper."""
    if name.isidentifier():
        return bool(change.named("cached", name) or change.named("clear", name))
    return any(same_key(name, known.name) for kind in ("set", "get") for known in change.every(kind))
