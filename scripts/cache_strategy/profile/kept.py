"""
What the last run over a repository found, kept outside of it: the lowered files by content, and the evidence.

It is written by `marshal`, which must not be given hostile bytes: the folder has to be this user's alone, and whoever can
write there can write the environment that runs this program, too. A checksum tells what was cut off or mixed up.
"""

import contextlib
import hashlib
import marshal
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cache_strategy.model import evidence as nouns
from cache_strategy.model.evidence import Evidence, Unread
from cache_strategy.profile import same_code, sql, templates
from cache_strategy.profile.walk import Found

Answer = bytes | str
"""What reading a file gave: the marshalled (lines, lowered module), or the reason why it cannot be read."""

_MOST_BYTES = 400_000_000
_MOST_REPOSITORIES = 40
# More files than this were changed by something else than an edit: they are all looked at anew.
_MOST_CHANGED = 200


def default_folder() -> Path | None:
    """The plugin's data or the user's cache folder; None where neither is known."""
    data = os.environ.get("CLAUDE_PLUGIN_DATA")
    if data:
        return Path(data).expanduser().absolute() / "profile"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        home = os.path.join(os.environ.get("HOME") or "", ".cache")  # noqa: PTH118 - "" is not the current folder
        base = os.environ.get("XDG_CACHE_HOME") or home
    return Path(base, "cache-strategy", "profile") if os.path.isabs(base) else None  # noqa: PTH117 - as above


