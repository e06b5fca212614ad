"""What an edit did to the functions of a file: which are new, which are gone, which are not what they were."""

from __future__ import annotations

from cache_strategy.syntax import nodes as ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._index import Function, IndexedModule


class Change:
    """
    A file as it is and as it will be.

    `old` and `new` are the functions of both by qualified name (the second one of a name gets a number), without
    those that the edit left as they were.
    """

    def __init__(self, before: "IndexedModule", after: "IndexedModule") -> None:
        self.before = before
        self.after = after
        self.old, self.new = _by_name(before), _by_name(after)
        for name in list(self.old):
            if name in self.new and before.source(self.old[name]) == after.source(self.new[name]):
                del self.old[name], self.new[name]

    @property
    def pairs(self) -> "list[tuple[Function, Function]]":
        """(as it is, as it will be) of the functions that the edit changes."""
        return [(node, self.new[name]) for name, node in self.old.items() if name in self.new]

    @property
    def classes(self) -> "list[tuple[ast.ClassDef, ast.ClassDef]]":
        """(as it is, as it will be) of the classes whose decorators or bases the edit changes."""
        old = {
            self.before.qualname(node): node for node in self.before.nodes if isinstance(node, ast.ClassDef)
        }
        found = []
        for node in self.after.nodes:
            was = old.get(self.after.qualname(node)) if isinstance(node, ast.ClassDef) else None
            if was is not None and [*map(ast.dump, was.decorator_list), *map(ast.dump, was.bases)] != [
                *map(ast.dump, node.decorator_list),  # type: ignore[attr-defined]  # a class, by the test above
                *map(ast.dump, node.bases),  # type: ignore[attr-defined]  # a class, by the test above
            ]:
                found.append((was, node))
        return found  # type: ignore[return-value]  # a class, by the test above


def _by_name(module: "IndexedModule") -> "dict[str, Function]":
    found: "dict[str, Function]" = {}
    for node in module.functions:
        name = qualname = module.qualname(node)
        number = 2
        while name in found:
            name = f"{qualname} ({number})"
            number += 1
        found[name] = node
    return found
