"""An edit of one file among the other files of its project."""

from __future__ import annotations

from cache_strategy.rules.index.facts import facts_of_module
from cache_strategy.rules.index.store import Known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._index import Function, IndexedModule
    from cache_strategy.rules.index.facts import Fact
    from cache_strategy.rules.index.store import ProjectIndex


class ProjectChange:
    """
    A file as it is (None for a new one) and as it will be, and the index of the project.

    The file as it will be stands for what the index holds of it, but for functions that the edit is known to leave as they are
    (`_narrow`): these are not in the text.
    """

    def __init__(self, before: "IndexedModule | None", after: "IndexedModule", index: "ProjectIndex") -> None:
        self.before = before
        self.after = after
        self.index = index
        self._own: "dict[bool, list[Fact]]" = {}
        self._seen: "set[str] | None" = None
        self._functions: "dict[str, Function]" = {}

    def own(self, kind: str, *, earlier: bool = False) -> "list[Fact]":
        """The facts of a kind that the file says, as it will be or as it is."""
        if earlier not in self._own:
            module = self.before if earlier else self.after
            self._own[earlier] = facts_of_module(module) if module is not None else []
        return [fact for fact in self._own[earlier] if fact.kind == kind]

    def brought(self, kind: str) -> "list[Fact]":
        """The facts of a kind that the edit brings."""
        had = {(fact.name, fact.where) for fact in self.own(kind, earlier=True)}
        return [fact for fact in self.own(kind) if (fact.name, fact.where) not in had]

    def lost(self, kind: str) -> "list[Fact]":
        """The facts of a kind that the edit takes away."""
        has = {(fact.name, fact.where) for fact in self.own(kind)}
        return [fact for fact in self.own(kind, earlier=True) if (fact.name, fact.where) not in has]

    def named(self, kind: str, name: str) -> "list[Known]":
        """The facts of a kind and a name in the whole project."""
        return self._all(self.index.named(kind, name), [f for f in self.own(kind) if f.name == name])

    def every(self, kind: str) -> "list[Known]":
        """The facts of a kind in the whole project."""
        return self._all(self.index.every(kind), self.own(kind))

    def is_whole(self) -> bool:
        """Whether what is not told is not there."""
        return self.index.is_whole(self.after.path)

    def function(self, where: str) -> "Function | None":
        """The function of a qualified name, as it will be."""
        if not self._functions:
            for function in self.after.functions:
                self._functions.setdefault(self.after.qualname(function), function)
        return self._functions.get(where)

    def _all(self, known: "list[Known]", own: "list[Fact]") -> "list[Known]":
        path = self.after.path
        if self._seen is None:
            modules = [module for module in (self.before, self.after) if module is not None]
            self._seen = {
                m.qualname(node) for m in modules for node in m.nodes if hasattr(node, "decorator_list")
            }
        others = [
            fact for fact in known if fact.path != path or (fact.where and fact.where not in self._seen)
        ]
        return others + [Known(f.kind, f.name, path, f.line, f.where, f.detail) for f in own]
