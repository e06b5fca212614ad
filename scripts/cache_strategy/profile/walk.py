"""Which files of a repository are Python, and which of them are tests."""

import os
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.model.evidence import Unread
from cache_strategy.profile.files import text_of

# Folders that hold nobody's source: version control, installed packages, build results, caches of tools.
_SKIPPED = frozenset(
    """.git .hg .svn .bzr node_modules bower_components __pycache__ site-packages .tox .nox .eggs
    .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache .cache-strategy .idea .vscode .venv .direnv
    __pypackages__""".split()
)
# Folders with these names are build results only where no package lies in them.
_BUILD = frozenset("build dist _build htmlcov".split())
_TEST_FOLDERS = frozenset("tests test testing functional_tests e2e".split())
LARGEST_BYTES = 8 * 1024 * 1024
"""A Python file above this size is generated data; reading it would cost more than the rest of the repository."""


@dataclass(frozen=True)
class Found:
    """A Python file: `path` relative with forward slashes, as text that can be printed; `real` opens it."""

    path: str
    real: Path
    size: int
    is_test: bool
    emitted: bool = False


def walk(repo: Path) -> tuple[list[Found], list[Unread]]:
    """
    Every Python file under `repo` in name order, and what could not be read.

    A symbolic link to a folder is followed only when it leads to a folder of the repository that was not
    visited yet; a loop ends there.
    """
    root = repo.resolve()
    found: list[Found] = []
    unread: list[Unread] = []
    visited: set[tuple[int, int]] = set()
    queue = [root]
    while queue:
        folder = queue.pop()
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            unread.append(Unread(path=printable(folder, root), reason=f"cannot be read ({error.strerror})"))
            continue
        for entry in reversed(inside):
            path = Path(entry.path)
            if _is_folder(entry) and _is_emitted(path):
                # of the emitted caches only what says what they are
                _take(path / "entries.py", root, found, unread, emitted=True)
            elif _is_folder(entry):
                if not _is_skipped(path, root):
                    queue.append(path)
            elif entry.name.endswith(".py"):
                _take(path, root, found, unread)
    found.sort(key=lambda item: item.path)
    return found, unread


def printable(path: Path, root: Path) -> str:
    """The path relative to `root` with forward slashes; bytes that are not UTF-8 become backslash escapes."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_skipped(path: Path, root: Path) -> bool:
    name = path.name
    if name in _SKIPPED or name.endswith(".egg-info"):
        return True
    # os.path.exists, as Path.exists raises for what lies in a folder that may not be entered
    if os.path.exists(path / "pyvenv.cfg"):  # noqa: PTH110 - see above
        return True
    if name in _BUILD and not os.path.exists(path / "__init__.py"):  # noqa: PTH110 - see above
        return True
    return path.is_symlink() and not _is_inside(path, root)


def _is_emitted(path: Path) -> bool:
    try:
        return path.name == "caching" and "made by cache-strategy" in text_of(path / "__init__.py")[:200]
    except (OSError, ValueError):
        return False


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _take(path: Path, root: Path, found: list[Found], unread: list[Unread], emitted: bool = False) -> None:
    name = printable(path, root)
    reason = ""
    size = 0
    try:
        is_link = path.is_symlink()
        if not path.is_file():
            reason = "is a broken link" if is_link else "is not a regular file"
        elif is_link and not _is_inside(path, root):
            reason = "is a link out of the repository"
        else:
            size = path.stat().st_size
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    if not reason and size > LARGEST_BYTES:
        reason = f"is larger than {LARGEST_BYTES // 1024 // 1024} MiB"
    if reason:
        unread.append(Unread(path=name, reason=reason))
    else:
        found.append(
            Found(path=name, real=path, size=size, is_test=emitted or is_test(name), emitted=emitted)
        )


def is_test(path: str) -> bool:
    *folders, name = path.split("/")
    if name == "conftest.py" or name.startswith("test_") or name.endswith(("_test.py", "_tests.py")):
        return True
    return name == "tests.py" or any(folder in _TEST_FOLDERS for folder in folders)
