"""
A parsed file in which subtrees are slices: the guard asks hundreds of times for the calls below a node.

The nodes stand in source order, parents first, so that the nodes below one follow it without a gap.
"""

from __future__ import annotations

import ast
from bisect import bisect_left

from cache_strategy.syntax.module import FUNCTIONS, Module, imports_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Union

    from cache_strategy.rules._context import UserReaders

    Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]

# Nodes that one object stands for wherever they occur; no rule asks for them.
_SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


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
        self._places = {node: position for position, node in enumerate(self.nodes)}
        self._sizes = sizes
        self._calls = [position for position, node in enumerate(self.nodes) if type(node) is ast.Call]
        self.functions: "list[Function]" = [node for node in self.nodes if isinstance(node, FUNCTIONS)]
        self._rows: "list[str] | None" = None
        self._imported: "dict[str, str] | None" = None
        self._readers: "UserReaders | None" = None
        # What rules have worked out about a function, for the next rule that asks.
        self.known: "dict[tuple[str, ast.AST], Any]" = {}

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
            for name in node._fields:
                value = getattr(node, name, None)
                if type(value) is list:
                    children.extend([(item, position) for item in value if isinstance(item, ast.AST)])
                elif isinstance(value, ast.AST) and not isinstance(value, _SHARED):
                    children.append((value, position))
            children.reverse()
            stack.extend(children)

    @property
    def imports(self) -> "dict[str, str]":
        if self._imported is None:
            statements = [node for node in self.nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
            only_imports = ast.Module(body=statements, type_ignores=[])  # type: ignore[arg-type]
            self._imported = imports_of(only_imports, self.name, self.is_package)
        return self._imported

    def parent(self, node: ast.AST) -> "ast.AST | None":
        """The node that holds `node`; None for the module itself."""
        position = self._places.get(node)
        return self.nodes[self._holders[position]] if position else None

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
        return [self.nodes[place] for place in self._calls[first:last]]  # type: ignore[misc]

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
