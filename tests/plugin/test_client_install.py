"""Validation and installation by the real client, from a folder and from a git repository."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from bundle import ROOT, copy_bundle

pytestmark = pytest.mark.client


@pytest.mark.parametrize("manifest", ["plugin.json", "marketplace.json"])
def test_the_client_finds_nothing_wrong_with_the_bundle(client, manifest):
    done = client.command("plugin", "validate", "--strict", str(ROOT / ".claude-plugin" / manifest))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation passed" in done.stdout


def install(client, source: str, cwd=None) -> dict:
    """Add the marketplace and install the plugin; the plugin as the client then lists it."""
    for arguments in (("marketplace", "add", source), ("install", "optimize@cc-plugins")):
        done = client.command("plugin", *arguments, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(client.command("plugin", "list", "--json").stdout)[0]


def launcher_in(text: str) -> str:
    """The path of the launcher that a command's text names."""
    found = re.search(r'"([^"]+/scripts/cache-strategy)"', text.replace('\\"', '"'))
    assert found, text[-3000:]
    return found[1]


def check_it_works(client) -> str:
    """Both names of a command and the guard work from what is installed; the launcher that is run."""
    flush = {"name": "Bash", "input": {"command": "redis-cli -p 9 FLUSHALL"}}
    talk = client.converse(
        "/cache-strategy src",
        "/optimize:hookify",
        turns=[{"tools": [flush]}, "stopped", "read"],
        allowed=["Bash"],
    )
    assert "# A caching strategy" in talk.requests[0].text
    assert "# Rules from experience" in talk.requests[-1].text
    assert talk.answers[0].is_error and "Fix: " in talk.answers[0].text
    launcher = launcher_in(talk.requests[0].text)
    done = subprocess.run([launcher, "--help"], env=client.environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "verify" in done.stdout
    return launcher


def test_it_is_installed_from_a_folder_and_works_there(client, tmp_path):
    folder = copy_bundle(tmp_path / "a checkout")

    listed = install(client, "./", cwd=folder)

    assert listed["id"] == "optimize@cc-plugins" and listed["enabled"]
    assert check_it_works(client).startswith(str(folder))


def test_it_is_installed_from_a_git_repository_and_works_there(client, tmp_path):
    folder = copy_bundle(tmp_path / "origin")
    git = ["git", "-c", "user.name=Shop", "-c", "user.email=shop@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "The plugin"]):
        subprocess.run([*git, *command], cwd=folder, check=True, env=client.environment())
    (client.home / ".gitconfig").write_text(
        f'[url "{folder}"]\n\tinsteadOf = https://git.example/cc-plugins.git\n'
    )

    listed = install(client, "https://git.example/cc-plugins.git")

    assert listed["id"] == "optimize@cc-plugins" and listed["enabled"]
    assert check_it_works(client).startswith(str(client.home / ".claude" / "plugins" / "cache"))
