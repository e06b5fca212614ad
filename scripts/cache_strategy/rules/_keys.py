"""
What cache keys are made of, and what a stored value depends on, inside one function.

Order of statements and conditions are left out: a name stands for everything that the function assigns to it.
That can only make a key look as if it held more, and a value as if it depended on more.
"""

from __future__ import annotations

from cache_strategy.rules._caches import READS, REMOVES, STORES, cache_calls, is_cache
from cache_strategy.rules._context import USER_WORD, parameters_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cache_strategy.rules._index import Function, IndexedModule

# Names that hold a key, or what a key varies by; functions that build keys.
KEY_NAME = regex(r"(?:^|_)(?:c?key|cachekey|keys|vary|etag)(?:_|$|\d)|cache_?key", patterns.I)
KEY_FUNCTION = regex(
    r"cache_?key|make_key|gen(?:erate)?_key|key_for|_key$|^key_|key_?func|key_builder|_etag$|^etag_",
    patterns.I,
)
_MUTATORS = frozenset("append add extend update insert setdefault".split())
# Calls that change how a part is written, not which parts there are.
_TRANSPARENT = frozenset(
    "str repr int hash len sorted tuple list dict sum min max bool bytes format join encode decode hexdigest digest lower "
    "upper strip replace isoformat md5 sha1 sha256 dumps quote slugify items strftime get_full_path getlist".split()
)
# Names that may stand for a user or for anything else.
_UNTOLD = frozenset(
    "id pk uuid key cache_key ckey cachekey k obj object instance self cls kwargs args ctx context data params prefix "
    "suffix name identifier".split()
)
_OPEN_REQUEST = frozenset("path full_path url base_url args GET method query_string view_args host".split())
# The project's own functions around a cache, which take the key first.
_WRAPPER = regex(r"get_or_set|(?:^|[._])(?:cache|cached|redis)_|_(?:cache|cached)$")
_BUILDERS = frozenset("format join encode hexdigest".split())
_DEEPEST = 12


def key_argument(call: ast.Call) -> "ast.expr | None":
    """The key expression of a cache call."""
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg in ("key", "name")), None)


def value_argument(call: ast.Call) -> "ast.expr | None":
    """The value expression of a call that stores."""
    position = 2 if getattr(call.func, "attr", "") in ("setex", "psetex", "hset") else 1
    if len(call.args) > position:
        return call.args[position]
    named = ("value", "default", "creator", "compute")
    return next((keyword.value for keyword in call.keywords if keyword.arg in named), None)


def words_of(key: "ast.AST") -> "list[str]":
    """The literal words of a key: `f"cart:{user.id}:v2"` has "cart" and "v2"."""
    return [
        word
        for part in ast.walk(key)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        for word in patterns.findall(
            r"[A-Za-z][A-Za-z0-9]*", patterns.sub(r"%\(?\w*\)?[sdr]|\{[^}]*\}", " ", part.value)
        )
    ]


def role_of(call: ast.Call, module: "IndexedModule") -> str:
    """What a call does with a cache: "read", "store", "remove", or ""."""
    callee = call.func
    if not isinstance(callee, ast.Attribute) or not is_cache(callee.value, module):
        return ""
    if callee.attr in STORES:
        return "store"
    return "read" if callee.attr in READS else "remove" if callee.attr in REMOVES else ""


class Names:
    """The names of one function and what they stand for."""

    def __init__(self, function: "Function", module: "IndexedModule") -> None:
        self.function = function
        self.module = module
        self.parameters = frozenset(parameters_of(function))
        self.values: "dict[str, list[ast.expr]]" = {}
        self.mutations: "dict[str, list[ast.expr]]" = {}
        self._sources: "dict[str, str]" = {}
        for name, value in _assignments(module.below(function)):
            self.values.setdefault(name, []).append(value)
        for name, value in _mutations(module.below(function)):
            self.mutations.setdefault(name, []).append(value)

    def every(self, name: str) -> "list[ast.expr]":
        """All that flows into a name; a constant of the module for its name."""
        bound = self.module.bindings.get(name)
        if name not in self.values and isinstance(bound, ast.Constant):
            return [bound]
        return [*self.values.get(name, ()), *self.mutations.get(name, ())]

    def resolve(self, key: "ast.expr") -> "ast.expr":
        """The expression behind a name that is assigned once; a constant of the module for its name."""
        for _ in range(_DEEPEST):
            if not isinstance(key, ast.Name) or key.id in self.parameters:
                return key
            values = self.values.get(key.id) or self.every(key.id)
            if len(values) != 1 or values[0] is key:
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

    def user_read(self, value: "ast.AST") -> str:
        """The read of the user that a value depends on, "" where there is none."""
        for _, text in self.module.readers.reads(value):
            return text
        for part in self.module.below(value):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and self._user_name(part.id):
                return self._sources[part.id]
        return ""

    def _user_name(self, name: str) -> str:
        if name not in self._sources:
            self._sources[name] = ""
            found = next(filter(None, map(self.user_read, self.every(name))), "")
            functions = self.module.readers.by_name.get(name, [])
            if not found and name not in self.values and name not in self.parameters and len(functions) == 1:
                found = self.module.readers.read_in(functions[0])
            self._sources[name] = found
        return self._sources[name]


def names_of(function: "Function", module: "IndexedModule") -> Names:
    """The names of a function, worked out once."""
    if ("names", function) not in module.known:
        module.known["names", function] = Names(function, module)
    return module.known["names", function]  # type: ignore[no-any-return]  # `known` holds what each asker put there


