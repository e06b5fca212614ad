"""
Whose rule a file is. One that git has as it stands in the folder came with the repository: until the user has approved
exactly this text once it stays off. One that was written or changed here is the user's own.
"""

from __future__ import annotations

import os

_APPROVED = "hookify-approved"
_INDEX_LIMIT = 64_000_000


def is_foreign(path: str, config: str) -> bool:
    """Whether a rule file came with a repository and is not approved; `config` is the user's folder of the client."""
    index = _index_above(path)
    if not index:
        return False
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (OSError, ValueError):
        return False
    names = _blob_names(text) + (_blob_names(text.replace(b"\r\n", b"\n")) if b"\r\n" in text else [])
    return any(name in index for name in names) and not _is_approved(names[0], config)


def approve(path: str, config: str) -> None:
    """
    Remembers the text of a rule file in a repository as approved.

    Raises:
        OSError: the file cannot be read, or the user's folder cannot be written.
    """
    with open(path, "rb") as file:
        name = _blob_names(file.read())[0]
    if _index_above(path) and not _is_approved(name, config):
        os.makedirs(config, exist_ok=True)
        with open(os.path.join(config, _APPROVED), "a", encoding="utf-8") as file:
            file.write(f"{name.hex()} {path!r}\n")


def _is_approved(name: bytes, config: str) -> bool:
    try:
        with open(os.path.join(config, _APPROVED), "rb") as file:
            return any(line.split(b" ")[0] == name.hex().encode() for line in file)
    except (OSError, ValueError):
        return False


def _blob_names(text: bytes) -> "list[bytes]":
    """What git calls this content, in both of its ways to name one."""
    from hashlib import sha1, sha256

    blob = b"blob %d\0" % len(text) + text
    return [sha1(blob, usedforsecurity=False).digest(), sha256(blob).digest()]


def _index_above(path: str) -> bytes:
    """Git's list of what is in the repository around a file; empty where there is none."""
    folder = os.path.dirname(os.path.abspath(path))
    while True:
        git = os.path.join(folder, ".git")
        if os.path.exists(git):
            break
        above = os.path.dirname(folder)
        if above == folder:
            return b""
        folder = above
    try:
        if os.path.isfile(git):  # a worktree or a submodule
            with open(git, "rb") as file:
                named = file.read(5000).partition(b"gitdir:")[2].strip()
            git = os.path.join(folder, os.fsdecode(named))
        with open(os.path.join(git, "index"), "rb") as file:
            return file.read(_INDEX_LIMIT)
    except (OSError, ValueError):
        return b""
