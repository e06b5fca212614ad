"""
The output of `git diff` as something to compare with: what each file was, or will be.

Where the tree has the patch already, the file as it was is worked out backwards; where it has not, the file as it will
be is worked out forwards.
"""

import re
from pathlib import Path

from cache_strategy.lint.walk import read_bytes
from cache_strategy.model.errors import CacheStrategyError

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class Patch:
    """`files` maps a path to what it was called ("" for a new file) and its hunks."""

    def __init__(self, data: bytes, root: Path) -> None:
        self.root = root
        self.files: dict[str, tuple[str, list[tuple[int, int, list[bytes]]]]] = {}
        old = ""
        hunks: list[tuple[int, int, list[bytes]]] = []
        left: list[int] = [0, 0]
        for line in data.split(b"\n"):
            mark = line[:1]
            if left[0] > 0 or left[1] > 0:
                hunks[-1][2].append(line if mark in (b"+", b"-", b"\\") else b" " + line[1:])
                left[0] -= mark not in (b"+", b"\\")
                left[1] -= mark not in (b"-", b"\\")
            elif mark == b"\\" and hunks:
                hunks[-1][2].append(line)
            elif line.startswith(b"--- "):
                old = _name(line)
            elif line.startswith(b"+++ "):
                hunks = []
                if _name(line):
                    self.files[_name(line)] = (old, hunks)
            elif found := _HUNK.match(line):
                hunks.append((int(found[1]), int(found[3]), []))
                left = [int(found[2] or 1), int(found[4] or 1)]
        if not self.files and data.strip() and b"diff --git " not in data:
            raise CacheStrategyError("--diff: no patch; give the output of git diff, or a revision.")

    def versions(self, path: str) -> tuple[bytes | None, bytes]:
        """
        A file as it was (None for a new one) and as it will be.

        Raises:
            OSError: with the reason as `strerror`: it cannot be read, or the patch does not fit.
        """
        old, hunks = self.files[path]
        try:
            data = read_bytes(self.root / path, self.root)
        except FileNotFoundError:
            data = b""
        was = _moved(data, hunks, b"+", b"-")
        if was is not None and data:
            return (was if old else None), data
        will_be = _moved(data, hunks, b"-", b"+")
        if will_be is None:
            raise OSError(0, "the patch does not fit the file")
        return (data if old else None), will_be


def _name(line: bytes) -> str:
    """The path of a `---` or `+++` line, "" for /dev/null."""
    name = line[4:].split(b"\t")[0].strip()
    if name.startswith(b'"') and name.endswith(b'"'):
        name = name[1:-1].decode("unicode_escape").encode("latin-1", "replace")
    if name == b"/dev/null":
        return ""
    return re.sub(r"^[abciow]/", "", name.decode("utf-8", "surrogateescape"))


def _moved(data: bytes, hunks: list[tuple[int, int, list[bytes]]], has: bytes, gets: bytes) -> bytes | None:
    """The text with the lines marked `has` replaced by those marked `gets`; None where it does not have them."""
    rows = data.split(b"\n")
    made: list[bytes] = []
    at = 0
    for old_start, new_start, lines in hunks:
        own = [line[1:] for line in lines if line[:1] in (b" ", has)]
        start = (
            max((new_start if has == b"+" else old_start) - 1, 0)
            if own
            else (new_start if has == b"+" else old_start)
        )
        if start < at or [row.rstrip(b"\r") for row in rows[start : start + len(own)]] != [
            row.rstrip(b"\r") for row in own
        ]:
            return None
        made += rows[at:start] + [line[1:] for line in lines if line[:1] in (b" ", gets)]
        at = start + len(own)
    return b"\n".join(made + rows[at:])
