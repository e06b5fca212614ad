"""Which files the linter looks at: Python and what configures caches below the given paths, and what could not be read."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Unread

# Folders that hold nobody's source: version control, installed packages, caches of tools.
_SKIPPED = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", "node_modules", "bower_components", "__pycache__", "site-packages",
        ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".cache",
        ".cache-strategy", ".idea", ".vscode", ".venv", ".direnv", "__pypackages__",
    }
)  # fmt: skip
_PYTHON = (".py", ".pyi")
# Files that may configure a cache; whether one does, its text says.
_CONFIGURES = re.compile(
    r"\.(?:conf|vcl|sql|tf|ya?ml|nginx|vhost)(?:\.(?:j2|jinja2?|erb|epp|tpl|tmpl|template|in|dist|sample|example))?$|"
    r"^[^.]+\.(?:j2|template)$|nginx[^/.]*$|^_headers$|^server_config$|(?:cloudfront|distribution|template|stack)[^/]*\.json$|worker[^/]*\.m?[jt]s$",
    re.I,
)
# Folders whose files need no ending to be nginx's.
_OF_NGINX = re.compile(r"(?:nginx|sites-(?:available|enabled))$")
LARGEST_BYTES = 8 * 1024 * 1024
"""A file above this size is generated data."""


def files_below(paths: Sequence[Path], root: Path) -> tuple[list[Path], list[Unread]]:
    """
    The files below `paths`, each once and in order, and what could not be read.

    A file that is named is taken whatever its ending. Links to folders are not followed, so a loop of links ends
    at its first one; a link to a file is followed unless it leads out of `root`.

    Raises:
        CacheStrategyError: a path that is not there.
    """
    files: dict[Path, None] = {}
    unread: list[Unread] = []
    for path in paths:
        path = path if path.is_absolute() else root / path
        if path.is_dir():
            for file in _below(path, root, unread):
                files[file] = None
        elif os.path.lexists(path):
            files[path] = None
        else:
            raise CacheStrategyError(
                f"{path}: no such file or folder; name what to check. See: cache-strategy lint --help"
            )
    return list(files), unread


def _below(folder: Path, root: Path, unread: list[Unread]) -> Iterator[Path]:
    def report(error: OSError) -> None:
        unread.append(
            Unread(path=shown_path(Path(error.filename), root), reason=f"cannot be read ({error.strerror})")
        )

    for current, folders, names in os.walk(folder, onerror=report, followlinks=False):
        folders[:] = sorted(name for name in folders if not _is_skipped(current, name))
        of_nginx = bool(_OF_NGINX.search(current))
        for name in sorted(names):
            if name.endswith(_PYTHON) or _CONFIGURES.search(name) or (of_nginx and "." not in name):
                yield Path(current, name)


def _is_skipped(current: str, name: str) -> bool:
    if name in _SKIPPED or name.endswith(".egg-info"):
        return True
    return os.path.exists(os.path.join(current, name, "pyvenv.cfg"))  # noqa: PTH118, PTH110 - one of many thousands


def shown_path(path: Path, root: Path) -> str:
    """The path from `root` with forward slashes, or the whole path where it lies elsewhere; printable."""
    try:
        text = path.relative_to(root).as_posix()
    except ValueError:
        text = path.as_posix()
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_bytes(path: Path, root: Path) -> bytes:
    """
    The bytes of a file.

    Raises:
        OSError: with the reason as `strerror`: not a regular file, too large, a link out of `root`, not readable.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise OSError(0, "is not a regular file")
    if state.st_size > LARGEST_BYTES:
        raise OSError(0, f"is larger than {LARGEST_BYTES // 1024 // 1024} MiB")
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise OSError(0, "is a link out of the folder")
    return path.read_bytes()
