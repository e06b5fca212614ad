"""
What a name really is: through imports, aliases and objects made at module level.

Standard library only and Python 3.9, because the guard imports it before every edit.
"""

from cache_strategy.syntax import nodes as ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.syntax.module import Module

# An alias of an alias of an alias is real code; a longer chain is a loop.
_LONGEST_CHAIN = 8


def qualified_name(node: "ast.AST | None", module: "Module") -> str:
    """
    The dotted name that an expression stands for: `C.memoize` is "flask_caching.Cache.memoize" after
    `from flask_caching import Cache` and `C = Cache(app)`. A call stands for what it calls.

    A name that is neither imported nor assigned at module level is itself ("open"); a parameter or variable of
    a function around it, and whatever is not a chain of names, is "".
    """
    return _qualified(node, module, 0)


def _qualified(node: "ast.AST | None", module: "Module", depth: int) -> str:
    attributes = []
    while isinstance(node, (ast.Attribute, ast.Call)):
        if isinstance(node, ast.Call):
            node = node.func
        else:
            attributes.append(node.attr)
            node = node.value
    if not isinstance(node, ast.Name):
        return ""
    root = _root(node, module, depth)
    if not root:
        return ""
    attributes.reverse()
    return ".".join([root, *attributes])


def _root(node: ast.Name, module: "Module", depth: int) -> str:
    name = node.id
    if module.is_local(name, node):
        return ""
    imported = module.imports.get(name)
    if imported:
        return imported
    value = module.bindings.get(name)
    if value is not None and depth < _LONGEST_CHAIN:
        found = _qualified(value, module, depth + 1)
        if found and found != name:
            return found
        return module.name + "." + name if module.name else name
    if value is None and module.name and _is_defined(name, module):
        return module.name + "." + name
    return name


def _is_defined(name: str, module: "Module") -> bool:
    return any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name
        for node in module.tree.body
    )


def text_of(node: "ast.AST | None") -> str:
    """A chain of names as it is written (`self.cache.get`), "" for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    parts.reverse()
    return ".".join(parts)


def literal(node: "ast.AST | None", default: object = None) -> object:
    """The value of a literal expression; `default` where it is anything else."""
    if node is None:
        return default
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return default
