"""Files to findings: the safety rules over files and folders, or over what has changed since a revision."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.lint.formats import load_formats
from cache_strategy.lint.revision import Revision
from cache_strategy.lint.walk import python_files, read_bytes, shown_path
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Unread
from cache_strategy.rules import Finding, check_change, check_text
from cache_strategy.rules.source import Unreadable, decode, parse

__all__ = ["LintResult", "lint", "render"]


@dataclass(frozen=True, kw_only=True)
class LintResult:
    """
    What the linter found, by path and place.

    `lines` holds the source line of each finding, as long as `findings`; `files` counts the files that were read.
    """

    findings: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    lines: tuple[str, ...]
    files: int


def lint(paths: Sequence[Path], *, diff: str | None, root: Path) -> LintResult:
    """
    The findings of the files below `paths`; with `diff`, only what has come since that git revision.

    Paths of findings are relative to `root`. A file that cannot be read or parsed is in `unread`.

    Raises:
        CacheStrategyError: a path that is not there, a revision that git does not know.
    """
    root = root.resolve()
    files, unread = python_files(paths, root)
    revision = Revision(diff, root) if diff is not None else None
    changed = revision.changed() if revision is not None else {}
    found: list[tuple[Finding, str]] = []
    read = 0
    for file in files:
        path = shown_path(file, root)
        key = os.path.relpath(file, root).replace(os.sep, "/")
        if revision is not None and key not in changed:
            continue
        try:
            text = decode(read_bytes(file, root))
            if revision is None:
                findings = check_text(text, path)
            else:
                parse(text, path)
                findings = check_change(_before(revision, changed[key]), text, path)
        except OSError as error:
            unread.append(Unread(path=path, reason=error.strerror or str(error)))
            continue
        except Unreadable as error:
            unread.append(Unread(path=path, reason=str(error)))
            continue
        read += 1
        if findings:
            rows = text.split("\n")
            found.extend((finding, _row(rows, finding.line)) for finding in findings)
    found.sort(key=lambda pair: (pair[0].path, pair[0].line, pair[0].column, pair[0].rule))
    return LintResult(
        findings=tuple(finding for finding, _ in found),
        unread=tuple(sorted(unread, key=lambda item: item.path)),
        lines=tuple(row for _, row in found),
        files=read,
    )


def render(result: LintResult, format: str) -> str:
    """
    The result as text.

    Raises:
        CacheStrategyError: no such format.
    """
    formats = load_formats()
    if format not in formats:
        raise CacheStrategyError(
            f"--format {format}: no such format; there are {', '.join(sorted(formats))}."
        )
    return formats[format].render(result)


def _before(revision: Revision, path: str) -> str | None:
    """The text of a file at the revision; None for a new file. What cannot be decoded counts as new."""
    data = revision.content(path) if path else None
    return decode(data) if data is not None else None


def _row(rows: list[str], line: int) -> str:
    return rows[line - 1] if 0 < line <= len(rows) else ""
