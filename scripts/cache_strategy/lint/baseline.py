"""
A baseline: findings that are known and wait, so that only new ones are told.

A finding is known again by its rule, its file and its source line, wherever that line has moved to; the same line
twice counts twice.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.model.document import write_text
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.rules import Finding

if TYPE_CHECKING:
    from cache_strategy.lint import LintResult

Known = tuple[str, str, str]


def known_of(finding: Finding, row: str) -> Known:
    return finding.name, finding.path, row.strip()


def write_baseline(path: Path, result: "LintResult") -> None:
    counted = Counter(map(known_of, result.findings, result.lines))
    rows = [
        {"name": name, "path": file, "line": line, "times": times}
        for (name, file, line), times in sorted(counted.items())
    ]
    write_text(path, json.dumps({"schema": 1, "findings": rows}, indent=1, ensure_ascii=False) + "\n")


def read_baseline(path: Path) -> "Counter[Known]":
    """
    What is known.

    Raises:
        CacheStrategyError: no such file, or no baseline.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != 1:
            raise ValueError
        return Counter(
            {(row["name"], row["path"], row["line"]): int(row["times"]) for row in data["findings"]}
        )
    except FileNotFoundError:
        raise CacheStrategyError(f"{path}: is not there; write it with --write-baseline.") from None
    except OSError as error:
        raise CacheStrategyError(
            f"{path}: cannot be read ({error.strerror}); name a baseline that you may read."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise CacheStrategyError(f"{path}: is no baseline; write it anew with --write-baseline.") from None


def without_known(result: "LintResult", known: "Counter[Known]") -> "tuple[LintResult, list[Known]]":
    """The findings that are new, and what of the baseline is there no more."""
    left = Counter(known)
    new = []
    for finding, row in zip(result.findings, result.lines, strict=True):
        key = known_of(finding, row)
        if left[key] > 0:
            left[key] -= 1
        else:
            new.append((finding, row))
    fixed = sorted((+left).elements())
    return replace(result, findings=tuple(f for f, _ in new), lines=tuple(row for _, row in new)), fixed
