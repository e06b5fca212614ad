"""What every rule is made of: `Rule`, `Finding`, and the register that the doors read."""

from __future__ import annotations

import sys

from cache_strategy.syntax.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NamedTuple, Union

    from cache_strategy.rules._change import Change
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._edit import Edit
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._shell import Invocation
    from cache_strategy.rules.index.change import ProjectChange
    from cache_strategy.syntax.module import Module

    class Finding(NamedTuple):
        rule: str
        name: str
        severity: str
        path: str
        line: int
        column: int
        end_line: int
        message: str
        fix: str

    Place = Union[ast.AST, Invocation, tuple[int, int, int]]
    VisitNode = Callable[[Any, IndexedModule], Iterable[Finding]]
    VisitChange = Callable[[Change], Iterable[Finding]]
    VisitProject = Callable[[ProjectChange], Iterable[Finding]]
    VisitCommand = Callable[[Invocation], Iterable[Finding]]
    VisitConfig = Callable[[ConfigFile], Iterable[Finding]]
    VisitConfigChange = Callable[[ConfigFile, ConfigFile], Iterable[Finding]]
else:
    Finding = record(__name__, "Finding", "rule name severity path line column end_line message fix")

ERROR = "error"
WARNING = "warning"
INFO = "info"

# A rule's module name to the rule; filled by importing the rule files.
REGISTER: "dict[str, Rule]" = {}


class Rule:
    """
    One unsafe pattern: its code, its severity, its page and the functions that look for it.

    `module` is the rule file's `__name__`; the rule's name is the file's name with dashes. `keywords` are
    lower-case words of which at least one stands in every text (or command) that the rule can flag. `concerns`
    says, from the texts alone, whether an edit can bring what the rule looks for; it may be wrong only by saying yes.
    A `wide` rule looks at functions that an edit left alone, too: what they call may have changed.
    """

    def __init__(
        self,
        module: str,
        *,
        code: str,
        severity: str,
        wide: bool = False,
        since: str = "0.2",
        keywords: "tuple[str, ...]" = ("cach", "redis", "memoize"),
        concerns: "Callable[[Edit], bool] | None" = None,
    ) -> None:
        self.module = module
        self.name = module.rpartition(".")[2].replace("_", "-")
        self.code = code
        self.since = since
        self.keywords = keywords
        self.severity = severity
        self.wide = wide
        self.concerns = concerns
        self.node_visitors: "list[tuple[tuple[type, ...], VisitNode]]" = []
        self.change_visitors: "list[VisitChange]" = []
        self.project_visitors: "list[VisitProject]" = []
        self.command_visitors: "list[VisitCommand]" = []
        self.config_visitors: "list[tuple[tuple[str, ...], VisitConfig]]" = []
        self.config_changes: "list[tuple[tuple[str, ...], VisitConfigChange]]" = []
        REGISTER[self.name] = self

    @property
    def page(self) -> str:
        """The rule's page: the docstring of its file."""
        return (sys.modules[self.module].__doc__ or "").strip("\n")

    def visit(self, *types: type) -> "Callable[[VisitNode], VisitNode]":
        """Registers a function that is called with every node of these types."""

        def register(function: "VisitNode") -> "VisitNode":
            self.node_visitors.append((types, function))
            return function

        return register

    def change(self, function: "VisitChange") -> "VisitChange":
        """Registers a function that is called with a file as it is and as it will be."""
        self.change_visitors.append(function)
        return function

    def project(self, function: "VisitProject") -> "VisitProject":
        """Registers a function that is called with a change and what is known of the other files of the project."""
        self.project_visitors.append(function)
        return function

    def config(self, *kinds: str) -> "Callable[[VisitConfig], VisitConfig]":
        """Registers a function that is called with every configuration of these kinds."""

        def register(function: "VisitConfig") -> "VisitConfig":
            self.config_visitors.append((kinds, function))
            return function

        return register

    def config_change(self, *kinds: str) -> "Callable[[VisitConfigChange], VisitConfigChange]":
        """Registers a function that is called with a configuration as it is and as it will be."""

        def register(function: "VisitConfigChange") -> "VisitConfigChange":
            self.config_changes.append((kinds, function))
            return function

        return register

    def kinds(self) -> "set[str]":
        """The kinds of configurations that the rule looks at."""
        return {kind for kinds, _ in [*self.config_visitors, *self.config_changes] for kind in kinds}

    def command(self, function: "VisitCommand") -> "VisitCommand":
        """Registers a function that is called with every program that a shell command runs."""
        self.command_visitors.append(function)
        return function

    def finding(self, place: "Place", message: str, *, fix: str, severity: "str | None" = None) -> "Finding":
        """A finding at `place`: a syntax node, an invocation, or (line from 1, column from 0, last line)."""
        if isinstance(place, tuple):
            line, column, end_line = place
        else:
            line = getattr(place, "lineno", 1)
            column = getattr(place, "col_offset", 0)
            end_line = getattr(place, "end_lineno", None) or line
        return Finding(
            self.code, self.name, severity or self.severity, "", line, column + 1, end_line, message, fix
        )


_TEST_TOOLS = frozenset("pytest unittest django.test hypothesis factory mock".split())


def is_test(module: "Module") -> bool:
    """
    Whether a file is test code, which may clear and fill caches as it likes: by its name, or by its folder and imports.

    An application that lies in a folder of tests is no test code.
    """
    *folders, name = module.path.replace("\\", "/").split("/")
    if (
        name.startswith("test_")
        or name.endswith(("_test.py", "_tests.py"))
        or name in ("conftest.py", "tests.py")
    ):
        return True
    if not any(folder in ("test", "tests", "testing") for folder in folders):
        return False
    return any(target.startswith(tool) for target in module.imports.values() for tool in _TEST_TOOLS)


def in_order(findings: "Iterable[Finding]") -> "list[Finding]":
    """Findings by place, each once."""
    seen: "Iterator[Finding]" = iter(
        sorted(set(findings), key=lambda f: (f.path, f.line, f.column, f.rule, f.message))
    )
    return list(seen)
