"""A git revision to compare with: which files have changed since, and what they were."""

import os
import subprocess
from pathlib import Path

from cache_strategy.lint.walk import read_bytes
from cache_strategy.model.errors import CacheStrategyError

_SECONDS = 120


class Revision:
    """
    A commit of the repository that holds `root`.

    Raises:
        CacheStrategyError: no git, no repository, no such revision.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.root = root
        if not name or name.startswith("-") or "\0" in name:
            raise CacheStrategyError(
                f"--diff {name!r}: not a revision; write a commit, a tag or a branch, for example main."
            )
        found = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if found is None and name == "HEAD" and self._git("rev-parse", "--git-dir") is not None:
            # A repository without a commit: everything is new.
            found = self._git("hash-object", "-t", "tree", os.devnull)
        if found is None:
            inside = self._git("rev-parse", "--git-dir") is not None
            what = f"{name}: no such revision" if inside else f"{root}: not inside a git repository"
            raise CacheStrategyError(f"--diff {what}; it needs a commit of the repository to compare with.")
        self.commit = found.decode("ascii").strip()

    def changed(self) -> dict[str, str]:
        """Path as it is to path as it was, both from `root`, of the files that differ; "" for a new file."""
        listed = self._git(
            "diff", "--name-status", "-z", "-M", "--relative", "--no-ext-diff", self.commit, "--", "."
        )
        fields = (listed or b"").split(b"\0")
        found: dict[str, str] = {}
        while len(fields) > 1:
            status, path = fields.pop(0)[:1], os.fsdecode(fields.pop(0))
            if status in (b"R", b"C"):
                new = os.fsdecode(fields.pop(0))
                found[new] = path if status == b"R" else ""
            elif status != b"D":
                found[path] = "" if status == b"A" else path
        untracked = self._git("ls-files", "--others", "--exclude-standard", "-z", "--", ".")
        for name in (untracked or b"").split(b"\0"):
            if name:
                found.setdefault(os.fsdecode(name), "")
        return found

    def content(self, path: str) -> bytes | None:
        """A file as it was, None where it was not."""
        return self._git("show", "--no-textconv", f"{self.commit}:./{path}")

    def versions(self, path: str, was: str) -> tuple[bytes | None, bytes]:
        """A file as it was (None for a new one) and as it is."""
        return (self.content(was) if was else None), read_bytes(self.root / path, self.root)

    def _git(self, *arguments: str) -> bytes | None:
        """The output of a git command, None when it fails."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        try:
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments],
                cwd=self.root,
                env={**environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
            )
        except FileNotFoundError:
            raise CacheStrategyError(
                "--diff needs git, which is not on PATH. Install git, or leave --diff out."
            ) from None
        except subprocess.TimeoutExpired:
            raise CacheStrategyError(
                f"--diff: git took longer than {_SECONDS} s; name fewer paths."
            ) from None
        return done.stdout if done.returncode == 0 else None
