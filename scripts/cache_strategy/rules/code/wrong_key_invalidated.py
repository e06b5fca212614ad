"""
CS123 wrong-key-invalidated

What it does
    Flags a delete whose key has another number of parts than the key of the same words that the file stores; and an edit
    that changes the key that is stored and leaves the delete as it was.

Why is this bad
    The delete removes nothing, and everybody reads the old value until it expires, though the code looks right.

Example
    from django.core.cache import cache
    def reviews(book_id, language):
        found = cache.get(f"reviews:{book_id}:{language}")
        if found is None:
            found = load_reviews(book_id, language)
            cache.set(f"reviews:{book_id}:{language}", found, 300)
        return found
    def add_review(book_id, text):
        Review.objects.create(book=book_id, text=text)
        cache.delete(f"reviews:{book_id}")

Use instead
    from django.core.cache import cache
    def reviews(book_id, language):
        found = cache.get(f"reviews:{book_id}:{language}")
        if found is None:
            found = load_reviews(book_id, language)
            cache.set(f"reviews:{book_id}:{language}", found, 300)
        return found
    def add_review(book_id, text):
        Review.objects.create(book=book_id, text=text)
        cache.delete_many([f"reviews:{book_id}:{language}" for language in LANGUAGES])

Known problems
    Keys that functions of other files build are not compared.

Source
    25 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._keys import Key, keys_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, IndexedModule, Iterator

rule = Rule(__name__, code="CS123", severity="error", keywords=("cach", "redis", "memcache"))

_PLAIN = frozenset("format join str".split())
_PATTERN = regex(r"pattern|prefix|many|tag|by_|^pop$")
_FIX = "Delete the key that is stored, all of its variants included; one function that builds it keeps both alike."


@rule.visit(ast.Module)
def visit_module(node: "ast.Module", module: "IndexedModule") -> "Iterator[Finding]":
    stored, removed = _keys(module)
    shapes = {(tuple(key.words), _size(key)) for key in stored}
    for key in removed:
        words = tuple(key.words)
        alike = [other for other in stored if tuple(other.words) == words]
        if alike and (words, _size(key)) not in shapes:
            yield rule.finding(key.place, _told(key, alike[0]), fix=_FIX)


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    """The stored key gets other words, the delete keeps the old ones."""
    was_stored, was_removed = (set(map(_shape, keys)) for keys in _keys(change.before))
    stored, removed = _keys(change.after)
    now = set(map(_shape, stored))
    for key in removed:
        shape = _shape(key)
        successors = [
            other for other in stored if _shape(other) not in was_stored and other.words[:1] == key.words[:1]
        ]
        if shape in was_stored & was_removed and shape not in now and successors:
            yield rule.finding(key.place, _told(key, successors[0]), fix=_FIX)


def _keys(module: "IndexedModule") -> "tuple[list[Key], list[Key]]":
    """The keys of the file that are stored or read, and those that are removed, as far as they are written out."""
    stored: "list[Key]" = []
    removed: "list[Key]" = []
    filled: "set[tuple[str, ...]]" = set()
    for function in module.functions:
        for key in keys_of(function, module):
            if not key.words or not key.calls <= _PLAIN or any("*" in word for word in key.words):
                continue
            if _is_filled_elsewhere(key):
                filled.add(tuple(key.words))
            elif key.role in ("store", "read"):
                stored.append(key)
            elif key.role == "remove" and not _PATTERN.search(
                getattr(getattr(key.place, "func", None), "attr", "")
            ):
                removed.append(key)
    return stored, [key for key in removed if tuple(key.words) not in filled]


def _is_filled_elsewhere(key: Key) -> bool:
    """Whether a text has places for parts that somebody else puts in: `"user-{user_id}"` given to a decorator."""
    texts = [
        node.value for node in key.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "format" not in key.calls and any("{" in text for text in texts)


def _size(key: Key) -> int:
    return len(key.parts)


def _shape(key: Key) -> "tuple[tuple[str, ...], int]":
    return tuple(key.words), _size(key)


def _told(key: Key, other: Key) -> str:
    return f"this removes {_written(key)}, which nothing stores: {_written(other)} is stored."


def _written(key: Key) -> str:
    return ":".join([*key.words, *(f"{{{part}}}" for part in sorted(key.parts))])
