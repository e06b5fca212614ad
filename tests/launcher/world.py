"""Starts of the launcher in a world of the test's own: its HOME, its PATH, its data folder."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "scripts" / "cache-strategy"


def load(path: Path):
    """A script without an ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.name.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class World:
    """
    Where a launcher is started.

    Caches of uv and pip are the machine's, so that a cold start seldom downloads. PATH is empty but for uv,
    where that is wanted.
    """

    def __init__(self, folder: Path, *, uv: bool) -> None:
        self.data = folder / "plugin data"
        self.home = folder / "home"
        self.programs = folder / "programs"
        for made in (self.home, self.programs):
            made.mkdir(parents=True)
        if uv:
            (self.programs / "uv").symlink_to(find_uv_bin())

    def environment(self, **more: str) -> dict[str, str]:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        kept = ("PIP_", "UV_", "SSL_", "HTTP_", "HTTPS_", "http_", "https_", "NO_PROXY", "no_proxy")
        return {
            **{name: value for name, value in os.environ.items() if name.startswith(kept)},
            "HOME": str(self.home),
            "PATH": str(self.programs),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(caches / "uv")),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(caches / "pip")),
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(LAUNCHER), "--data-dir", str(self.data), *arguments]

    def start(
        self, *arguments: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*(arguments or ("--help",))),
            env=self.environment(**(more or {})),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @property
    def environments(self) -> list[Path]:
        """The builds, finished or not."""
        return [path for path in (self.data / "environments").iterdir() if path.is_dir()]
