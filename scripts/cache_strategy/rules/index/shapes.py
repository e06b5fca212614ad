"""
The shape of a cache key: its literal text with `{}` for every part that varies.

`f"user:{user.id}:{lang}"`, `"user:%s:%s" % (...)` and `"user:" + uid + ":" + lang` are all "user:{}:{}"; a template
fragment is "fragment NAME {} {}". "" is a key that cannot be told.
"""

from __future__ import annotations

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._keys import Names

_PLACEHOLDER = regex(r"%\(\w+\)[sdrx]|%[sdrx]|\{[^{}]*\}")
_SEPARATOR = regex(r"\{\}|[:/.|\s*]")
_DEEPEST = 8
_AS_TEXT = frozenset(("str", "force_str", "quote", "slugify", "int", "repr"))


def shape_of(key: "ast.AST", names: "Names") -> str:
    """The shape of a key expression in a function, "" where no literal text of it is known."""
    shape = patterns.sub(r"(?:\{\})+", "{}", _shape(key, names, 0))
    return shape if shape.startswith("fragment ") or patterns.search(r"\w", shape.replace("{}", "")) else ""


def stem_of(shape: str) -> str:
    """
    The literal beginning of a shape, by which the keys of one thing are known: "user" of "user:{}".

    "" where the key begins with a part that varies, or with too little text to say anything.
    """
    if shape.startswith("fragment "):
        return " ".join(shape.split(" ")[:2])
    stem = _SEPARATOR.split(shape)[0].strip("-_").lower().replace("-", "_")
    return stem[:-1] if stem.endswith("s") and len(stem) > 4 else stem if len(stem) > 2 else ""


def same_key(one: str, other: str) -> bool:
    """Whether two shapes can be one key; a `*` stands for anything."""
    if one == other:
        return True
    for pattern, text in ((one, other), (other, one)):
        if "*" in pattern:
            begin = pattern.split("*")[0].rstrip("{}")
            if text.startswith(begin) or begin.startswith(text.split("{}")[0]):
                return True
    # `f"user:{id}"` and "user:me": a part that varies can be any one word.
    return _fits(one, other) or _fits(other, one)


def _fits(shape: str, other: str) -> bool:
    parts = shape.split("{}")
    if len(parts) == 1 or not (other.startswith(parts[0]) and other.endswith(parts[-1])):
        return False
    return bool(patterns.unkept(r"(?:[^:/.|\s]+)".join(map(patterns.escape, parts))).fullmatch(other))


def _shape(key: "ast.AST", names: "Names", depth: int) -> str:
    if depth > _DEEPEST:
        return "{}"
    if isinstance(key, ast.Constant):
        return _PLACEHOLDER.sub("{}", key.value) if isinstance(key.value, str) else str(key.value)
    if isinstance(key, ast.JoinedStr):
        return "".join(_shape(part, names, depth + 1) for part in key.values)
    if isinstance(key, ast.FormattedValue):
        return _shape(key.value, names, depth + 1)
    if isinstance(key, ast.BinOp) and isinstance(key.op, ast.Mod):
        return _shape(key.left, names, depth + 1)
    if isinstance(key, ast.BinOp) and isinstance(key.op, ast.Add):
        return _shape(key.left, names, depth + 1) + _shape(key.right, names, depth + 1)
    if isinstance(key, ast.Name):
        resolved = names.resolve(key)
        return _shape(resolved, names, depth + 1) if _is_text(resolved) else "{}"
    return _of_call(key, names, depth) if isinstance(key, ast.Call) else "{}"


def _is_text(value: "ast.AST") -> bool:
    return isinstance(value, (ast.JoinedStr, ast.BinOp, ast.Call)) or (
        isinstance(value, ast.Constant) and isinstance(value.value, (str, int))
    )


def _of_call(call: ast.Call, names: "Names", depth: int) -> str:
    name = text_of(call.func).rpartition(".")[2] or getattr(call.func, "attr", "")
    if name == "make_template_fragment_key" and call.args:
        varies = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords), None)
        varies = names.resolve(varies) if varies is not None else None
        if varies is None:
            parts = ""
        elif isinstance(varies, (ast.List, ast.Tuple)) and not any(
            isinstance(e, ast.Starred) for e in varies.elts
        ):
            parts = " {}" * len(varies.elts)
        else:
            parts = " *"
        return "fragment " + _shape(call.args[0], names, depth + 1) + parts
    if isinstance(call.func, ast.Attribute):
        if name == "format":
            return _shape(call.func.value, names, depth + 1)
        if name == "join" and call.args and isinstance(call.args[0], (ast.List, ast.Tuple)):
            between = _shape(call.func.value, names, depth + 1)
            return between.join(_shape(part, names, depth + 1) for part in call.args[0].elts)
        if name in ("encode", "lower", "strip"):
            return _shape(call.func.value, names, depth + 1)
    return _shape(call.args[0], names, depth + 1) if name in _AS_TEXT and call.args else "{}"
