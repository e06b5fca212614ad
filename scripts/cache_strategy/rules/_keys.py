"""
What a cache key is made of, and what a stored value depends on, inside one function.

Order of statements and conditions are left out: a name stands for everything that the function assigns to it.
That can only make a key look as if it held more, and a value as if it depended on more.
"""

from __future__ import annotations

import ast
import re

from cache_strategy.rules._caches import READS, cache_calls
from cache_strategy.rules._context import USER_WORD, parameters_of
from cache_strategy.syntax.names import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._context import Function
    from cache_strategy.rules._index import IndexedModule

_MUTATORS = frozenset("append add extend update insert setdefault".split())
_TRANSPARENT = frozenset(
    "str repr int hash len sorted tuple list dict sum min max bool bytes format join encode decode "
    "hexdigest digest lower upper strip replace isoformat md5 sha1 sha256 dumps quote slugify items "
    "strftime get_full_path getlist".split()
)
# Names that may stand for a user or for anything else.
_UNTOLD = frozenset(
    "id pk uuid key cache_key ckey cachekey k obj object instance self cls kwargs args ctx context data "
    "params prefix suffix name identifier".split()
)
_OPEN_REQUEST = frozenset("path full_path url base_url args GET method query_string view_args host".split())
_DEEPEST = 12


def key_argument(call: ast.Call) -> "ast.expr | None":
    """The key expression of a cache call."""
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    for keyword in call.keywords:
        if keyword.arg in ("key", "name"):
            return keyword.value
    return None


