"""
What an earlier run found, by the contents of the files: a file that has not changed is not judged again.

It lies in the user's cache folder, one file per root. A result counts only for the same bytes under the same name, the
same rules and the same Python.
"""

import hashlib
import json
import sys
from pathlib import Path

from cache_strategy import rules, syntax
from cache_strategy.lint.judging import Judged
from cache_strategy.model.document import write_text
from cache_strategy.rules import Finding

# About 40 bytes each.
_MOST = 200_000


class Store:
    """`problem` says why results could not be kept, "" when they were."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.path = (
            folder
            / f"lint-{hashlib.blake2b(str(root).encode(errors='surrogateescape'), digest_size=8).hexdigest()}.json"
        )
        self.problem = ""
        self._version = _version()
        self._known: dict[str, object] = {}
        self._new: dict[str, object] = {}
        try:
            data = json.loads(self.path.read_bytes())
            if data["version"] == self._version:
                self._known = data["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return

    @staticmethod
    def key(data: bytes, shown: str, context: str = "") -> str:
        """`context` stands for the other files, where they were asked about."""
        name = f"{shown}\0{context}" if context else shown
        return hashlib.blake2b(name.encode(errors="replace") + b"\0" + data, digest_size=12).hexdigest()

    def get(self, key: str) -> Judged | None:
        try:
            found = self._known[key]
            if found == 0:
                return Judged()
            if isinstance(found, str):
                return Judged(unread=found)
            pairs = [(Finding(*fields), row) for *fields, row in found]  # type: ignore[attr-defined]  # a list, or it raises
            return Judged(tuple(finding for finding, _ in pairs), tuple(row for _, row in pairs))
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, judged: Judged) -> None:
        pairs = zip(judged.findings, judged.rows, strict=True)
        self._new[key] = judged.unread or [[*finding, row] for finding, row in pairs] or 0

    def save(self) -> None:
        if not self._new:
            return
        kept = {**self._known, **self._new}
        for key in list(kept)[: max(0, len(kept) - _MOST)]:
            del kept[key]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(
                self.path, json.dumps({"version": self._version, "files": kept}, separators=(",", ":"))
            )
        except OSError as error:
            self.problem = f"{self.path.parent}: {error.strerror or error}; nothing is kept, and the next run checks every file again."


def _version() -> str:
    """Changes with every rule and with the grammar of Python."""
    made = hashlib.blake2b(sys.version.encode(), digest_size=12)
    for package in (rules, syntax):
        folder = Path(package.__file__ or "").parent
        for path in sorted(folder.rglob("*.py")):
            made.update(path.read_bytes())
    return made.hexdigest()
