"""
CS002 invalid-contract

What it does
    Flags a cache-strategy.yaml that cannot be obeyed: it is no YAML, has a field that there is not, a value of the
    wrong kind, an id that is there twice, a path that leads outside the repository, or a setting that would serve a
    private answer to everybody or an answer older than its bound.

Why is this bad
    Everything after `plan` obeys this file, and stops at the first thing in it that it does not understand.

Example
    ttl_seconds: 5m

Use instead
    ttl_seconds: 300

Known problems
    Only the first mistake of a file is found. Whether its targets are still in the code, `emit` says.

Source
    The fields of the contract, as `plan` writes them with a comment each.
"""

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.model.errors import CacheStrategyError

if TYPE_CHECKING:
    from cache_strategy.lint import LintResult

CODE, NAME, SEVERITY = "CS002", "invalid-contract", "error"
FILE = "cache-strategy.yaml"
FIX = "Write what the message asks for; cache-strategy plan proposes a whole contract beside it."


def page() -> str:
    """The page, as `explain` prints it."""
    return (__doc__ or "").strip("\n")


def with_contracts_checked(result: "LintResult", paths: list[Path], root: Path) -> "LintResult":
    """The findings, and one for each contract in or among `paths` that cannot be obeyed, at its line."""
    from cache_strategy.plan.document import read
    from cache_strategy.rules import Finding

    found, lines = list(result.findings), list(result.lines)
    for path in paths:
        file = path / FILE if path.is_dir() else path
        if file.name != FILE or not os.path.lexists(file):
            continue
        try:
            read(file)
        except CacheStrategyError as error:
            where = re.match(rf"{re.escape(FILE)}:(\d+): ", str(error))
            number = int(where[1]) if where else 1
            message = str(error)[where.end() :] if where else str(error)
            place = Path(os.path.relpath(file.absolute(), root)).as_posix()
            found.append(Finding(CODE, NAME, SEVERITY, place, number, 1, number, message, FIX))
            lines.append(_row(file, number))
    return dataclasses.replace(result, findings=tuple(found), lines=tuple(lines))


def _row(file: Path, number: int) -> str:
    try:
        return file.read_text(encoding="utf-8").splitlines()[number - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return ""
