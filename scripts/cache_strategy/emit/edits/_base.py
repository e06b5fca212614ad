"""What every edit has in common: a name, the function, and an example that is its first test."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libcst as cst

from cache_strategy.model.errors import CacheStrategyError

EDITS: dict[str, "Edit"] = {}


class CannotEdit(CacheStrategyError):
    """The place that an edit looks for is not there, or is not of a form that can be edited safely."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """`before` becomes `after` under `arguments`."""

    before: str
    after: str
    arguments: dict[str, Any]


class Edit:
    """
    One kind of code edit, registered under its file's name.

    `apply(source, **arguments) -> str` returns `source` itself where nothing is to be done, keeps every byte outside
    its place, and raises CannotEdit where the place cannot be found.
    """

    def __init__(self, name: str, apply: Callable[..., str], example: Example) -> None:
        self.name = name.rpartition(".")[2]
        self.apply = apply
        self.example = example
        EDITS[self.name] = self


def parse(source: str, what: str) -> cst.Module:
    """The concrete syntax tree of a file. Raises CannotEdit with the line where it cannot be parsed."""
    try:
        return cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise CannotEdit(
            f"{what}: line {error.raw_line} cannot be parsed; the file must be valid Python."
        ) from error
    except RecursionError:
        raise CannotEdit(f"{what}: is nested too deeply to be edited.") from None


def code_of(node: cst.CSTNode) -> str:
    """A node as it is written."""
    return cst.Module(body=()).code_for_node(node).strip()


def dotted(node: cst.BaseExpression | cst.BaseAssignTargetExpression) -> str:
    """ "a.b.c" of a name or attribute, also of the function of a call; "" for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return f"{left}.{node.attr.value}" if left else ""
    if isinstance(node, cst.Call):
        return dotted(node.func)
    return ""


class InFunction(cst.CSTTransformer):
    """
    Visits one function, named as Python names it (`Class.method`, `outer.inner`).

    Subclasses override `edit_function`. `found` tells whether the function was there.
    """

    edits_classes = False

    def __init__(self, qualname: str) -> None:
        self.qualname = qualname
        self.stack: list[str] = []
        self.found = False

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self.stack.append(node.name.value)
        return True

    def on_leave(self, original_node: cst.CSTNodeT, updated_node: Any) -> Any:
        if not isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            return updated_node
        name = ".".join(self.stack)
        self.stack.pop()
        if name != self.qualname or (isinstance(original_node, cst.ClassDef) and not self.edits_classes):
            return updated_node
        self.found = True
        return self.edit_function(updated_node)

    @abstractmethod
    def edit_function(self, function: cst.FunctionDef) -> cst.FunctionDef:
        """The function as the edit wants it."""


def edit_function(source: str, visitor: InFunction) -> str:
    """The source after a visitor went over its one function. Raises CannotEdit where the function is not there."""
    tree = parse(source, visitor.qualname).visit(visitor)
    if not visitor.found:
        raise CannotEdit(
            f"{visitor.qualname}: is not in the file any more; profile again and make a new contract."
        )
    return tree.code
