"""
CS153 rights-from-a-cache

What it does
    Flags a permission check that comes to use a function of another file whose answer is cached for more than a minute,
    and a cache that is put on a function which permission checks of other files use.

Why is this bad
    Whoever loses a right keeps it until the entry expires; neither file alone shows it.

Example
    # shop/members.py
    from shop.extensions import cache
    @cache.memoize(3600)
    def shops_of(user_id):
        return load(user_id)
    # shop/rules.py
    from shop.members import shops_of
    def can_edit(user, shop):
        log(user)
    +    return shop.id in shops_of(user.id)

Use instead
    # shop/members.py
    from shop.extensions import cache
    @cache.memoize(3600)
    def shops_of(user_id):
        return load(user_id)
    def load(user_id):
        return rows(user_id)
    # shop/rules.py
    from shop.members import load
    def can_edit(user, shop):
        log(user)
    +    return shop.id in load(user.id)

Known problems
    A cached function that is cleared by name anywhere counts as safe, though not every change of rights may clear it.

Source
    14 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Iterator
    from cache_strategy.rules.index.change import ProjectChange

rule = Rule(__name__, code="CS153", since="0.4", severity="warning", keywords=())
_SHORT = 60
_FIX = "Ask without the cache where rights are decided, keep the answer for the request only, or clear it when rights change."


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    imported = change.after.imports
    for fact in change.brought("decide"):
        known = change.named("cached", fact.name) if fact.name in imported else []
        homes = [k for k in known if k.path != change.after.path and _is_home(imported[fact.name], k.path)]
        if homes and _lasts(homes[0].detail) and not change.named("clear", fact.name):
            yield rule.finding(
                (fact.line, 0, fact.line),
                f"{fact.where}() decides by {fact.name}(), which is cached ({homes[0].path}:{homes[0].line}).",
                fix=_FIX,
            )
    for fact in change.brought("cached"):
        users = [known for known in change.named("decide", fact.name) if known.path != change.after.path]
        if users and _lasts(fact.detail) and "." not in fact.where and not change.named("clear", fact.name):
            yield rule.finding(
                (fact.line, 0, fact.line),
                f"{fact.name}() is cached from now on, and {users[0].where}() decides by it ({users[0].path}:{users[0].line}).",
                fix=_FIX,
            )


def _lasts(seconds: str) -> bool:
    return not seconds or int(seconds) > _SHORT


def _is_home(target: str, path: str) -> bool:
    """Whether an imported name comes from a file: by the last part of its module."""
    module = target.rpartition(".")[0].strip(".").replace(".", "/")
    stem = path[:-3].removesuffix("/__init__")
    return not module or stem.endswith(module) or module.endswith(stem)
