"""What a transcript holds: the calls, how they ended, what a person wrote and did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "failed", "refused", "rejected", "interrupted"]
"""ok: no sign of anything else. refused: by a permission rule or a hook. rejected: by the user, in the dialog or with Esc."""

Provenance = Literal["typed", "queued", "command", "program", "memory"]
"""
queued: typed while the agent worked. command: arguments of a slash command. program: given by `claude -p` or an SDK.
memory: typed with "#", which clients up to 1.0 put into the project's memory.
"""


def text_of(value: object) -> str:
    """A text, "" for anything else: no field of a record is sure to be one."""
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class ToolCall:
    """
    One call of a tool, with how it ended.

    `line` is where the call stands, `result_line` where its result does (0: none). `reason` is what the user typed when
    rejecting, `error` the beginning of what a failed call answered. `before` is the file's content before an Edit or
    Write, where the transcript has it and it speaks of caching. `order` counts the calls of a session,
    `stems` are the words of what it did, once they were asked for.
    """

    key: str
    tool: str
    input: Mapping[str, Any]
    file: str
    line: int
    order: int
    cwd: str
    outcome: Outcome = "ok"
    result_line: int = 0
    reason: str = ""
    error: str = ""
    before: str | None = None
    user_modified: bool = False
    stems: frozenset[str] | None = field(default=None, repr=False, compare=False)

    @property
    def command(self) -> str:
        """The shell command, "" for other tools."""
        return text_of(self.input.get("command")) if self.tool == "Bash" else ""

    @property
    def path(self) -> str:
        """The file that the call changes, "" for other tools."""
        if self.tool in ("Edit", "Write", "MultiEdit"):
            return text_of(self.input.get("file_path"))
        return text_of(self.input.get("notebook_path")) if self.tool == "NotebookEdit" else ""

    def replacements(self) -> list[tuple[str, str]]:
        """The pairs (old text, new text) of a file change; Write has "" or the known earlier content as old text."""
        if self.tool == "Write":
            return [(self.before or "", text_of(self.input.get("content")))]
        if self.tool == "NotebookEdit":
            return [("", text_of(self.input.get("new_source")))]
        edits = self.input.get("edits") if self.tool == "MultiEdit" else [self.input]
        if self.tool not in ("Edit", "MultiEdit") or not isinstance(edits, list):
            return []
        pairs = [e for e in edits if isinstance(e, Mapping)]
        return [(text_of(e.get("old_string")), text_of(e.get("new_string"))) for e in pairs]


@dataclass(slots=True)
class Prompt:
    """
    Something a person wrote. `first` is true where nothing had been done yet; `calls_before` counts the calls so far.

    `before` is the end of what the agent said last, `answer` the beginning of what it said next.
    """

    text: str
    provenance: Provenance
    file: str
    line: int
    first: bool = False
    after_interrupt: bool = False
    calls_before: int = 0
    before: str = ""
    answer: str = ""


@dataclass(slots=True)
class UserDeed:
    """What the user did beside the conversation: a `command` run with `!`, or a file changed, with a `snippet` of it now."""

    line: int
    calls_before: int
    command: str = ""
    path: str = ""
    snippet: str = ""


@dataclass(slots=True)
class Session:
    """
    One transcript file: its calls, its prompts and the user's own deeds, each in order.

    The first `copied` of the calls were made in an earlier file that this one goes on from: what is said here may be
    about them, but they count there.
    """

    id: str
    file: str
    calls: list[ToolCall] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    deeds: list[UserDeed] = field(default_factory=list)
    copied: int = 0

    @property
    def own_calls(self) -> list[ToolCall]:
        """The calls that were made in this file."""
        return self.calls[self.copied :] if self.copied else self.calls
