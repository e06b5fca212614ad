"""
A parsed file in which subtrees are slices: the guard asks hundreds of times for the calls below a node.

The nodes stand in source order, parents first, so that the nodes below one follow it without a gap.
"""

from __future__ import annotations

from bisect import bisect_left

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.module import FUNCTIONS, SCOPES, Module, imports_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Union

    from cache_strategy.rules._context import UserReaders

    Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]

# Fields that hold no nodes, or nodes that one object stands for wherever they occur and that no rule asks for.
_LEAVES = frozenset(
    "ctx op ops id attr arg name asname module level type_comment kind conversion simple is_async".split()
)
_FIELDS: "dict[type, tuple[str, ...]]" = {ast.Constant: (), ast.Global: (), ast.Nonlocal: ()}


class IndexedModule(Module):
    """A module with its nodes in a row; `functions` are all functions at any depth, in source order."""

    def __init__(self, module: Module) -> None:
        super().__init__(module.text, module.tree, module.path, module.name, module.is_package)
        self.nodes: "list[ast.AST]" = []
        self._holders: "list[int]" = []
        self._collect()
        sizes = [1] * len(self.nodes)
        for position in range(len(self.nodes) - 1, 0, -1):
            sizes[self._holders[position]] += sizes[position]
        # Of each node the innermost function, lambda or class around it.
        scopes = [-1] * len(self.nodes)
        opens = [isinstance(node, SCOPES) for node in self.nodes]
        for position in range(1, len(self.nodes)):
            holder = self._holders[position]
            scopes[position] = holder if opens[holder] else scopes[holder]
        self._scopes = scopes
        self._places = {node: position for position, node in enumerate(self.nodes)}
        self._sizes = sizes
        self._calls = [position for position, node in enumerate(self.nodes) if type(node) is ast.Call]
        self.functions: "list[Function]" = [node for node in self.nodes if isinstance(node, FUNCTIONS)]
        self._rows: "list[str] | None" = None
        self._imported: "dict[str, str] | None" = None
        self._readers: "UserReaders | None" = None
        # What rules have worked out about a function, for the next rule that asks.
        self.known: "dict[tuple[str, ast.AST], Any]" = {}
        # Whether an expression is a cache: what the rules ask most.
        self.caches: "dict[ast.AST, bool]" = {}

    @property
    def readers(self) -> "UserReaders":
        """Which functions of the file read the current user."""
        if self._readers is None:
            from cache_strategy.rules._context import UserReaders

            self._readers = UserReaders(self)
        return self._readers

    def _collect(self) -> None:
        nodes, holders = self.nodes, self._holders
        stack: "list[tuple[ast.AST, int]]" = [(self.tree, -1)]
        while stack:
            node, holder = stack.pop()
            position = len(nodes)
            nodes.append(node)
            holders.append(holder)
            children: "list[tuple[ast.AST, int]]" = []
            kind = type(node)
            fields = _FIELDS.get(kind)
            if fields is None:
                fields = _FIELDS[kind] = tuple(name for name in kind._fields if name not in _LEAVES)
            for name in fields:
                value = getattr(node, name, None)
                if type(value) is list:
                    children.extend([(item, position) for item in value if isinstance(item, ast.AST)])
                elif isinstance(value, ast.AST):
                    children.append((value, position))
            children.reverse()
            stack.extend(children)

    @property
    def imports(self) -> "dict[str, str]":
        if self._imported is None:
            statements = [node for node in self.nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
            only_imports = ast.Module(body=statements, type_ignores=[])  # type: ignore[arg-type]  # its kind was looked up by type()
            self._imported = imports_of(only_imports, self.name, self.is_package)
        return self._imported

    def parent(self, node: ast.AST) -> "ast.AST | None":
        """The node that holds `node`; None for the module itself."""
        position = self._places.get(node)
        return self.nodes[self._holders[position]] if position else None

    def enclosing(self, node: ast.AST) -> "list[ast.AST]":
        """The functions, lambdas and classes around `node`, innermost first."""
        around = []
        scope = self._scopes[self._places[node]] if node in self._places else -1
        while scope >= 0:
            around.append(self.nodes[scope])
            scope = self._scopes[scope]
        return around

    def names_in(self, scope: ast.AST) -> "list[str]":
        """The parameters and variables of a function or lambda; what is inside of inner scopes is theirs."""
        position = self._places.get(scope)
        if position is None:
            return super().names_in(scope)
        arguments = scope.args  # type: ignore[attr-defined]  # its kind was looked up by type()
        names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
        outside: "set[str]" = set()
        end = position + self._sizes[position]
        position += 1
        while position < end:
            node = self.nodes[position]
            kind = type(node)
            if kind is ast.Name:
                if type(node.ctx) is not ast.Load:  # type: ignore[attr-defined]  # its kind was looked up by type()
                    names.append(node.id)  # type: ignore[attr-defined]  # its kind was looked up by type()
            elif kind in (ast.Global, ast.Nonlocal):
                outside.update(node.names)  # type: ignore[attr-defined]  # its kind was looked up by type()
            elif kind is ast.ExceptHandler:
                names += [node.name] * bool(node.name)  # type: ignore[attr-defined]  # its kind was looked up by type()
            elif kind in SCOPES:
                names += [] if kind is ast.Lambda else [node.name]  # type: ignore[attr-defined]  # its kind was looked up by type()
                position += self._sizes[position]
                continue
            position += 1
        return [name for name in names if name not in outside]

    def below(self, node: ast.AST) -> "list[ast.AST]":
        """The node and everything in it; a node of no file (an expression made elsewhere) is walked."""
        position = self._places.get(node)
        if position is None:
            return list(ast.walk(node))
        return self.nodes[position : position + self._sizes[position]]

    def calls_below(self, node: ast.AST) -> "list[ast.Call]":
        """The calls in a node, itself included."""
        position = self._places.get(node)
        if position is None:
            return [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        first = bisect_left(self._calls, position)
        last = bisect_left(self._calls, position + self._sizes[position])
        return [self.nodes[place] for place in self._calls[first:last]]  # type: ignore[misc]  # its kind was looked up by type()

    def outside(self, functions: "Iterable[ast.AST]", but: "Iterable[ast.AST]") -> "list[ast.AST]":
        """The nodes that lie in none of these functions, and those that lie in `but`."""
        taken = bytearray(b"\1") * len(self.nodes)
        for chosen, mark in ((functions, 0), (but, 1)):
            for function in chosen:
                position = self._places[function]
                taken[position : position + self._sizes[position]] = bytes([mark]) * self._sizes[position]
        return [node for node, wanted in zip(self.nodes, taken) if wanted]  # noqa: B905 - Python 3.9

    def source(self, function: "Function") -> str:
        """A function's own lines, decorators included."""
        if self._rows is None:
            self._rows = self.text.split("\n")
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        return "\n".join(self._rows[first - 1 : function.end_lineno])
