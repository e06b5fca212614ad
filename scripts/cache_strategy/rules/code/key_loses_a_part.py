"""
CS103 key-loses-a-part

What it does
    Flags an edit that takes something out of a cache key that the value still depends on (an argument, the user, the
    language, the page), or the literal words that keep the key apart from others.

Why is this bad
    Two different answers share one entry: whoever comes first decides what the others see.

Example
    def cache_key(book_id, language):
    -    return f"reviews:{book_id}:{language}"
    +    return f"reviews:{book_id}"

Use instead
    def cache_key(book_id, language):
    -    return f"reviews:{book_id}:{language}"
    +    return f"reviews:v2:{book_id}:{language}"

Known problems
    A part that moves into a function of another file is taken for kept.

Source
    Cache keys that missed an input, a user or a locale were 46 of 526 unsafe changes in 56 open-source projects,
    colliding keys 19.
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._caches import caching_decorator
from cache_strategy.rules._context import parameters_of
from cache_strategy.rules._edit import Edit
from cache_strategy.rules._keys import KEY_FUNCTION, keys_of, names_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator, Key


rule = Rule(__name__, code="CS103", severity="error", concerns=Edit.takes_away)

# What an answer may depend on without a word of it in the function.
_AROUND = regex(
    r"(?:^|[._])(?:sites?|tenant|users?|lang|language|locale|host|domain|account|team|workspace|currency|role)(?:[._]|_?(?:id|pk|code)$|$)",
    patterns.I,
)
_ROUTE = regex(r"route\(|\.(?:get|post)\(|view")
# Roots that every method uses; only the attribute itself tells whether it is still needed.
_WIDE = frozenset("self cls request instance settings app current_app g".split())


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        old, new = keys_of(earlier, change.before), keys_of(node, change.after)
        fresh = [key for key in new if not any(key.same_as(known) for known in old)]
        gone = [key for key in old if not any(key.same_as(known) for known in new)]
        for was in gone:
            now = _successor(was, fresh, alone=len(gone) == len(fresh) == 1)
            finding = _compared(was, now, node, new, change) if now is not None else None
            if finding is not None:
                yield finding
                break
        yield from _decorator(earlier, node, change)


def _successor(was: "Key", fresh: "list[Key]", alone: bool) -> "Key | None":
    """The new key that stands where an old one stood: most in common, or the only one."""
    same = [key for key in fresh if key.role == was.role]
    shared = [(len(set(key.words) & set(was.words)) * 2 + len(key.parts & was.parts), key) for key in same]
    best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] or alone else None


def _decorator(earlier: "Function", node: "Function", change: "Change") -> "Iterator[Finding]":
    """A caching decorator lost what decided about its key, or about whose answers it keeps."""
    was, now = caching_decorator(earlier, change.before), caching_decorator(node, change.after)
    if was is None or now is None or was.decorator.last != now.decorator.last:
        return
    kept = [ast.dump(expression) for expression in now.key_expressions]
    lost = [expression for expression in was.key_expressions if ast.dump(expression) not in kept]
    routed = any(_ROUTE.search(ast.unparse(decorator)) for decorator in node.decorator_list)
    is_view = routed and all(isinstance(expression, ast.Constant) for expression in lost)
    if lost and not is_view and len(now.key_expressions) < len(was.key_expressions):
        yield rule.finding(
            now.decorator.node,
            f"@{now.shown} of {node.name}() lost {ast.unparse(lost[0])[:60]}, which decided about its key.",
            fix="Keep it, or take the cache off if the answer became the same for everybody.",
        )


def _compared(
    was: "Key", now: "Key", node: "Function", every: "list[Key]", change: "Change"
) -> "Finding | None":
    if now.calls - was.calls or now.parts - was.parts:
        return None
    lost = sorted(was.parts - now.parts)
    used = [part for part in lost if _is_used(part, node, every, change)]
    words = [word for word in was.words if word not in now.words]
    if used:
        return rule.finding(
            now.place,
            f"the key no longer holds {', '.join(used)}, but {node.name}() still depends on it: different answers "
            "share one entry.",
            fix=f"Keep {', '.join(used)} in the key, in get, set and delete alike.",
        )
    around = [part for part in lost if _AROUND.search(part) and _is_silent(part, node, change)]
    if around and was.role != "remove" and not KEY_FUNCTION.search(node.name):
        return rule.finding(
            now.place,
            f"the key no longer holds {', '.join(around)}: if the answer differs by it, one is given to all.",
            fix=f"Keep {', '.join(around)} in the key, unless the answer is the same for all.",
            severity=WARNING,
        )
    if lost and was.role == "remove":
        return rule.finding(
            now.place,
            f"{node.name}() now removes a key without {', '.join(lost)}: entries whose key holds it stay.",
            fix="Remove exactly the keys that are stored, all their variants included.",
            severity=WARNING,
        )
    if lost or not words or set(now.words) - set(was.words):
        return None
    return rule.finding(
        now.place,
        f'the key lost its word{"s" if len(words) > 1 else ""} "{" ".join(words)}": entries of different kinds can meet.',
        fix="Keep a literal prefix that no other kind of entry has, in get, set and delete alike.",
        severity=WARNING if now.words else None,
    )


def _is_silent(part: str, node: "Function", change: "Change") -> bool:
    """Whether the function had a part for its key alone: then what it calls depends on it, without a word here."""
    before = next((old for old, new in change.pairs if new is node), node)
    asked = names_of(before, change.before).values.get(part.split(".")[0], [])
    return any(isinstance(value, ast.Call) for value in asked) and not _is_read(
        part, before, keys_of(before, change.before), change.before
    )


def _is_used(part: str, node: "Function", keys: "list[Key]", change: "Change") -> bool:
    """Whether a function still depends on what left its key."""
    root = patterns.split(r"\W", part)[0]
    if KEY_FUNCTION.search(node.name):
        before = next((old for old, new in change.pairs if new is node), node)
        return root not in set(parameters_of(before)) - set(parameters_of(node))
    return _is_read(part, node, keys, change.after)


def _is_read(part: str, node: "Function", keys: "list[Key]", module: "IndexedModule") -> bool:
    root = patterns.split(r"\W", part)[0]
    inside = {id(inner) for key in keys for inner in key.nodes}
    for child in module.below(node):
        if id(child) in inside:
            continue
        if root in _WIDE:
            if isinstance(child, ast.Attribute) and ast.unparse(child) == part:
                return True
        elif isinstance(child, ast.Name) and child.id == root and isinstance(child.ctx, ast.Load):
            return True
    return False
