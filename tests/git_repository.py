"""Git repositories for tests, independent of the user's settings."""

import os
import subprocess
from pathlib import Path


def commit_all(repository: Path) -> None:
    """Make a folder a git repository with one commit, independent of the user's git settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "Shop"),
        ("config", "user.email", "shop@example.org"),
        ("config", "commit.gpgsign", "false"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "The shop"),
    ):
        subprocess.run(["git", *arguments], cwd=repository, env=environment, check=True, capture_output=True)
