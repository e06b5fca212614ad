"""The contract of the family."""

from collections.abc import Callable, Sequence
from typing import Protocol

from cache_strategy.model.evidence import Unread
from cache_strategy.rules import Finding

FORMATS: "dict[str, Format]" = {}


class Result(Protocol):
    """What a format is given: `lint.LintResult`."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def unread(self) -> Sequence[Unread]: ...
    @property
    def lines(self) -> Sequence[str]: ...
    @property
    def files(self) -> int: ...


class Format:
    """
    One format.

    Args:
        module: `__name__` of the file; its last part is the format's name.
        render: the result as a text that ends in a line end.
    """

    def __init__(self, module: str, render: Callable[[Result], str]) -> None:
        self.name = module.rpartition(".")[2]
        self.render = render
        FORMATS[self.name] = self
