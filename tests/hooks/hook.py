"""Runs the guard as the client does: the command of hooks.json, an event on standard input, a project folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Said(NamedTuple):
    """What came back. `decision` is "deny", "ask" or ""; `reason` reaches the model, `message` the user."""

    stdout: str
    decision: str
    reason: str
    context: str
    message: str


def pythons() -> list[str]:
    """The interpreters from 3.9 on that this machine has, the one of the tests first."""
    found = [sys.executable]
    for minor in range(9, 15):
        program = shutil.which(f"python3.{minor}")
        if program is None or minor == sys.version_info.minor:
            continue
        # A version manager's shim needs its surroundings, which a hook's process does not get.
        itself = subprocess.run(
            [program, "-I", "-S", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
        )
        if itself.returncode == 0:
            found.append(itself.stdout.strip())
    return found


def handler(event: str = "PreToolUse", *, plugin: Path = ROOT) -> dict[str, Any]:
    """The one handler that hooks.json has for an event."""
    groups = json.loads((plugin / "hooks" / "hooks.json").read_text(encoding="utf-8"))["hooks"][event]
    (group,) = groups
    (found,) = group["hooks"]
    return dict(found)


def run(
    stdin: bytes, project: Path, *, plugin: Path = ROOT, python: str = "", data: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """One run of the hook's own command with an environment of its own; `data` is the plugin's data folder."""
    given = handler(plugin=plugin)
    command = [
        given["command"],
        *(arg.replace("${CLAUDE_PLUGIN_ROOT}", str(plugin)) for arg in given["args"]),
    ]
    if command[0] == "python3":
        command[0] = python or sys.executable
    environment = {
        "PATH": "/usr/bin:/bin",
        "CLAUDE_PROJECT_DIR": str(project),
        "CLAUDE_PLUGIN_ROOT": str(plugin),
    }
    if data is not None:
        environment["CLAUDE_PLUGIN_DATA"] = str(data)
    return subprocess.run(command, input=stdin, capture_output=True, cwd=project, env=environment, timeout=60)


def event(tool: str, project: Path, **given: object) -> dict[str, Any]:
    """A PreToolUse event as the client sends it."""
    return {
        "session_id": "11111111-2222-3333-4444-555555555555",
        "transcript_path": "/nonexistent.jsonl",
        "cwd": str(project),
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_input": given,
        "tool_use_id": "toolu_1",
    }


def said(done: subprocess.CompletedProcess[bytes]) -> Said:
    """What a run said; asserts what every run keeps: exit code 0, no words on stderr, nothing or one JSON object."""
    assert done.returncode == 0, done
    assert done.stderr == b"", done.stderr
    text = done.stdout.decode("utf-8")
    if not text:
        return Said("", "", "", "", "")
    answer = json.loads(text)
    specific = answer.get("hookSpecificOutput", {})
    return Said(
        text,
        specific.get("permissionDecision", ""),
        specific.get("permissionDecisionReason", ""),
        specific.get("additionalContext", ""),
        answer.get("systemMessage", ""),
    )


def ask(tool: str, project: Path, *, python: str = "", **given: object) -> Said:
    """What the guard says to a tool call."""
    return said(run(json.dumps(event(tool, project, **given)).encode(), project, python=python))
