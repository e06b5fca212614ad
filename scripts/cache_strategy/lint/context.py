"""What the rules about other files ask: the project's index, brought up to date before a run."""

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cache_strategy.rules.index.build import refresh
from cache_strategy.rules.index.store import ProjectIndex, index_path, load_index

# About 110,000 lines: two seconds.
_LARGEST = 4_000_000


class Context(NamedTuple):
    """Where the index of a project lies, for whichever process asks; `digest` changes with every fact."""

    project: str
    folder: str
    digest: str

    @property
    def known(self) -> ProjectIndex | None:
        return _index(self)


@functools.lru_cache(maxsize=1)
def _index(context: Context) -> ProjectIndex | None:
    return load_index(context.project, context.folder)


@contextmanager
def context_of(root: Path, kept: Path | None) -> Iterator[Context | None]:
    """The context of a project, in the folder `kept` or for this run only; None where it cannot be made."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(kept) if kept is not None else scratch
        try:
            made = refresh(str(root), folder)
        except OSError:
            folder = scratch
            made = refresh(str(root), folder)
        yield Context(str(root), folder, _digest(str(root), folder)) if made is not None else None


def _digest(project: str, folder: str) -> str:
    """Of the facts, whenever they were read: the line before those of a file holds its name, its time and its size."""
    made = hashlib.blake2b(digest_size=12)
    for record in Path(index_path(project, folder)).read_bytes().split(b"\x1e")[1:]:
        title, _, facts = record.partition(b"\n")
        if facts:
            made.update(title.partition(b"\t")[0] + b"\n" + facts)
    return made.hexdigest()


def worth_it(files: "list[Path]") -> bool:
    """Whether an index is made without being asked for: reading every file once more must not be felt."""
    total = 0
    for file in files:
        if file.suffix == ".py":
            try:
                total += file.stat().st_size
            except OSError:
                continue
    return total <= _LARGEST
