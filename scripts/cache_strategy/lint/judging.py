"""One file to its findings, and many files on every core."""

import gc
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from cache_strategy.lint.context import Context
from cache_strategy.lint.walk import read_bytes
from cache_strategy.rules import Finding, check_change, check_project, check_text
from cache_strategy.rules.source import Unreadable, decode, parse

# Fewer bytes than this are judged sooner than other processes start.
_WORTH_A_PROCESS = 1_500_000
_BATCH_BYTES = 300_000


class Judged(NamedTuple):
    """The findings of a file with their source lines, or why it could not be read."""

    findings: tuple[Finding, ...] = ()
    rows: tuple[str, ...] = ()
    unread: str = ""


def judge(data: bytes, shown: str) -> Judged:
    """The findings of a file as it stands."""
    try:
        text = _text_of(data, shown)
        return _with_rows(check_text(text, shown), text)
    except Unreadable as error:
        return Judged(unread=str(error))


def judge_in(context: Context, data: bytes, shown: str) -> Judged:
    """What the other files of the project make unsafe in a file as it stands."""
    try:
        text = _text_of(data, shown)
        index = context.known if shown.endswith(".py") and not Path(shown).is_absolute() else None
        return _with_rows(check_project(text, shown, index), text) if index is not None else Judged()
    except Unreadable:
        return Judged()


def together(own: Judged, others: Judged) -> Judged:
    """Both; on a line that is told of itself, nothing is told of other files."""
    told = {finding.line for finding in own.findings}
    more = [pair for pair in zip(others.findings, others.rows, strict=True) if pair[0].line not in told]
    if not more:
        return own
    findings, rows = zip(*more, strict=True)
    return Judged(own.findings + findings, own.rows + rows, own.unread)


def judge_change(before: bytes | None, data: bytes, shown: str, context: Context | None = None) -> Judged:
    """What a change of a file brings or takes away; without `before` the file is new."""
    try:
        text = _text_of(data, shown)
        if shown.endswith((".py", ".pyi")):
            parse(text, shown)
        old = _text_of(before, shown) if before is not None else None
        known = (lambda: context.known) if context is not None and shown.endswith(".py") else None
        return _with_rows(check_change(old, text, shown, known), text)
    except Unreadable as error:
        return Judged(unread=str(error))


def judge_all(
    files: Sequence[tuple[Path, str, int]], root: Path, jobs: int, context: Context | None = None
) -> Iterator[Judged]:
    """
    The files (path, name in findings, size) judged in their order, with several processes where that is worth it: each by
    itself, or with a `context` for what other files make of it.
    """
    jobs = jobs or _processors()
    if jobs < 2 or sum(size for _, _, size in files) < _WORTH_A_PROCESS:
        yield from _judge_batch([(path, shown) for path, shown, _ in files], root, context)
        return
    # A fork shares what is imported; elsewhere each process imports it again.
    way = get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(jobs, mp_context=way) as pool:
        for judged in pool.map(
            _judge_batch, *zip(*((batch, root, context) for batch in _batches(files)), strict=True)
        ):
            yield from judged


def _judge_batch(files: Iterable[tuple[Path, str]], root: Path, context: Context | None) -> list[Judged]:
    # A tree is a hundred thousand objects that go away by themselves; looking for cycles costs a third of parsing.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return [_judge_file(path, shown, root, context) for path, shown in files]
    finally:
        if was_enabled:
            gc.enable()


def _judge_file(path: Path, shown: str, root: Path, context: Context | None) -> Judged:
    try:
        data = read_bytes(path, root)
        return judge(data, shown) if context is None else judge_in(context, data, shown)
    except OSError as error:
        return Judged(unread=error.strerror or str(error))


def _batches(files: Sequence[tuple[Path, str, int]]) -> list[list[tuple[Path, str]]]:
    batches: list[list[tuple[Path, str]]] = [[]]
    filled = 0
    for path, shown, size in files:
        if filled > _BATCH_BYTES:
            batches.append([])
            filled = 0
        batches[-1].append((path, shown))
        filled += size
    return batches


def _text_of(data: bytes, shown: str) -> str:
    """Python by its own rules; a configuration as UTF-8, where a strange byte is no reason not to read the rest."""
    if shown.endswith((".py", ".pyi")):
        return decode(data)
    return data.decode("utf-8-sig", "replace").replace("\r\n", "\n")


def _with_rows(findings: Sequence[Finding], text: str) -> Judged:
    if not findings:
        return Judged()
    rows = text.split("\n")
    return Judged(
        tuple(findings), tuple(rows[f.line - 1] if 0 < f.line <= len(rows) else "" for f in findings)
    )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
