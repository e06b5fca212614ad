"""
CS152 deleted-key-nobody-sets

What it does
    Flags an edit after which a key is deleted that nothing sets or reads, while a key of the same name and another form is in
    use: one side of the pair was changed alone. Template fragments (`{% cache %}`) count as keys that are set.

Why is this bad
    The deletion runs and hits nothing: readers keep the old value, and the code looks as if it were taken care of.

Example
    # shop/pages.py
    from django.core.cache import cache
    def page(user_id, language):
        return cache.get_or_set(f"page:{user_id}:{language}", build, 600)
    # shop/signals.py
    from django.core.cache import cache
    def changed(user_id):
        log(user_id)
    +    cache.delete(f"page:{user_id}")

Use instead
    # shop/pages.py
    from django.core.cache import cache
    def page(user_id, language):
        return cache.get_or_set(f"page:{user_id}:{language}", build, 600)
    # shop/signals.py
    from django.core.cache import cache
    def changed(user_id):
        log(user_id)
    +    cache.delete_many([f"page:{user_id}:{language}" for language in LANGUAGES])

Known problems
    A key that is built by a function, or from a part that holds several, is not compared.

Source
    25 of 526 unsafe changes in 56 open-source projects deleted another key than the one that is set.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules.index.shapes import same_key, stem_of
from cache_strategy.syntax import patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Iterator
    from cache_strategy.rules.index.change import ProjectChange
    from cache_strategy.rules.index.store import Known

rule = Rule(__name__, code="CS152", since="0.4", severity="warning")


@rule.project
def visit_change(change: "ProjectChange") -> "Iterator[Finding]":
    had = {fact.name for fact in change.own("del", earlier=True)}
    for fact in change.brought("del"):
        near = _near(fact.name, change) if fact.name not in had else None
        if near is not None:
            yield rule.finding(
                (fact.line, 0, fact.line),
                f'the key "{fact.name}" is deleted, and nothing sets it; "{near.name}" is in use ({near.path}:{near.line}).',
                fix="Delete the key in the form in which it is set.",
            )
        if near is None and fact.name not in had and _is_unknown_fragment(fact.name, change):
            yield rule.finding(
                (fact.line, 0, fact.line),
                f"the {stem_of(fact.name)} is deleted, and no template caches a fragment of that name.",
                fix="Delete the key that the reader uses.",
            )
    yield from _left_behind(change)


def _is_unknown_fragment(shape: str, change: "ProjectChange") -> bool:
    """Whether no template has a fragment of this name, while templates with fragments are known."""
    if not patterns.fullmatch(r"fragment [\w-]+(?: \{\})*", shape):
        return False
    known = [
        fact.name
        for kind in ("set", "get")
        for fact in change.every(kind)
        if fact.name.startswith("fragment ")
    ]
    return bool(known) and stem_of(shape) not in map(stem_of, known) and change.is_whole()


def _left_behind(change: "ProjectChange") -> "Iterator[Finding]":
    """Deletions in other files that a key of this file has just left."""
    now = {fact.name for kind in ("set", "get") for fact in change.own(kind)}
    for kind in ("set", "get"):
        for fact in change.lost(kind):
            stem = stem_of(fact.name)
            if not stem or fact.name in now:
                continue
            new = next((f for f in change.brought(kind) if stem_of(f.name) == stem), None)
            for known in change.named("del", fact.name) if new is not None else ():
                if _near(known.name, change) is not None and not _deleted(new.name, change):  # type: ignore[union-attr]  # there is one, by the test before
                    yield rule.finding(
                        (new.line, 0, new.line),  # type: ignore[union-attr]  # there is one, by the test before
                        f'the key is now "{new.name}", but {known.path}:{known.line} still deletes "{known.name}".',  # type: ignore[union-attr]  # there is one, by the test before
                        fix="Change the deletion with the key.",
                    )
                    return


def _deleted(shape: str, change: "ProjectChange") -> bool:
    return any(same_key(shape, known.name) for known in change.every("del"))


def _near(shape: str, change: "ProjectChange") -> "Known | None":
    """A key in use that the shape misses; None where it hits one, or where nothing like it is in use."""
    stem = stem_of(shape)
    if not stem or "*" in shape:
        return None
    near: "Known | None" = None
    for kind in ("set", "get"):
        for known in change.every(kind):
            if same_key(shape, known.name):
                return None
            if near is None and stem_of(known.name) == stem and kind == "set":
                near = known
    return near if near is not None and change.is_whole() else None
