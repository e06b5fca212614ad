"""
Decorators and their arguments, as data.

Standard library only and Python 3.9, because the guard imports it before every edit.
"""

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.names import qualified_name, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.syntax.module import Module


class Decorator:
    """
    One decorator: `name` is what it really is ("flask_caching.Cache.cached"), `text` the chain as written
    ("cache.cached"), `args` and `keywords` its argument expressions, `called` whether there are brackets.
    """

    __slots__ = ("args", "called", "keywords", "name", "node", "text")

    def __init__(self, node: ast.expr, module: "Module") -> None:
        self.node = node
        self.called = isinstance(node, ast.Call)
        callee = node.func if isinstance(node, ast.Call) else node
        self.name = qualified_name(callee, module)
        self.text = text_of(callee)
        self.args = list(node.args) if isinstance(node, ast.Call) else []
        self.keywords = {k.arg: k.value for k in node.keywords if k.arg} if isinstance(node, ast.Call) else {}

    @property
    def last(self) -> str:
        """The last part of the name: "cached"."""
        return (self.name or self.text).rpartition(".")[2]


def decorators_of(node: ast.AST, module: "Module") -> "list[Decorator]":
    """The decorators of a function or class, outermost first; empty for other nodes."""
    expressions = getattr(node, "decorator_list", None)
    if not expressions:
        return []
    if node not in module.decorators:
        module.decorators[node] = [Decorator(expression, module) for expression in expressions]
    return module.decorators[node]  # type: ignore[return-value]  # one kind of list, declared wider
