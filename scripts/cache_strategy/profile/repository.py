"""Facts about the repository itself: its commit."""

import re
from pathlib import Path

from cache_strategy.profile.files import text_of

_COMMIT = re.compile(r"^[0-9a-f]{40,64}$")


def commit_of(repo: Path) -> str:
    try:
        git = repo / ".git"
        if git.is_file():
            git = (repo / text_of(git).strip().removeprefix("gitdir: ")).resolve()
        head = text_of(git / "HEAD").strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head if _COMMIT.match(head) else ""
        folders = [git]
        if (git / "commondir").is_file():
            folders.append((git / text_of(git / "commondir").strip()).resolve())
        for folder in folders:
            if (folder / name).is_file():
                found = text_of(folder / name).strip()
                return found if _COMMIT.match(found) else ""
        for line in text_of(folders[-1] / "packed-refs", 64 * 1024 * 1024).splitlines():
            found, _, packed = line.partition(" ")
            if packed == name and _COMMIT.match(found):
                return found
    except (OSError, UnicodeDecodeError, ValueError):
        pass
    return ""
