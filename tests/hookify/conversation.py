"""Writes transcripts as the client does, in the form of a given version."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from talks import TALKS

REJECTED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, "
    "the new_string was NOT written to the file). "
)


class Conversation:
    """A transcript in the making. `old` writes what clients before 2.0 wrote: fewer fields."""

    def __init__(self, path: Path, *, old: bool = False, session: str = "5e551011") -> None:
        self.path = path
        self.old = old
        self.session = session
        self.records = 0
        self.lines = 0
        self.path.write_bytes(b"")

    def raw(self, line: bytes) -> int:
        """Any bytes as the next line; gives its number."""
        with self.path.open("ab") as stream:
            stream.write(line)
        self.lines += 1
        return self.lines

    def record(self, type: str, **fields: Any) -> int:
        self.records += 1
        common: dict[str, Any] = {
            "parentUuid": None,
            "isSidechain": False,
            "cwd": "/home/dev/shop",
            "sessionId": self.session,
            "version": "1.0.117" if self.old else "2.1.330",
            "uuid": f"{self.session}-{self.records:04d}",
        }
        text = json.dumps({**common, "type": type, **fields}, ensure_ascii=False, separators=(",", ":"))
        return self.raw(text.encode() + b"\n")

    def say(self, content: Any, **fields: Any) -> int:
        new = {"promptSource": "typed", "permissionMode": "default", "origin": {"kind": "human"}}
        message = {"role": "user", "content": content}
        return self.record("user", message=message, **{**({} if self.old else new), **fields})

    def call(
        self,
        tool: str,
        given: dict[str, Any],
        result: str = "ok",
        *,
        error: bool = False,
        details: Any = None,
        **fields: Any,
    ) -> int:
        """A call and its result; gives the line of the call (its result is the next line)."""
        identity = f"toolu_{self.records:04d}"
        block = {"type": "tool_use", "id": identity, "name": tool, "input": given}
        line = self.record("assistant", message={"role": "assistant", "content": [block]}, **fields)
        answer: dict[str, Any] = {"type": "tool_result", "tool_use_id": identity, "content": result}
        if error or not self.old:
            answer["is_error"] = error
        if not self.old:
            fields["sourceToolAssistantUUID"] = f"{self.session}-{self.records:04d}"
        fields["toolUseResult"] = {"stdout": result} if details is None else details
        self.record("user", message={"role": "user", "content": [answer]}, **fields)
        return line

    def run(self, command: str, result: str = "ok", *, error: bool = False) -> int:
        return self.call("Bash", {"command": command}, result, error=error)

    def fail(self, command: str, error: str) -> int:
        return self.run(command, error, error=True)

    def client(self, fields: dict[str, Any], text: str) -> int:
        """Text that the client put there itself."""
        return self.record("user", message={"content": [{"type": "text", "text": text}]}, **fields)

    def write(self, path: str, content: str) -> int:
        return self.call("Write", {"file_path": path, "content": content}, "created")

    def edit(
        self, path: str, old: str, new: str, original: str | None = None, *, modified: bool = False
    ) -> int:
        details = {"filePath": path, "oldString": old, "newString": new, "userModified": modified}
        if original is not None:
            details["originalFile"] = original
        given = {"file_path": path, "old_string": old, "new_string": new}
        return self.call("Edit", given, "updated", details=details)

    def tell(self, text: str) -> int:
        """What the agent says."""
        content = [{"type": "text", "text": text}]
        return self.record("assistant", message={"role": "assistant", "content": content})

    def reject_together(self, calls: list[tuple[str, dict[str, Any]]]) -> None:
        """Calls of one message, the first recorded after its rejection, all of them rejected without a word."""
        records: list[tuple[str, Any]] = []
        for number, (tool, given) in enumerate(calls):
            block = {"type": "tool_use", "id": f"toolu_x{number}", "name": tool, "input": given}
            answer = {
                "type": "tool_result",
                "tool_use_id": f"toolu_x{number}",
                "content": REJECTED,
                "is_error": True,
            }
            made = ("assistant", {"role": "assistant", "id": "msg_1", "content": [block]})
            said = ("user", {"role": "user", "content": [answer]})
            records += [said, made] if number == 0 else [made, said]
        for kind, message in records:
            self.record(kind, message=message, toolUseResult="User rejected tool use")

    def reject(self, tool: str, given: dict[str, Any], reason: str = "") -> int:
        """A rejected call; gives the line of the rejection."""
        said = (
            f"To tell you how to proceed, the user said:\n{reason}" if reason else "STOP what you are doing."
        )
        details = f"Error: {REJECTED}{said}" if reason else "User rejected tool use"
        self.call(tool, given, REJECTED + said, error=True, details=details)
        line = self.lines
        if not reason:
            self.client({}, "[Request interrupted by user for tool use]")
        return line


def _written() -> Path:
    """A folder with every talk as a transcript, beside the one that the README shows."""
    folder = Path(tempfile.mkdtemp(prefix="talks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copy(Path(__file__).parent / "transcripts" / "caching.jsonl", folder)
    for name, steps in TALKS.items():
        talk = Conversation(folder / f"{name}.jsonl", old=name == "wiped_redis", session=name)
        for step, *given in steps:
            getattr(talk, step)(*given)
    return folder


TRANSCRIPTS = _written()
