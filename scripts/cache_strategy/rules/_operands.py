"""What a condition of the user's rule is compared with: the fields of a hook event, by hookify's names."""

from __future__ import annotations

from collections import namedtuple

from cache_strategy.rules.event import read_text, resolved_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from cache_strategy.rules.event import Event

    class Operand(NamedTuple):
        text: str
        replaced: str
else:
    # A text, and the text that it replaces ("" where it replaces nothing): what is in both was there before.
    Operand = namedtuple("Operand", "text replaced")

_NEW = frozenset(("new_text", "new_string", "content"))
_OLD = frozenset(("old_text", "old_string"))
_SIMPLE = {
    "bash": "command",
    "file": "new_text",
    "prompt": "user_prompt",
    "stop": "last_assistant_message",
    "other": "content",
}
_TRANSCRIPT_LIMIT = 8_000_000


def operands_of(field: str, kind: str, event: "Event") -> "list[Operand]":
    """
    The texts that a field stands for: one, or one per part of a MultiEdit; none where the event lacks the field.

    `field` "" is the simple pattern's: the command, the new text, the prompt, the last words.
    """
    simple = not field
    field = field or _SIMPLE[kind]
    given = event.get("tool_input")
    given = given if isinstance(given, dict) else {}
    if kind == "file":
        found = _of_a_file_tool(field, str(event.get("tool_name")), given, event)
        if found is not None:
            return found
    if field in given:
        value = given[field]
        return [Operand(value if isinstance(value, str) else str(value), "")]
    if field == "tool_name" and isinstance(event.get("tool_name"), str):
        return [Operand(str(event["tool_name"]), "")]
    if field in ("user_prompt", "prompt"):
        text = event.get("prompt", event.get("user_prompt"))
        return [Operand(text, "")] if isinstance(text, str) else []
    if field == "reason":
        return [Operand(str(event.get("reason") or ""), "")]
    if field == "last_assistant_message":
        text = event.get(field)
        return [Operand(text if isinstance(text, str) else "", "")] if kind == "stop" or not simple else []
    if field == "transcript" and event.get("transcript_path"):
        return [Operand(_tool_calls(str(event["transcript_path"])), "")]
    return []


def _of_a_file_tool(field: str, tool: str, given: "dict[str, Any]", event: "Event") -> "list[Operand] | None":
    """The texts of the fields that all file tools have; None for any other field."""
    if field in ("file_path", "notebook_path"):
        path = given.get("notebook_path" if tool == "NotebookEdit" else "file_path")
        if not isinstance(path, str):
            return []
        return [Operand(path, "")] + ([Operand(path.replace("\\", "/"), "")] if "\\" in path else [])
    if field not in _NEW and field not in _OLD:
        return None
    pairs = list(_replacements(tool, given, event))
    if field in _OLD:
        return [Operand(old, "") for _, old in pairs] if tool != "Write" else [Operand("", "")]
    return [Operand(new, old) for new, old in pairs]


def _replacements(tool: str, given: "dict[str, Any]", event: "Event") -> "list[tuple[str, str]]":
    """(new text, text that it replaces) of every part of the call."""
    if tool == "Write":
        before = read_text(resolved_path(event, "file_path"))
        return [(_string(given, "content"), before or "")]
    if tool == "NotebookEdit":
        return [(_string(given, "new_source"), "")]
    edits = given.get("edits") if tool == "MultiEdit" else [given]
    return [
        (_string(edit, "new_string"), _string(edit, "old_string"))
        for edit in (edits if isinstance(edits, list) else [])
        if isinstance(edit, dict)
    ]


def _string(mapping: "dict[str, Any]", key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _tool_calls(path: str) -> str:
    """
    What the agent did, from the end of a transcript: names and inputs of its tool calls, one per line.

    Prompts and answers are left out: a rule that asks for tests must not be content with the word in a prompt.
    """
    import json
    import os

    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TRANSCRIPT_LIMIT))
            lines = file.read(_TRANSCRIPT_LIMIT).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return ""
    said = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or "type" not in record:
            said.append(line)
            continue
        message = record.get("message")
        blocks = (
            message.get("content") if isinstance(message, dict) and record["type"] == "assistant" else None
        )
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_use":
                said.append(str(block.get("name")))
                said.extend(_strings(block.get("input")))
    return "\n".join(said)


def _strings(value: "Any") -> "list[str]":
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
