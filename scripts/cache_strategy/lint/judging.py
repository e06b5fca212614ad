"""One file to its findings, and many files on every core."""

import gc
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from cache_strategy.lint.walk import read_bytes
from cache_strategy.rules import Finding, check_change, check_text
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


def judge_change(before: bytes | None, data: bytes, shown: str) -> Judged:
    """What a change of a file brings or takes away; without `before` the file is new."""
    try:
        text = _text_of(data, shown)
        if shown.endswith((".py", ".pyi")):
            parse(text, shown)
        old = _text_of(before, shown) if before is not None else None
        return _with_rows(check_change(old, text, shown), text)
    except Unreadable as error:
        return Judged(unread=str(error))


def judge_all(files: Sequence[tuple[Path, str, int]], root: Path, jobs: int) -> Iterator[Judged]:
    """The files (path, name in findings, size) judged in their order, with several processes where that is worth it."""
    jobs = jobs or _processors()
    if jobs < 2 or sum(size for _, _, size in files) < _WORTH_A_PROCESS:
        yield from _judge_batch([(path, shown) for path, shown, _ in files], root)
        return
    # A fork shares what is imported; elsewhere each process imports it again.
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for judged in pool.map(
            _judge_batch, *zip(*((batch, root) for batch in _batches(files)), strict=True)
        ):
            yield from judged


def _judge_batch(files: Iterable[tuple[Path, str]], root: Path) -> list[Judged]:
    # A tree is a hundred thousand objects that go away by themselves; looking for cycles costs a third of parsing.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return [_judge_file(path, shown, root) for path, shown in files]
    finally:
        if was_enabled:
            gc.enable()


def _judge_file(path: Path, shown: str, root: Path) -> Judged:
    try:
        return judge(read_bytes(path, root), shown)
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
