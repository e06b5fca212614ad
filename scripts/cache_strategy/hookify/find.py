"""Where the client keeps its transcripts, and which files are meant."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cache_strategy.model.errors import CacheStrategyError

_CWD = re.compile(rb'"cwd"\s*:\s*("(?:[^"\\]|\\.){0,4000}")')
_FIRST_BYTES = 2_000_000


def config_folder() -> Path:
    """`$CLAUDE_CONFIG_DIR`, else `~/.claude`."""
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")


def find_transcripts(project: Path | None) -> tuple[Path, ...]:
    """
    The transcripts that the client keeps for a project, or for all of a user's (None), subagents' included, oldest first.

    Raises:
        CacheStrategyError: there are none.
    """
    folder = config_folder() / "projects"
    if project is None:
        found = _jsonl_below(folder)
    else:
        root = project.resolve()
        folder /= re.sub(r"[^A-Za-z0-9]", "-", str(root))
        found = _jsonl_below(folder) if folder.is_dir() else _found_by_cwd(folder, root)
    if not found:
        raise CacheStrategyError(
            f"{folder}: holds no transcripts{' of this project' if project else ''}; Claude Code writes them while you "
            "work in it. Name the files: cache-strategy hookify scan FILE…"
        )
    return tuple(found)


def _found_by_cwd(folder: Path, root: Path) -> list[Path]:
    """Long names are cut and hashed by the client: the folders that begin alike and were written in `root`."""
    if len(folder.name) <= 100 or not folder.parent.is_dir():
        return []
    files: list[Path] = []
    for candidate in sorted(folder.parent.glob(f"{folder.name[:100]}*/")):
        inside = _jsonl_below(candidate)
        if any(_first_cwd(path) == str(root) for path in inside[:3]):
            files += inside
    return files


def _first_cwd(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            match = _CWD.search(stream.read(_FIRST_BYTES))
        return str(json.loads(match[1])) if match else ""
    except (OSError, ValueError):
        return ""


def _jsonl_below(folder: Path) -> list[Path]:
    found = []
    for base, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        found += [Path(base) / name for name in sorted(names) if name.endswith(".jsonl")]

    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(found, key=age)


def named_transcripts(given: Iterable[Path]) -> tuple[Path, ...]:
    """
    The files among what was given: files as they are (with their subagents' files), folders with all below them.

    Raises:
        CacheStrategyError: a path is not there, or a folder holds no transcript.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = _jsonl_below(path)
            if not inside:
                raise CacheStrategyError(
                    f"{path}: holds no .jsonl file; a folder with transcripts is needed. Name one."
                )
            found += inside
        elif path.exists():
            found.append(path)
            subagents = path.with_suffix("") / "subagents"
            if path.suffix == ".jsonl" and subagents.is_dir():
                found += _jsonl_below(subagents)
        else:
            raise CacheStrategyError(
                f"{path}: is not there; name a transcript (.jsonl) or a folder with some."
            )
    return tuple(dict.fromkeys(found))
