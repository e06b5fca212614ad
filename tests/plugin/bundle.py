"""The bundle as users get it: its files, a copy of it, the front matter of its commands and agents."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def files_of_the_bundle() -> list[str]:
    """What a user of a git install gets from this checkout: tracked files and those not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).exists()})


def copy_bundle(target: Path) -> Path:
    """Copy the bundle into a folder that is made for it."""
    for name in files_of_the_bundle():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with its mode and modification time: equal before and after means untouched."""
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): (p.lstat().st_mode, p.lstat().st_mtime_ns) for p in paths}


def front_matter(file: Path) -> tuple[dict[str, Any], str]:
    """The fields and the body of a command or an agent."""
    _, fields, body = file.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(fields), body