def value_argument(call: ast.Call) -> "ast.expr | None":
    """The value expression of a call that stores."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    position = 2 if method in ("setex", "psetex", "hset") else 1
    if len(call.args) > position:
        return call.args[position]
    for keyword in call.keywords:
        if keyword.arg in ("value", "default", "creator", "compute"):
            return keyword.value
    return None


def stem_of(key: "ast.AST") -> str:
    """The literal words of a key, joined by colons: `f"cart:{user.id}:v2"` is "cart:v2"."""
    words = []
    for part in ast.walk(key):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            words.extend(
                re.findall(r"[A-Za-z][A-Za-z0-9]*", re.sub(r"%\(?\w*\)?[sdr]|\{[^}]*\}", " ", part.value))
            )
    return ":".join(words)


def user_parts(key: "ast.AST", module: "IndexedModule | None" = None) -> "list[str]":
    """The names in an expression that carry a user, as written."""
    found = []
    inside: "set[int]" = set()
    for part in ast.walk(key):
        if id(part) in inside:
            continue
        text = text_of(part) if isinstance(part, (ast.Name, ast.Attribute)) else ""
        if text and any(USER_WORD.search(word) for word in text.split(".")):
            found.append(text)
            inside.update(id(child) for child in ast.walk(part))
    return found


class Taint:
    """The names of one function and what they stand for."""

    def __init__(self, function: "Function", module: "IndexedModule") -> None:
        self.function = function
        self.module = module
        self.readers = module.readers
        self.parameters = frozenset(parameters_of(function))
        self.values: "dict[str, list[ast.expr]]" = {}
        self.mutations: "dict[str, list[ast.expr]]" = {}
        self._sources: "dict[str, str]" = {}
        for name, value in _assignments(module.below(function)):
            self.values.setdefault(name, []).append(value)
        for name, value in _mutations(module.below(function)):
            self.mutations.setdefault(name, []).append(value)

    def resolve(self, key: "ast.expr") -> "ast.expr":
        """The expression behind a name that is assigned once; a constant of the module for its name."""
        for _ in range(_DEEPEST):
            if not isinstance(key, ast.Name) or key.id in self.parameters:
                return key
            values = self.values.get(key.id)
            if values is None and isinstance(self.module.bindings.get(key.id), ast.Constant):
                return self.module.bindings[key.id]
            if values is None or len(values) != 1 or values[0] is key:
                return key
            key = values[0]
        return key

    def text_of_key(self, key: "ast.expr") -> str:
        return ast.dump(self.resolve(key))

    def keys_read(self) -> "frozenset[str]":
        """The keys that the function reads from a cache."""
        keys = (key_argument(call) for call in cache_calls(self.function, self.module, READS))
        return frozenset(self.text_of_key(key) for key in keys if key is not None)

    def shown(self, key: "ast.expr") -> str:
        """The key for a message, as source text of at most 60 characters."""
        text = ast.unparse(self.resolve(key))
        return text if len(text) <= 60 else text[:57] + "..."

    def stem(self, key: "ast.expr") -> str:
        return stem_of(self.resolve(key))

    def user_parts(self, key: "ast.expr") -> "list[str]":
        """The names in a key that carry a user, through the names that stand for them."""
        found = user_parts(key)
        resolved = self.resolve(key)
        if resolved is not key:
            found = user_parts(resolved) or found
        for part in ast.walk(resolved):
            if not found and isinstance(part, ast.Name) and part.id in self.values and self.source_of(part):
                found = [part.id]
        return found

    def is_open(self, key: "ast.AST", depth: int = 0) -> bool:
        """Whether a key provably holds nothing of the user: literals and names that cannot stand for one."""
        if depth > _DEEPEST:
            return False
        if isinstance(key, ast.Constant):
            return True
        if isinstance(key, ast.Name):
            return self._name_is_open(key, depth)
        if isinstance(key, (ast.Attribute, ast.Subscript)):
            return self._attribute_is_open(key, depth)
        if isinstance(key, ast.Call):
            last = key.func.attr if isinstance(key.func, ast.Attribute) else getattr(key.func, "id", "")
            if last not in _TRANSPARENT:
                return False
            parts = [*key.args, *(keyword.value for keyword in key.keywords)]
            if isinstance(key.func, ast.Attribute) and not text_of(key.func).startswith(
                ("hashlib.", "json.", "request.")
            ):
                parts.append(key.func.value)
            return all(self.is_open(part, depth + 1) for part in parts)
        if isinstance(
            key,
            (
                ast.JoinedStr,
                ast.FormattedValue,
                ast.BinOp,
                ast.Tuple,
                ast.List,
                ast.IfExp,
                ast.Dict,
                ast.Compare,
                ast.BoolOp,
                ast.UnaryOp,
            ),
        ):
            if isinstance(key, ast.Dict) and user_parts_of_words(key):
                return False
            return all(
                self.is_open(child, depth + 1)
                for child in ast.iter_child_nodes(key)
                if isinstance(child, ast.expr)
            )
        return False

    def _name_is_open(self, key: ast.Name, depth: int) -> bool:
        if USER_WORD.search(key.id):
            return False
        values = self.values.get(key.id)
        if values is not None:
            every = [*values, *self.mutations.get(key.id, ())]
            return not self.source_of(key) and all(self.is_open(value, depth + 1) for value in every)
        if key.id.isupper() or isinstance(self.module.bindings.get(key.id), ast.Constant):
            return True
        return key.id in self.parameters and key.id not in _UNTOLD

    def _attribute_is_open(self, key: "ast.Attribute | ast.Subscript", depth: int) -> bool:
        if isinstance(key, ast.Subscript):
            return self.is_open(key.value, depth + 1)
        text = text_of(key)
        if not text or any(USER_WORD.search(word) for word in text.split(".")):
            return False
        if text.startswith("request."):
            return text.split(".")[1] in _OPEN_REQUEST
        if key.attr.isupper():
            return True
        root = key.value
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and self._name_is_open(root, depth + 1)

    def source_of(self, value: "ast.AST") -> str:
        """The read of the user that a value depends on, "" where there is none."""
        for _, text in self.readers.reads(value):
            return text
        for part in self.module.below(value):
            if not isinstance(part, ast.Name) or not isinstance(part.ctx, ast.Load):
                continue
            if part.id not in self._sources:
                self._sources[part.id] = ""
                every = [*self.values.get(part.id, ()), *self.mutations.get(part.id, ())]
                found = next(filter(None, map(self.source_of, every)), "")
                if not found and part.id not in self.values and part.id not in self.parameters:
                    functions = self.readers.by_name.get(part.id, [])
                    found = self.readers.read_in(functions[0]) if len(functions) == 1 else ""
                self._sources[part.id] = found
            if self._sources[part.id]:
                return self._sources[part.id]
        return ""


def user_parts_of_words(key: ast.Dict) -> bool:
    """Whether a mapping names a user among its keys: `{"user_id": ...}`."""
    return any(
        isinstance(name, ast.Constant) and isinstance(name.value, str) and USER_WORD.search(name.value)
        for name in key.keys
    )


def _names(target: ast.AST) -> "Iterator[str]":
    for part in ast.walk(target):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _assignments(nodes: "list[ast.AST]") -> "Iterator[tuple[str, ast.expr]]":
    for node in nodes:
        pairs: "list[tuple[ast.AST, ast.expr | None]]" = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
            pairs = [(node.target, node.value)]
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            pairs = [(node.target, node.iter)]
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            pairs = [(node.optional_vars, node.context_expr)]
        for target, value in pairs:
            if value is not None:
                for name in _names(target):
                    yield name, value


def _mutations(nodes: "list[ast.AST]") -> "Iterator[tuple[str, ast.expr]]":
    """`name.append(x)` and `name[...] = x`: what flows into an object through its name."""
    for node in nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MUTATORS
        ):
            if isinstance(node.func.value, ast.Name):
                for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield node.func.value.id, value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    yield target.value.id, node.value
