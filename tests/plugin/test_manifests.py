"""Manifests, commands and agents as files: what the client's own validation does not look at."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from bundle import ROOT, front_matter

COMMANDS = sorted((ROOT / "commands").glob("*.md"))
AGENTS = sorted((ROOT / "agents").glob("*.md"))
LAUNCHER = '"${CLAUDE_PLUGIN_ROOT}/scripts/cache-strategy" --data-dir "${CLAUDE_PLUGIN_DATA}"'
TOOLS = {"Bash", "Read", "Glob", "Grep", "Write", "Edit"}
COLORS = {"red", "blue", "green", "yellow", "purple", "orange", "pink", "cyan"}


@pytest.fixture(scope="module")
def verbs() -> set[str]:
    """Every verb of the command line, as `run` or `hookify propose`."""

    def listed(*group: str) -> list[str]:
        command = [sys.executable, "-m", "cache_strategy", *group, "--help"]
        done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return re.findall(r"^  ([a-z]+)(?:  |$)", done.stdout.split("Commands:")[-1], re.MULTILINE)

    return {*listed(), *(f"hookify {verb}" for verb in listed("hookify"))}


def test_the_plugin_and_its_marketplace_agree():
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())
    marketplace = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_text())
    (entry,) = marketplace["plugins"]

    assert (marketplace["name"], entry["name"], plugin["name"]) == ("cc-plugins", "optimize", "optimize")
    assert entry["source"] == "./"
    assert "version" not in entry  # plugin.json is the only place with a version
    assert entry["description"] == plugin["description"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", plugin["version"])


def test_the_commands_and_agents_are_those_of_the_blueprint():
    hookify = {"hookify", "hookify-configure", "hookify-help", "hookify-list"}
    assert {file.stem for file in COMMANDS} == {"cache-strategy", *hookify}
    assert [file.stem for file in AGENTS] == ["cache-strategist", "conversation-analyzer"]


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.stem)
def test_a_command_says_what_the_client_needs(file, verbs):
    fields, body = front_matter(file)

    assert fields["name"] == file.stem  # else the short form is an unknown command
    assert 20 < len(fields["description"]) < 160  # the model reads all of them on every session
    assert isinstance(fields.get("argument-hint", ""), str)
    assert not re.search(r"\$\d", body)  # would be taken for an argument
    assert not re.search(r"(^|\s)!`", body)  # a failing injection would end the command in silence
    for rule in re.findall(r"Bash\((.*?):\*\)", fields.get("allowed-tools", "")):
        assert rule.startswith(LAUNCHER + " ")  # quotes and all: the client compares texts
        assert rule[len(LAUNCHER) + 1 :] in verbs
        assert LAUNCHER in body


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.stem)
def test_a_command_lets_nothing_write_or_run_a_users_command_unasked(file):
    fields, _ = front_matter(file)

    allowed = fields.get("allowed-tools", "")
    for verb in ("emit", "verify", "record", "hookify write"):
        assert f"{verb}:*" not in allowed
    assert not re.search(r"\b(Write|Edit)\b", allowed)


@pytest.mark.parametrize("file", AGENTS, ids=lambda file: file.stem)
def test_an_agent_says_what_the_client_needs(file):
    fields, body = front_matter(file)

    assert fields["name"] == file.stem
    assert fields["description"].startswith("Use this agent")
    assert set(re.split(r",\s*", fields["tools"])) <= TOOLS
    assert fields["color"] in COLORS
    assert LAUNCHER in body


@pytest.mark.parametrize("file", [*COMMANDS, *AGENTS], ids=lambda file: file.stem)
def test_every_verb_that_a_text_names_exists(file, verbs):
    _, body = front_matter(file)

    named = re.findall(r"`(?:cache-strategy )?((?:hookify )?[a-z]+)[^`]*`", body)
    known = {verb.split()[0] for verb in verbs}
    for words in named:
        if words.split()[0] in known and words != "hookify":
            assert words in verbs, words
    for words in re.findall(r"cache-strategy ((?:hookify )?[a-z]+)", body):
        assert words in verbs, words