class Key:
    """One key: its role ("read", "store", "remove", "key"), literal `words`, `parts` that vary, `calls` that build it."""

    def __init__(self, role: str, place: "ast.AST", expression: "ast.AST", names: Names) -> None:
        self.role = role
        self.place = place
        self.names = names
        self.words: "list[str]" = []
        self.parts: "set[str]" = set()
        self.calls: "set[str]" = set()
        self.nodes: "set[ast.AST]" = set()
        self._collect(expression, 0)

    def _collect(self, node: "ast.AST", depth: int) -> None:
        self.nodes.add(node)
        if depth > _DEEPEST or isinstance(node, (ast.expr_context, ast.operator)):
            return
        if isinstance(node, ast.Constant):
            self.words.extend(words_of(node))
        elif isinstance(node, ast.Name):
            values = [] if node.id in self.names.parameters else self.names.every(node.id)
            if values and (KEY_NAME.search(node.id) or all(map(_builds_text, values))):
                for value in values:
                    if value not in self.nodes:
                        self._collect(value, depth + 1)
            else:
                self.parts.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            self.parts.add(text_of(node) or ast.unparse(node))
            self.nodes.update(ast.walk(node))
        else:
            callee = node.func if isinstance(node, ast.Call) else None
            if callee is not None:
                self.calls.add(getattr(callee, "attr", "") or getattr(callee, "id", ""))
                self.nodes.update(ast.walk(callee))
                if isinstance(callee, ast.Attribute) and not self._is_tool(callee.value):
                    self._collect(callee.value, depth)
            for child in ast.iter_child_nodes(node):
                if child is not callee:
                    self._collect(child, depth)

    def _is_tool(self, node: "ast.AST") -> bool:
        """Whether a callee's object is a module or a cache, and no part of the key."""
        module = self.names.module
        if isinstance(node, ast.Name) and node.id in module.imports:
            return True
        return is_cache(node, module) and not KEY_NAME.search(text_of(node))

    def same_as(self, other: "Key") -> bool:
        return self.words == other.words and self.parts == other.parts and self.calls == other.calls

    def is_open(self, depth: int = 0) -> bool:
        """Whether a key provably holds nothing of the user: literals and names that cannot stand for one."""
        return (
            depth < _DEEPEST
            and self.calls <= _TRANSPARENT
            and all(self._is_open(part, depth) for part in self.parts)
        )

    def _is_open(self, part: str, depth: int) -> bool:
        if any(USER_WORD.search(word) for word in part.split(".")):
            return False
        root, *rest = patterns.split(r"\W+", part)
        if root == "request" and rest:
            return rest[0] in _OPEN_REQUEST
        if (rest or [root])[-1].isupper():
            return True
        names = self.names
        values = names.every(root)
        if values and root not in names.parameters:
            return not any(map(names.user_read, values)) and all(
                Key(self.role, self.place, value, names).is_open(depth + 1) for value in values
            )
        return root in names.parameters and root not in _UNTOLD


def _builds_text(value: "ast.AST") -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Attribute) and value.func.attr in _BUILDERS
    return isinstance(value, (ast.JoinedStr, ast.BinOp, ast.List, ast.Tuple))


def keys_of(function: "Function", module: "IndexedModule") -> "list[Key]":
    """The keys of the cache calls in a function, of its variables that hold keys, and what it returns if it builds keys."""
    if ("keys", function) not in module.known:
        module.known["keys", function] = [
            Key(role, place, expression, names_of(function, module))
            for role, place, expression in key_expressions(function, module)
        ]
    return module.known["keys", function]  # type: ignore[no-any-return]  # `known` holds what each asker put there


def key_expressions(
    function: "Function", module: "IndexedModule"
) -> "Iterator[tuple[str, ast.AST, ast.AST]]":
    builds = bool(KEY_FUNCTION.search(function.name))
    for node in module.below(function):
        if isinstance(node, ast.Call):
            role = role_of(node, module)
            key = key_argument(node) if role else None
            for one in each_key(key) if key is not None else ():
                yield role, node, one
            given = [keyword.value for keyword in node.keywords if keyword.arg in ("key", "cache_key")]
            if _WRAPPER.search(text_of(node.func)):
                given += node.args[:1]
            for one in given if not role else ():
                if _builds_text(one) and not isinstance(one, (ast.Constant, ast.List, ast.Tuple)):
                    yield "key", node, one
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = target.slice if isinstance(target, ast.Subscript) else target
                written = name.value if isinstance(name, ast.Constant) else text_of(name).rpartition(".")[2]
                if isinstance(written, str) and KEY_NAME.search(written) and not written.endswith("keys"):
                    yield "key", node, node.value
        elif isinstance(node, ast.Return) and builds and node.value is not None:
            yield "key", node, node.value


def each_key(key: "ast.AST") -> "Iterator[ast.AST]":
    """The keys of a list of keys, else the key itself."""
    if isinstance(key, (ast.List, ast.Tuple, ast.Set)):
        for item in key.elts:
            yield from each_key(item)
    elif isinstance(key, ast.BinOp) and isinstance(key.left, (ast.List, ast.ListComp, ast.BinOp)):
        yield from each_key(key.left)
        yield from each_key(key.right)
    else:
        yield key


def _stored_names(target: ast.AST) -> "Iterator[str]":
    for part in ast.walk(target):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _assignments(nodes: "Iterable[ast.AST]") -> "Iterator[tuple[str, ast.expr]]":
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
                for name in _stored_names(target):
                    yield name, value


def _mutations(nodes: "Iterable[ast.AST]") -> "Iterator[tuple[str, ast.expr]]":
    """`name.append(x)` and `name[...] = x`: what flows into an object through its name."""
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _MUTATORS and isinstance(node.func.value, ast.Name):
                for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield node.func.value.id, value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    yield target.value.id, node.value
