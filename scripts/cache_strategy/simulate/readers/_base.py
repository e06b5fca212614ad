"""The contract of the family."""

from collections.abc import Callable
from typing import NamedTuple


class Line(NamedTuple):
    """
    One request as a log has it.

    `time_s` counts since 1970 (UTC). `target` is the path with its query. None where the log does not say.
    """

    time_s: float
    method: str
    target: str
    status: int | None
    size_bytes: int | None
    duration_ms: float | None
    user: str


class Reader:
    """
    One format.

    Args:
        module: `__name__` of the file; its last part is the format's name.
        parse: a line without its end to a Line; None for a line of another format. Never raises.
    """

    def __init__(self, module: str, parse: Callable[[str], Line | None]) -> None:
        self.name = module.rpartition(".")[2]
        self.parse = parse
