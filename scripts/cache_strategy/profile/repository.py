"""Facts about the repository itself: its commit."""

import re
from pathlib import Path

_COMMIT = re.compile(r"^[0-9a-f]{40,64}$")


def commit_of(repo: Path) -> str:
    """The id of the checked-out commit, read from `.git` without running git; "" where it cannot be told."""
    try:
        git = repo / ".git"
        if git.is_file():
            link = git.read_text(encoding="utf-8").strip()
            if not link.startswith("gitdir: "):
                return ""
            git = (repo / link[8:]).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if _COMMIT.match(head):
            return head
        if not head.startswith("ref: "):
            return ""
        name = head[5:]
        common = git
        if (git / "commondir").is_file():
            common = (git / (git / "commondir").read_text(encoding="utf-8").strip()).resolve()
        for folder in (git, common):
            loose = folder / name
            if loose.is_file():
                found = loose.read_text(encoding="utf-8").strip()
                return found if _COMMIT.match(found) else ""
        for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines():
            found, _, packed = line.partition(" ")
            if packed == name and _COMMIT.match(found):
                return found
    except (OSError, UnicodeDecodeError, ValueError):
        pass
    return ""