class Kept:
    """The files of one repository in `folder`; whatever is wrong with them, it is as if they were not there."""

    def __init__(self, folder: Path, repo: Path, files: list[Found], unread: list[Unread]) -> None:
        self.folder, self.repo, self.files = folder, repo, files
        name = hashlib.sha256(os.fsencode(repo.resolve())).hexdigest()[:32]
        self.paths = {kind: folder / f"{name}.{kind}" for kind in ("sources", "evidence")}
        self.digests: dict[str, bytes] = {}
        self.unread = unread

    @cached_property
    def sources(self) -> dict[bytes, Answer]:
        """What was read, by digest; the SQL and the templates that were read are known from here on."""
        found = self._read("sources")
        files: dict[bytes, Answer]
        files, statements, parsed = found if isinstance(found, tuple) else ({}, {}, {})
        sql.know(statements)
        templates.parsed.update(parsed)
        return files

    @cached_property
    def state(self) -> bytes:
        """What the evidence depends on besides the content of the files that are read."""
        rows = [(f.path, f.is_test, f.emitted) for f in self.files]
        other = sorted(_others(self.repo.resolve()))
        gone = [(u.path, u.reason) for u in self.unread]
        return hashlib.sha256(
            repr((self.repo.resolve().name, rows, gone, other)).encode("utf-8", "replace")
        ).digest()

    def evidence(self, digests: dict[str, bytes]) -> Evidence | None:
        """
        The evidence, where nothing changed but comments, layout and docstrings; None where it must be made anew.

        `digests` are those of the files now, by path.
        """
        self.digests = digests
        record = self._read("evidence")
        if not isinstance(record, tuple) or record[0] != self.state or record[1].keys() != digests.keys():
            return None
        before: dict[str, bytes] = record[1]
        changed = [f for f in self.files if before[f.path] != digests[f.path]]
        if len(changed) > _MOST_CHANGED:
            return None
        moved: dict[str, dict[int, int]] = {}
        more = 0
        for file in changed:
            old, new = self.sources.get(before[file.path]), self._lowered(file)
            if not isinstance(old, bytes) or not isinstance(new, bytes):
                return None
            (old_lines, old_tree), (new_lines, new_tree) = marshal.loads(old), marshal.loads(new)
            lines = same_code.moved(old_tree, new_tree)
            if lines is None:
                return None
            moved[file.path] = lines
            more += new_lines - old_lines
        try:
            found: Evidence = _unpacked(record[2], same_code.Moving(moved), {})
        except KeyError:
            # a line that no statement had
            return None
        return replace(found, lines=found.lines + more)

    def known(self, digests: dict[str, bytes]) -> dict[str, tuple[bytes, Answer]]:
        """What was read of files that are as they were, by path."""
        return {path: (d, self.sources[d]) for path, d in digests.items() if d in self.sources}

    def _lowered(self, file: Found) -> Answer:
        from cache_strategy.profile.reading import read_chunk

        ((digest, answer),) = read_chunk([(file.real, file.path)])
        self.sources[digest] = answer
        return answer if digest == self.digests[file.path] else "changed meanwhile"

    def keep(self, evidence: Evidence | None, answers: dict[bytes, Answer]) -> None:
        """Writes what was found; `evidence` is None where it is not complete."""
        self._write("sources", (answers, sql.kept(), templates.parsed))
        if evidence is not None and len(self.digests) == len(self.files):
            self._write("evidence", (self.state, self.digests, _packed(evidence, {})))
        self._sweep()

    def _read(self, kind: str) -> object:
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            if _is_ours(self.folder):
                descriptor = os.open(self.paths[kind], os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
                with os.fdopen(descriptor, "rb") as file:
                    state = os.fstat(descriptor)
                    if (
                        stat.S_ISREG(state.st_mode)
                        and state.st_size < _MOST_BYTES
                        and file.read(32) == _tool()
                    ):
                        digest, data = file.read(32), file.read()
                        if hashlib.sha256(data).digest() == digest:
                            return marshal.loads(data)
        return None

    def _write(self, kind: str, value: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            data = marshal.dumps(value)
            if not _is_ours(self.folder) or len(data) > _MOST_BYTES:
                return
            descriptor, name = tempfile.mkstemp(prefix="new-", dir=self.folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_tool() + hashlib.sha256(data).digest() + data)
                Path(name).replace(self.paths[kind])
            except BaseException:
                Path(name).unlink()
                raise

    def _sweep(self) -> None:
        """Lets go of the repositories that were not looked at for longest, and of what was not written to its end."""
        with contextlib.suppress(OSError):
            aged = sorted(self.folder.iterdir(), key=lambda path: -path.stat().st_mtime)
            total = 0
            for number, path in enumerate(aged):
                total += path.stat().st_size
                if number >= 2 * _MOST_REPOSITORIES or total > 2 * _MOST_BYTES:
                    path.unlink()


def _is_ours(folder: Path) -> bool:
    if sys.platform == "win32":
        return folder.is_dir()
    state = os.lstat(folder)
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022


@cache
def _tool() -> bytes:
    """What changes with this program, the packages it reads with, and Python."""
    digest = hashlib.sha256(f"{sys.version} {sys.platform}".encode())
    root = Path(__file__).resolve().parents[1]
    for path in sorted(p for part in ("profile", "syntax", "model") for p in (root / part).rglob("*")):
        if path.suffix in (".py", ".txt"):
            digest.update(path.as_posix().encode() + path.read_bytes())
    for package in ("sqlglot", "jinja2"):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            digest.update(
                " ".join(sorted(p.name for p in Path(spec.origin).parents[1].glob(f"{package}-*"))).encode()
            )
    return digest.digest()


def _others(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    """Every file that is no Python, with what changes when it is written."""
    queue = [str(folder)]
    for here in queue:
        with contextlib.suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name[0] != "." and entry.name not in ("node_modules", "__pycache__"):
                        queue.append(entry.path)
                elif not entry.name.endswith((".py", ".pyc")):
                    with contextlib.suppress(OSError):
                        s = entry.stat()
                        yield entry.path, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def _packed(value: Any, made: dict[int, Any]) -> Any:
    """Nouns as lists that begin with their names; what stands at several places stays one."""
    if isinstance(value, str | int | float | None):
        return value
    found = made.get(id(value))
    if found is None:
        if isinstance(value, tuple):
            found = tuple([_packed(v, made) for v in value])
        elif isinstance(value, dict):
            found = {k: _packed(v, made) for k, v in value.items()}
        else:
            found = [type(value).__name__, *(_packed(getattr(value, f.name), made) for f in fields(value))]
        made[id(value)] = found
    return found


def _unpacked(data: Any, moving: "same_code.Moving", made: dict[int, Any]) -> Any:
    if isinstance(data, str):
        return moving.text(data)
    if not isinstance(data, list | tuple | dict):
        return data
    found = made.get(id(data))
    if found is None:
        if isinstance(data, tuple):
            found = tuple([_unpacked(v, moving, made) for v in data])
        elif isinstance(data, dict):
            found = {k: _unpacked(v, moving, made) for k, v in data.items()}
        else:
            kind, names = _nouns()[data[0]]
            parts = [_unpacked(v, moving, made) for v in data[1:]]
            if "line" in names:
                path, at = parts[names.index("path")], names.index("line")
                parts[at] = moving.line(path, parts[at])
            found = kind(**dict(zip(names, parts, strict=True)))
        made[id(data)] = found
    return found


@cache
def _nouns() -> dict[str, tuple[Any, tuple[str, ...]]]:
    known = (kind for kind in vars(nouns).values() if isinstance(kind, type) and is_dataclass(kind))
    return {kind.__name__: (kind, tuple(f.name for f in fields(kind))) for kind in known}
