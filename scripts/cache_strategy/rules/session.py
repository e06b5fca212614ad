"""
What the guard remembers of a session, in the plugin's data folder: what it has said, and its files as they were before.

A session ends with the client's process: resumed in another one, it hears everything once more.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cache_strategy.rules.event import Event

FOLDER = "sessions"
_LARGEST = 2_000_000
_MOST_FILES = 200
_KEPT_DAYS = 7


class Session:
    """The memory of one session; without a data folder or an id it remembers nothing."""

    def __init__(self, event: "Event", project: str = "", data: "str | None" = None) -> None:
        self.project = project
        data = os.environ.get("CLAUDE_PLUGIN_DATA") if data is None else data
        name = "".join(c for c in str(event.get("session_id") or "") if c.isalnum() or c in "-_")[:80]
        self.folder = os.path.join(data, FOLDER, f"{name}-{os.getppid()}") if data and name else ""

    def untold(self, rows: "Iterable[str]") -> "list[str]":
        """The rows that were not told before of this project, each once; from now on they are."""
        rows = list(dict.fromkeys(rows))
        if not self.folder or not rows:
            return rows
        known = set(self._read("told").split("\n"))
        lines = {row: f"{self.project} {row}".replace("\n", " ") for row in rows}
        new = [row for row in rows if lines[row] not in known]
        if new and not self._append("told", "".join(lines[row] + "\n" for row in new)):
            return rows
        return new

    def keep(self, path: str, text: "str | None") -> None:
        """Remembers a file as it is before the session changes it first; None for a file that is not there yet."""
        known = self.kept()
        if not self.folder or path in known or "\n" in path or len(known) >= _MOST_FILES:
            return
        if text is not None and len(text) > _LARGEST:
            return
        name = str(len(known)) if text is not None else ""
        if not name or self._append(name, text or ""):
            self._append("files", f"{name}\t{path}\n")

    def kept(self) -> "dict[str, str]":
        """The files that the session changed, each with the name of its text as it was, "" for a new one."""
        rows = [row.partition("\t") for row in self._read("files").split("\n")] if self.folder else []
        return {path: name for name, _, path in rows if path}

    def text(self, name: str) -> "str | None":
        return self._read(name) if name else None

    def _read(self, name: str) -> str:
        try:
            with open(
                os.path.join(self.folder, name), encoding="utf-8", errors="replace", newline=""
            ) as file:
                return file.read()
        except (OSError, ValueError):
            return ""

    def _append(self, name: str, text: str) -> bool:
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with open(
                os.path.join(self.folder, name), "a", encoding="utf-8", errors="replace", newline=""
            ) as file:
                file.write(text)
        except (OSError, ValueError):
            return False
        return True


def sweep(data: str) -> None:
    """Takes away what is remembered of sessions that nobody has touched for a week."""
    import time

    folder = os.path.join(data, FOLDER)
    try:
        for entry in list(os.scandir(folder)):
            if (
                entry.is_dir(follow_symlinks=False)
                and time.time() - entry.stat().st_mtime > _KEPT_DAYS * 86400
            ):
                for file in list(os.scandir(entry.path)):
                    os.remove(file.path)
                os.rmdir(entry.path)
    except OSError:
        return
