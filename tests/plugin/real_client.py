"""
The real Claude Code client, driven offline: a HOME and a project of its own, a scripted model, no network.

Nothing of the person who runs the tests reaches it: neither settings nor variables nor credentials.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripted_model import Request, ScriptedModel, Turn

# How this machine reaches its package index; the launcher installs below the client.
INSTALLERS = ("PIP_", "PYENV_ROOT", "SSL_CERT_", "UV_")


class Answer(NamedTuple):
    """What came back for one tool call."""

    text: str
    is_error: bool


class Conversation(NamedTuple):
    """One run of the client: what it printed, and what it asked the model."""

    events: list[dict[str, Any]]
    requests: list[Request]

    @property
    def answers(self) -> list[Answer]:
        """The results of the main conversation's tool calls, in order."""
        blocks = [
            block
            for event in self.events
            if event["type"] == "user" and not event.get("parent_tool_use_id")
            for block in event["message"]["content"]
            if isinstance(block, dict) and block["type"] == "tool_result"
        ]
        texts = [block["content"] for block in blocks]
        return [
            Answer(text if isinstance(text, str) else json.dumps(text), bool(block.get("is_error")))
            for text, block in zip(texts, blocks, strict=True)
        ]

    @property
    def denials(self) -> list[str]:
        """The tools of refused calls, by a hook or for want of permission, in order."""
        results = [event for event in self.events if event["type"] == "result"]
        return [denial["tool_name"] for event in results for denial in event.get("permission_denials", [])]

    @property
    def hook_outputs(self) -> list[str]:
        """What the hook printed at each tool call, in order."""
        return self.outputs_at("PreToolUse")

    def outputs_at(self, hook_event: str) -> list[str]:
        """What the hook printed at each event of a kind, in order."""
        runs = [event for event in self.events if event.get("subtype") == "hook_response"]
        return [run.get("output", "") for run in runs if run["hook_event"] == hook_event]


def rejection(request: str, reason: str) -> str:
    """The answer "no" to a question for permission, in the words in which the client's own dialog passes it on."""
    said = "The user doesn't want to proceed with this tool use. The tool use was rejected. "
    said += f"To tell you how to proceed, the user said:\n{reason}"
    answer = {"subtype": "success", "request_id": request, "response": {"behavior": "deny", "message": said}}
    return json.dumps({"type": "control_response", "response": answer})


class Client:
    """The real client with a HOME and a project of its own below `folder`."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.home = folder / "home"
        self.project = folder / "project"
        self.home.mkdir()
        self.project.mkdir()

    def environment(self, url: str = "http://127.0.0.1:9") -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "sk-dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"),
            **{name: os.environ[name] for name in os.environ if name.startswith(INSTALLERS)},
        }

    def command(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`claude plugin …` and its like."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=cwd or self.project,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def converse(
        self,
        *prompts: str,
        turns: Sequence[Turn] = (),
        lanes: Mapping[str, Sequence[Turn]] | None = None,
        plugin: Path | None = None,
        allowed: Sequence[str] = (),
        rejecting: str = "",
    ) -> Conversation:
        """
        Type prompts into one session, while the model plays its turns.

        Args:
            plugin: a bundle to load for this session; None for what is installed.
            allowed: permission rules, as for --allowedTools.
            rejecting: what the user says to every call that needs a permission; "" where nobody is there to say it.
        """
        command = [self.program, "-p", "--input-format", "stream-json", "--output-format", "stream-json"]
        command += ["--verbose", "--include-hook-events", "--permission-mode", "acceptEdits"]
        command += ["--plugin-dir", str(plugin)] if plugin else []
        command += ["--permission-prompt-tool", "stdio"] if rejecting else []
        command += ["--allowedTools", *allowed] if allowed else []
        events: list[dict[str, Any]] = []
        with ScriptedModel(turns, lanes) as model, (self.home / "stderr").open("w+") as errors:
            talk = subprocess.Popen(
                command,
                cwd=self.project,
                env=self.environment(model.url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert talk.stdin and talk.stdout
            for prompt in prompts:  # each after the answer to the one before, as people type
                line = {"type": "user", "message": {"role": "user", "content": prompt}}
                talk.stdin.write(json.dumps(line) + "\n")
                talk.stdin.flush()
                for answer in talk.stdout:
                    events.append(json.loads(answer))
                    if events[-1]["type"] == "control_request":
                        talk.stdin.write(rejection(events[-1]["request_id"], rejecting) + "\n")
                        talk.stdin.flush()
                    if events[-1]["type"] == "result":
                        break
            talk.stdin.close()
            events += [json.loads(answer) for answer in talk.stdout]
            talk.stdout.close()
            code = talk.wait(60)
            errors.seek(0)
            assert code == 0, errors.read()
        return Conversation(events, model.requests)

    def file(self, name: str, text: str) -> Path:
        """A file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
