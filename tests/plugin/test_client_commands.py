"""The commands and agents in the real client: what reaches the model."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from bundle import ROOT

pytestmark = pytest.mark.client

COMMANDS = {
    "cache-strategy": "# A caching strategy",
    "hookify": "# Rules from experience",
    "hookify-list": "hookify list",
    "hookify-configure": "Never delete a rule",
    "hookify-help": "Run nothing",
}


def typed_text(request) -> str:
    """What the last user message of a request says."""
    last = [message for message in request.body["messages"] if message["role"] == "user"][-1]
    content = last["content"]
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)


def test_each_command_reaches_the_model_by_its_short_and_by_its_full_name(client):
    names = [f"{prefix}{name}" for name in COMMANDS for prefix in ("/", "/optimize:")]
    prompts = [f'{name} src "two words" $HOME' for name in names]

    talk = client.converse(*prompts, turns=["read"] * len(prompts), plugin=ROOT)

    assert len(talk.requests) == len(prompts)
    for prompt, request in zip(prompts, talk.requests, strict=True):
        text, stem = typed_text(request), prompt.split()[0].split(":")[-1].lstrip("/")
        assert f"<command-name>/optimize:{stem}</command-name>" in text
        assert '<command-args>src "two words" $HOME</command-args>' in text
        assert COMMANDS[stem] in text
        assert "${CLAUDE" not in text and "$ARGUMENTS" not in text
        if stem in ("cache-strategy", "hookify", "hookify-configure"):
            assert '<arguments>src "two words" $HOME</arguments>' in text
        if stem != "hookify-help":
            data = client.home / ".claude" / "plugins" / "data" / "optimize-inline"
            assert f'"{ROOT}/scripts/cache-strategy" --data-dir "{data}"' in text


def test_the_model_may_run_what_a_command_names_and_is_asked_before_anything_is_written(client):
    shutil.copytree(ROOT / "tests" / "apps" / "flask_shop", client.project, dirs_exist_ok=True)
    script = (
        f'"{ROOT}/scripts/cache-strategy" --data-dir "{client.home}/.claude/plugins/data/optimize-inline"'
    )
    commands = [f"{script} run .", f"{script} emit . --apply", f"{script} verify -- touch written"]
    calls = [{"tools": [{"name": "Bash", "input": {"command": command}}]} for command in commands]

    talk = client.converse("/cache-strategy .", turns=[*calls, "done"], plugin=ROOT)

    ran, emitted, verified = talk.answers
    assert not ran.is_error and "ready after" in ran.text, ran.text
    assert (client.project / ".cache-strategy" / "report.md").exists()
    assert emitted.is_error and verified.is_error and talk.denials == ["Bash", "Bash"]


def test_the_agents_are_offered_under_their_full_names_with_their_tools_only(client):
    def call(kind: str) -> dict:
        work = {"description": "Judge", "prompt": "Judge this.", "subagent_type": f"optimize:{kind}"}
        return {"tools": [{"name": "Agent", "input": work}]}

    talk = client.converse(
        "go",
        turns=[call("cache-strategist"), call("conversation-analyzer"), "done"],
        lanes={"You judge caches": ["kept one"], "You read past conversations": ["found one"]},
        plugin=ROOT,
    )

    offered = talk.requests[0].text
    assert re.search(r"optimize:cache-strategist: Use this agent to judge", offered)
    assert re.search(r"optimize:conversation-analyzer: Use this agent to look back", offered)
    assert [answer.is_error for answer in talk.answers] == [False, False]
    for request, tools in (("You judge caches", {"Bash", "Read"}), ("You read past", {"Bash", "Read"})):
        sent = next(r for r in talk.requests if r.lane and r.lane.startswith(request))
        offered_tools = {tool["name"] for tool in sent.body["tools"]}
        assert tools <= offered_tools <= tools | {"Glob", "Grep"}
        system = json.dumps(sent.body["system"])
        assert "${CLAUDE" not in system and str(Path(ROOT) / "scripts" / "cache-strategy") in system
