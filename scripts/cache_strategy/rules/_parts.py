"""
The parts of cache keys: what is interpolated, which words are literal, which functions build them.

`keys_of(function, module)` gives every key that a function uses or builds, so that two versions can be compared.
"""

from __future__ import annotations

import ast
import re

from cache_strategy.rules._caches import READS, REMOVES, STORES, is_cache
from cache_strategy.rules._keys import Taint, key_argument, stem_of
from cache_strategy.syntax.names import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._index import Function, IndexedModule

# Names that hold a key, or what a key varies by.
KEY_NAME = re.compile(r"(?:^|_)(?:c?key|cachekey|keys|vary)(?:_|$|\d)|cache_?key", re.I)
KEY_FUNCTION = re.compile(
    r"cache_?key|make_key|gen(?:erate)?_key|key_for|_key$|^key_|key_?func|key_builder", re.I
)
_TEXT = (ast.JoinedStr, ast.BinOp, ast.List, ast.Tuple)
_DEEPEST = 8


class Key:
    """One key: its role ("read", "store", "remove", "key"), literal `words`, `parts` that vary, `calls` that build it."""

    __slots__ = ("calls", "nodes", "parts", "place", "role", "words")

    def __init__(self, role: str, place: "ast.AST", expression: "ast.AST", taint: Taint) -> None:
        self.role = role
        self.place = place
        self.words: "list[str]" = []
        self.parts: "set[str]" = set()
        self.calls: "set[str]" = set()
        self.nodes: "set[ast.AST]" = set()
        self._collect(expression, taint, 0)

    def _collect(self, node: "ast.AST", taint: Taint, depth: int) -> None:
        self.nodes.add(node)
        if depth > _DEEPEST or isinstance(node, (ast.expr_context, ast.operator, ast.keyword)):
            if isinstance(node, ast.keyword):
                self._collect(node.value, taint, depth)
            return
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                self.words.extend(filter(None, stem_of(node).split(":")))
        elif isinstance(node, ast.Name):
            values = [] if node.id in taint.parameters else taint.values.get(node.id, [])
            if not values and isinstance(taint.module.bindings.get(node.id), ast.Constant):
                values = [taint.module.bindings[node.id]]
            if values and (KEY_NAME.search(node.id) or all(_builds_text(value) for value in values)):
                for value in [*values, *taint.mutations.get(node.id, ())]:
                    if value not in self.nodes:
                        self._collect(value, taint, depth + 1)
            else:
                self.parts.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            self.parts.add(text_of(node) or ast.unparse(node))
            self.nodes.update(ast.walk(node))
        else:
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    self.calls.add(node.func.id)
                elif isinstance(node.func, ast.Attribute):
                    self.calls.add(node.func.attr)
                    inner = node.func.value
                    if not (
                        isinstance(inner, ast.Name) and inner.id in taint.module.imports
                    ) and not is_cache(inner, taint.module):
                        self._collect(inner, taint, depth)
                self.nodes.update(ast.walk(node.func))
            for child in ast.iter_child_nodes(node):
                if not (isinstance(node, ast.Call) and child is node.func):
                    self._collect(child, taint, depth)

    def same_as(self, other: "Key") -> bool:
        return self.words == other.words and self.parts == other.parts and self.calls == other.calls


def _builds_text(value: "ast.AST") -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Attribute) and value.func.attr in (
            "format",
            "join",
            "encode",
            "hexdigest",
        )
    return isinstance(value, _TEXT)


def keys_of(function: "Function", module: "IndexedModule") -> "list[Key]":
    """The keys of the cache calls in a function, of its variables that hold keys, and what it returns if it builds keys."""
    taint = Taint(function, module)
    return [Key(role, place, expression, taint) for role, place, expression in _expressions(function, module)]


def _expressions(function: "Function", module: "IndexedModule") -> "Iterator[tuple[str, ast.AST, ast.AST]]":
    builds = bool(KEY_FUNCTION.search(function.name))
    for node in module.below(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            role = role_of(node, module)
            key = key_argument(node) if role else None
            if key is not None:
                for one in _each(key):
                    yield role, node, one
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = target.slice if isinstance(target, ast.Subscript) else target
                written = name.value if isinstance(name, ast.Constant) else text_of(name).rpartition(".")[2]
                if isinstance(written, str) and KEY_NAME.search(written) and _builds_key(node.value):
                    yield "key", node, node.value
        elif isinstance(node, ast.Return) and builds and node.value is not None:
            yield "key", node, node.value


def role_of(call: ast.Call, module: "IndexedModule") -> str:
    """What a call does with a cache: "read", "store", "remove", or ""."""
    callee = call.func
    if not isinstance(callee, ast.Attribute) or not is_cache(callee.value, module):
        return ""
    if callee.attr in STORES:
        return "store"
    return "read" if callee.attr in READS else "remove" if callee.attr in REMOVES else ""


def _builds_key(value: "ast.AST") -> bool:
    return _builds_text(value) or isinstance(value, (ast.Call, ast.Name, ast.Attribute))


def _each(key: "ast.AST") -> "Iterator[ast.AST]":
    """The keys of a list of keys, else the key itself."""
    if isinstance(key, (ast.List, ast.Tuple, ast.Set)):
        for item in key.elts:
            yield from _each(item)
    elif isinstance(key, ast.BinOp) and isinstance(key.left, (ast.List, ast.ListComp, ast.BinOp)):
        yield from _each(key.left)
        yield from _each(key.right)
    else:
        yield key
