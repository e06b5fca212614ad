"""
The only file that writes into a user's repository.

Every apply first notes the files as they were (`.cache-strategy/applied.json`), then replaces them one by one, each
atomically: whoever looks, and whenever the run is interrupted, every file is whole. An interrupted apply is taken back;
one that was killed is found by its note and taken back by the next `--apply` or `--revert`.
"""

import contextlib
import glob
import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cache_strategy.model.change import Change
from cache_strategy.model.document import write_text
from cache_strategy.model.errors import CacheStrategyError, Refusal

NOTE = Path(".cache-strategy") / "applied.json"
PART = ".cache-strategy-part"
"""How the name of a file ends that is still being written; one that a killed apply left is removed by the next."""


def apply(changes: Iterable[Change], repo: Path) -> list[str]:
    """
    Writes the changes; returns the paths.

    Raises:
        Refusal: a file is not as the changes expect it, lies outside the repository, or an earlier apply is in force.
        CacheStrategyError: a file cannot be written; what had been written is taken back.
    """
    todo = list(changes)
    _recover(repo)
    for change in todo:
        file = _inside(repo, change.path)
        if _read(file) != change.before:
            raise Refusal(
                f"{change.path}: was changed while the patch was made; make it again: cache-strategy emit"
            )
    note = _note_of(repo)
    undo = {change.path: {"before": change.before, "after": change.after} for change in todo}
    journal = {"schema": 1, "state": "applying", "undo": undo, "previous": note}
    done: list[Change] = []
    try:
        write_text(repo / NOTE, json.dumps(journal, indent=1))
        for change in todo:
            done.append(change)
            _replace(_inside(repo, change.path), change.after)
        _finish(repo, {"schema": 1, "state": "applied", "files": _merged(note, todo)})
    except BaseException as error:
        with _undisturbed():
            for change in reversed(done):
                _remove_parts(_inside(repo, change.path))
                _restore(repo, change.path, change.before)
            _finish(repo, note)
        if isinstance(error, OSError):
            raise CacheStrategyError(
                f"{error.filename}: cannot be written ({error.strerror}); nothing was changed. Make the folder writable."
            ) from error
        raise
    return [change.path for change in todo]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until what the first one interrupted is taken back."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def revert(repo: Path) -> list[str]:
    """
    Takes back what `apply` wrote, byte for byte; returns the paths.

    Raises:
        Refusal: nothing was applied, or a file was edited since (named; nothing is changed then).
    """
    _recover(repo)
    note = _note_of(repo)
    if not note:
        raise Refusal(f"{repo}: nothing of ours is applied here; there is nothing to take back.")
    files: dict[str, dict[str, Any]] = note["files"]
    edited = [
        path for path, f in files.items() if _read(_inside(repo, path)) not in (f["after"], f["before"])
    ]
    if edited:
        raise Refusal(
            f"{edited[0]}: was edited after the patch was applied ({len(edited)} such file(s)); taking it back would lose "
            "that. Undo the edit, or take the patch back with: git apply -R .cache-strategy/changes.patch"
        )
    for path, f in files.items():
        _restore(repo, path, f["before"])
    (repo / NOTE).unlink()
    return sorted(files)


def _recover(repo: Path) -> None:
    """Takes back an apply that was killed half-way; what an earlier one wrote stays in force."""
    note = _note_of(repo)
    if note.get("state") != "applying":
        return
    for path, f in note["undo"].items():
        file = _inside(repo, path)
        _remove_parts(file)
        if _read(file) == f["after"]:
            _restore(repo, path, f["before"])
    _finish(repo, note["previous"])


def _remove_parts(file: Path) -> None:
    """What was being written when the interruption came."""
    for part in file.parent.glob(f".{glob.escape(file.name)}.*{PART}"):
        part.unlink(missing_ok=True)


def _merged(note: dict[str, Any], changes: list[Change]) -> dict[str, dict[str, Any]]:
    """What revert needs: the oldest `before` and the newest `after` of each file."""
    files = dict(note.get("files", {}))
    for change in changes:
        before = files[change.path]["before"] if change.path in files else change.before
        files[change.path] = {"before": before, "after": change.after}
    return files


def _finish(repo: Path, note: dict[str, Any]) -> None:
    if note:
        write_text(repo / NOTE, json.dumps(note, indent=1))
    else:
        (repo / NOTE).unlink(missing_ok=True)


def _note_of(repo: Path) -> dict[str, Any]:
    try:
        data = json.loads((repo / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CacheStrategyError(
            f"{NOTE}: cannot be read ({error}); it holds what revert needs. Restore it from a backup."
        ) from error
    return data if isinstance(data, dict) else {}


def _inside(repo: Path, path: str) -> Path:
    file = repo / path
    if not file.resolve().is_relative_to(repo.resolve()):
        raise Refusal(f"{path}: leads outside the repository; nothing outside of it is ever written.")
    return file.resolve()


def _read(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CacheStrategyError(f"{file}: cannot be read ({error}); nothing was changed.") from error


def _replace(file: Path, text: str) -> None:
    """The file with a new text and its old mode; never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o7777 if file.exists() else 0o644
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=PART, dir=file.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(mode)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _restore(repo: Path, path: str, before: str | None) -> None:
    file = _inside(repo, path)
    if before is not None:
        if _read(file) != before:
            _replace(file, before)
    elif file.parent.is_dir():
        file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that holds something else stays
            for folder in file.parents[: len(file.relative_to(repo.resolve()).parents) - 1]:
                _remove_bytecode(folder)
                folder.rmdir()


def _remove_bytecode(folder: Path) -> None:
    """Compiled files of a package that is taken back would keep its folder alive."""
    cache = folder / "__pycache__"
    if cache.is_dir() and not any(folder.glob("*.py")):
        for file in cache.glob("*.pyc"):
            file.unlink(missing_ok=True)
        cache.rmdir()
