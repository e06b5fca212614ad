"""
Reads the project index by bytes: a question costs a search, and only what a search finds is looked at closely.

A fact counts only while its file is as it was when it was read.
"""

from __future__ import annotations

import os

from cache_strategy.syntax.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Iterator, NamedTuple

    class Known(NamedTuple):
        kind: str
        name: str
        path: str
        line: int
        where: str
        detail: str
else:
    # A fact with the file that says it.
    Known = record(__name__, "Known", "kind name path line where detail")

VERSION = b"cache-strategy index 1"
MODELS = b"models\t"
CACHED = b"cached\t"
_LIMIT = 200_000_000


def index_path(project: str, data: str) -> str:
    """Where the index of a project lies below the plugin's data folder."""
    name = "".join(c if c.isalnum() else "-" for c in os.path.abspath(project))[-100:]
    return os.path.join(data, "index", name)


class ProjectIndex:
    """The facts of a project; what changed since they were read is not told."""

    def __init__(self, project: str, data: bytes) -> None:
        self.project = project
        self._data = data
        self._fresh: "dict[int, str]" = {}

    def named(self, kind: str, name: str) -> "list[Known]":
        """The facts of a kind and a name."""
        return list(self._found(f"\n{kind}\t{name}\t"))

    def every(self, kind: str, begin: str = "") -> "list[Known]":
        """The facts of a kind whose names begin so."""
        return list(self._found(f"\n{kind}\t{begin}"))

    def is_whole(self, but: str = "") -> bool:
        """Whether nothing in the project changed since, `but` for one file: then what is not told is not there."""
        if self._data.split(b"\n", 3)[2] != b"whole":
            return False
        for part in self._data.split(b"\x1e")[1:]:
            name, *stamp = part.partition(b"\n")[0][1:].decode("utf-8", "surrogateescape").split("\t")
            try:
                state = os.stat(os.path.join(self.project, name))
            except (OSError, ValueError):
                return False
            now = [str(state.st_mtime_ns), str(state.st_size)][: len(stamp)]
            if now != stamp and name != but:
                return False
        return True

    def _found(self, text: str) -> "Iterator[Known]":
        sought = text.encode("utf-8", "replace")
        at = self._data.find(sought)
        while at >= 0:
            end = self._data.index(b"\n", at + 1)
            path = self._path_of(at)
            if path:
                kind, name, line, where, detail = (
                    self._data[at + 1 : end].decode("utf-8", "replace").split("\t")
                )
                yield Known(kind, name, path, int(line), where, detail)
            at = self._data.find(sought, end)

    def _path_of(self, at: int) -> str:
        """The file of the fact at a place, "" where it is not as it was."""
        start = self._data.rfind(b"\x1e", 0, at)
        if start not in self._fresh:
            title = self._data[start + 2 : self._data.index(b"\n", start)].decode("utf-8", "surrogateescape")
            path, _, stamp = title.partition("\t")
            try:
                state = os.stat(os.path.join(self.project, path))
                same = stamp == f"{state.st_mtime_ns}\t{state.st_size}"
            except (OSError, ValueError):
                same = False
            self._fresh[start] = path if same else ""
        return self._fresh[start]


def load_index(project: str, data: str) -> "ProjectIndex | None":
    """The index of a project; None where there is none, or one of another format."""
    if not data or not project:
        return None
    try:
        with open(index_path(project, data), "rb") as file:
            text = file.read(_LIMIT)
    except (OSError, ValueError):
        return None
    ours = text.startswith(VERSION + b"\n" + os.fsencode(project) + b"\n") and text.endswith(b"\n")
    return ProjectIndex(project, text) if ours else None
