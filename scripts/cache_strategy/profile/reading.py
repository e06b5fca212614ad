"""From files to lowered modules, with a pool of processes where there are many files."""

import contextlib
import gc
import hashlib
import marshal
import multiprocessing
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.model.evidence import Unread
from cache_strategy.profile import newer_python, python2
from cache_strategy.profile.files import data_of
from cache_strategy.profile.lowering import Node, lower
from cache_strategy.profile.walk import LARGEST_BYTES, Found
from cache_strategy.syntax.module import Module, Unreadable, decode, parse

# Below this number of files a pool costs more than it saves (assumed: about 0.2 s to start two workers).
_FILES_FOR_A_POOL = 300
_CHUNK = 40
# The lowering recurses once per level of nesting; Python's own parser gives up long before this depth.
_RECURSION_LIMIT = 20_000
_NEWER = re.compile(r"^\s*((async\s+)?def|class|type)\s+\w+\[|^\s*type\s+\w+\s*=", re.MULTILINE)


Read = tuple[bytes, bytes | str]
"""The digest of a file, and the marshalled (lines, lowered module) or the reason why it cannot be read."""


@dataclass(frozen=True)
class Source:
    """A module that was read: `lowered` is what `lower` returns."""

    path: str
    lines: int
    is_test: bool
    lowered: Node
    emitted: bool = False


def read_sources(
    files: list[Found],
    jobs: int,
    progress: Callable[[str], None] | None = None,
    known: Mapping[str, Read] | None = None,
) -> tuple[list[Source], list[Unread], dict[str, Read]]:
    """
    Every file lowered, in the order of `files`; those that could not be read, with the reason; and what was read.

    What is `known` of a path is not read again.
    """
    known = known or {}
    found: dict[str, Read] = {}
    new = [file for file in files if file.path not in known]
    for chunk, answers in _answers(new, jobs):
        found.update(zip((file.path for file in chunk), answers, strict=True))
        if progress is not None:
            progress(f"read {len(found)} of {len(new)} files")
    sources: list[Source] = []
    unread: list[Unread] = []
    for file in files:
        _, answer = found[file.path] = known.get(file.path) or found[file.path]
        if isinstance(answer, str):
            unread.append(Unread(path=file.path, reason=answer))
        else:
            lines, lowered = marshal.loads(answer)
            sources.append(Source(file.path, lines, file.is_test, lowered, file.emitted))
    return sources, unread, found


def digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=20).digest()


def digests_of(files: list[Found]) -> dict[str, bytes]:
    """By path; what cannot be read has none."""
    found: dict[str, bytes] = {}
    for file in files:
        with contextlib.suppress(OSError):
            found[file.path] = digest_of(data_of(file.real, LARGEST_BYTES))
    return found


def _answers(files: list[Found], jobs: int) -> Iterator[tuple[list[Found], list[Read]]]:
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    start = 0
    # a fork while other threads run may copy a lock that is held
    if jobs > 1 and len(files) >= _FILES_FOR_A_POOL and threading.active_count() == 1:
        method = "fork" if sys.platform == "linux" else "spawn"
        try:
            # Ctrl-C goes to the whole group; the parent alone answers it.
            quiet = (signal.SIGINT, signal.SIG_IGN)
            with ProcessPoolExecutor(jobs, multiprocessing.get_context(method), signal.signal, quiet) as pool:
                for chunk, answers in zip(chunks, pool.map(read_chunk, map(_names, chunks)), strict=True):
                    yield chunk, answers
                    start += 1
        except (BrokenProcessPool, OSError):
            # a worker was killed, or no process can be started: the rest is read here
            pass
    for chunk in chunks[start:]:
        yield chunk, read_chunk(_names(chunk))


def _names(chunk: list[Found]) -> list[tuple[Path, str]]:
    return [(file.real, file.path) for file in chunk]


def read_chunk(names: list[tuple[Path, str]]) -> list[Read]:
    """For each (file, path): its digest, and the marshalled (lines, lowered module) or why it cannot be read."""
    limit = sys.getrecursionlimit()
    collecting = gc.isenabled()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    # trees have no reference cycles until they are dropped; collecting while they grow costs a fifth
    gc.disable()
    try:
        return [_read(real, path) for real, path in names]
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()


def _read(real: Path, path: str) -> Read:
    try:
        data = data_of(real, LARGEST_BYTES)
    except FileNotFoundError:
        return b"", "vanished while the repository was read"
    except OSError as error:
        return b"", f"cannot be read ({error.strerror})"
    return digest_of(data), _lowered(data, path)


def _lowered(data: bytes, path: str) -> bytes | str:
    text = ""
    try:
        text = decode(data)
        module = _parsed(text, path)
        return marshal.dumps(
            (text.count("\n") + (not text.endswith("\n") and text != ""), lower(module.tree))
        )
    except Unreadable as reason:
        newer = _NEWER.search(text) if text and sys.version_info < (3, 12) else None
        version = ".".join(map(str, sys.version_info[:2]))
        return f"{reason}{f' (written for Python 3.12 or newer, read with {version})' if newer else ''}"
    except (RecursionError, MemoryError, ValueError):
        # marshal says ValueError where tuples nest too deeply for it
        return "nests too deeply"


def _parsed(text: str, path: str) -> Module:
    try:
        return parse(text, path)
    except Unreadable as reason:
        if not str(reason).startswith("syntax error"):
            raise
        for rewritten in (newer_python.rewritten, python2.rewritten):
            with contextlib.suppress(Unreadable):
                again = rewritten(text)
                if again is not None:
                    return parse(again, path)
        raise
