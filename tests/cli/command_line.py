"""What the tests of the command line share: one clear line, whole files, privileges of an ordinary user."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPBSET_DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2  # linux/prctl.h, linux/capability.h
PLAIN_APPLICATION = """\
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Item(db.Model):
    __tablename__ = "items"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)


app = Flask(__name__)


@app.get("/items/<int:item_id>")
def item(item_id):
    return load(item_id)


def load(item_id):
    found = db.session.get(Item, item_id)
    return {"id": found.id, "name": found.name}


def rename(item_id, name):
    db.session.get(Item, item_id).name = name
    db.session.commit()
"""


def check_refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """One line on stderr that holds the words, nothing on stdout, and the exit code."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "failed inside" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder but git's, ours and compiled ones, byte for byte."""
    left_out = {".git", ".cache-strategy", "__pycache__"}
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if left_out & set(path.parts):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "cache_strategy", *map(str, arguments)]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), **(more or {})}


def as_ordinary_user(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line where the modes of files count, for root too: root reads and writes all by two capabilities."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=_give_up_privileges if os.geteuid() == 0 else None,
    )


def _give_up_privileges() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        if library.prctl(CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "a capability cannot be given up")
