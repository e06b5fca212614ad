"""
Writes the project index and keeps it fresh: reads only files that changed since, one writer at a time, all or nothing.

The file: a line of the format, the project's folder, whether it is whole, the words of the gate, then a record per folder and
file, each begun by a record separator, with the time and size that it had; below a file its facts, one per line.
"""

from __future__ import annotations

import os
import stat
import time

from cache_strategy.rules.index.store import CACHED, MODELS, VERSION, index_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cache_strategy.rules.index.facts import Fact

    Record = tuple[str, bytes]

LARGEST = 1_000_000
MOST_FILES = 60_000
# Folders that hold other people's code or nothing that runs.
_SKIPPED = frozenset(
    "node_modules site-packages __pycache__ venv env htmlcov bower_components dist build".split()
)


def refresh(
    project: str, data: str, seconds: float = 120.0, changed: "Iterable[str]" = ()
) -> "dict[str, int] | None":
    """
    Brings the index of a project up to date; None where another process is at it (it will look once more).

    `changed` are files that are known to have changed: where no file came or went, only they are looked at. After
    `seconds` of processor time the rest is left for the next time, and the index says that it is not whole.

    Raises:
        OSError: the folder of the index cannot be written.
    """
    path = index_path(project, data)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = os.open(path + ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        again = path + ".again"
        if not _locked(lock):
            os.close(os.open(again, os.O_CREAT | os.O_WRONLY, 0o600))
            return None
        told = _refresh(project, path, seconds, list(changed))
        for _ in range(3):
            if not os.path.exists(again):
                break
            os.remove(again)
            told = _refresh(project, path, seconds, [])
        return told
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: the last writer wins
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _refresh(project: str, path: str, seconds: float, changed: "list[str]") -> "dict[str, int]":
    until = time.process_time() + seconds
    old, folders = _records(path, project)
    known = None
    if changed and old and not any(_stamp(project, f) != s for f, s in folders.items()):
        known = [os.path.relpath(file, project).replace(os.sep, "/") for file in changed]
        known = [
            *old,
            *(file for file in known if file not in old and _is_read(file) and not file.startswith("..")),
        ]
    files = {file: _stamp(project, file) for file in known} if known is not None else None
    if files is None:
        files, folders = _walk(project)
    new: "dict[str, Record]" = {}
    whole, read = len(files) < MOST_FILES, 0
    for file, stamp in files.items():
        if not stamp:
            continue
        if file in old and old[file][0] == stamp:
            new[file] = old[file]
        elif time.process_time() < until:
            read += 1
            new[file] = stamp, b"".join(map(_line, _facts(project, file)))
        else:
            whole = False
    _write(path, project, whole, folders, new)
    return {
        "files": len(new),
        "read": read,
        "facts": sum(rows.count(b"\n") for _, rows in new.values()),
        "whole": int(whole),
    }


def _records(path: str, project: str) -> "tuple[dict[str, Record], dict[str, str]]":
    """The files and the folders of the index as it is; nothing where it is of another format or project."""
    files: "dict[str, Record]" = {}
    folders: "dict[str, str]" = {}
    try:
        with open(path, "rb") as file:
            head, *records = file.read().split(b"\x1e")
    except OSError:
        return files, folders
    if not head.startswith(VERSION + b"\n" + os.fsencode(project) + b"\n"):
        return files, folders
    for record in records:
        title, _, rows = record.partition(b"\n")
        name, _, stamp = title[1:].decode("utf-8", "surrogateescape").partition("\t")
        if title.startswith(b"d"):
            folders[name] = stamp
        else:
            files[name] = stamp, rows
    return files, folders


def _stamp(project: str, file: str) -> str:
    """The time and size of a file, the time of a folder; "" where it is gone."""
    try:
        state = os.stat(os.path.join(project, file))
    except (OSError, ValueError):
        return ""
    return f"{state.st_mtime_ns}" if stat.S_ISDIR(state.st_mode) else f"{state.st_mtime_ns}\t{state.st_size}"


def _is_read(name: str) -> bool:
    return name.endswith((".py", ".html", ".jinja", ".jinja2", ".j2")) or name == "cache-strategy.yaml"


def _walk(project: str) -> "tuple[dict[str, str], dict[str, str]]":
    files: "dict[str, str]" = {}
    folders = {}
    stack = [""]
    while stack and len(files) < MOST_FILES:
        folder = stack.pop()
        folders[folder] = _stamp(project, folder)
        try:
            entries = sorted(os.scandir(os.path.join(project, folder)), key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not name.isprintable() or entry.name.startswith("."):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED:
                        stack.append(name)
                elif _is_read(entry.name) and entry.is_file(follow_symlinks=False):
                    files[name] = _stamp(project, name)
            except OSError:
                continue
    return files, folders


def _facts(project: str, name: str) -> "list[Fact]":
    from cache_strategy.rules.index.contract import entries_of
    from cache_strategy.rules.index.facts import facts_of
    from cache_strategy.rules.index.templates import facts_of_template

    try:
        with open(os.path.join(project, name), "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError:
        return []
    if len(data) > LARGEST:
        return []
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if name.endswith(".py"):
        try:
            return facts_of(text, name)
        except RecursionError:
            return []
    if name.endswith(".yaml"):
        folder = name.rpartition("/")[0]
        return [
            f._replace(detail=f"{folder}/{f.detail}" if folder and f.kind == "entry" else f.detail)
            for f in entries_of(text)
        ]
    return facts_of_template(text, name)


def _line(fact: "Fact") -> bytes:
    parts = [fact.kind, fact.name, str(fact.line), fact.where, fact.detail]
    row = "\t".join("".join(c if c.isprintable() else " " for c in part)[:300] for part in parts)
    return row.encode("utf-8", "replace") + b"\n"


def _write(
    path: str, project: str, whole: bool, folders: "dict[str, str]", files: "dict[str, Record]"
) -> None:
    models: "dict[bytes, set[bytes]]" = {}
    cached = set()
    for _, rows in files.values():
        for row in rows.split(b"\n"):
            kind, _, rest = row.partition(b"\t")
            if kind == b"write":
                name, _, where, detail = rest.split(b"\t")
                if detail:
                    models.setdefault(name, set()).add(where)
            elif kind == b"cached":
                cached.add(rest.split(b"\t")[0])
    head = [
        VERSION,
        os.fsencode(project),
        b"whole" if whole else b"partial",
        MODELS + b"\t".join(sorted(name for name, places in models.items() if len(places) > 1)),
        CACHED + b"\t".join(sorted(cached)),
    ]
    beside = f"{path}.{os.getpid()}"
    with open(beside, "wb") as file:
        file.write(b"\n".join(head) + b"\n")
        for folder, stamp in folders.items():
            file.write(f"\x1ed{folder}\t{stamp}\n".encode("utf-8", "surrogateescape"))
        for source, (stamp, facts) in files.items():
            file.write(f"\x1ef{source}\t{stamp}\n".encode("utf-8", "surrogateescape") + facts)
    os.replace(beside, path)
