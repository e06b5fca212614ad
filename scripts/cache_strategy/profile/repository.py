"""Facts about the repository itself: its commit."""

import re
from pathlib import Path

_COMMIT = re.compile(r"^[0-9a-f]{40,64}$")


def commit_of(repo: Path) -> str:
    try:
        git = repo / ".git"
        if git.is_file():
            git = (repo / git.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head if _COMMIT.match(head) else ""
        folders = [git]
        if (git / "commondir").is_file():
            folders.append((git / (git / "commondir").read_text(encoding="utf-8").strip()).resolve())
        for folder in folders:
            if (folder / name).is_file():
                found = (folder / name).read_text(encoding="utf-8").strip()
                return found if _COMMIT.match(found) else ""
        for line in (folders[-1] / "packed-refs").read_text(encoding="utf-8").splitlines():
            found, _, packed = line.partition(" ")
            if packed == name and _COMMIT.match(found):
                return found
    except (OSError, UnicodeDecodeError, ValueError):
        pass
    return ""
