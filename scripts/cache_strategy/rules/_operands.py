"""What a condition of the user's rule is compared with: the fields of a hook event, by hookify's names."""

from __future__ import annotations

from cache_strategy.rules.event import FILE_TOOLS, read_text, resolved_path
from cache_strategy.syntax import patterns
from cache_strategy.syntax.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any, NamedTuple, Optional

    from cache_strategy.rules.event import Event

    class Operand(NamedTuple):
        text: str
        replaced: str
else:
    # A text, and the text that it replaces ("" where it replaces nothing): what is in both was there before.
    Operand = record(__name__, "Operand", "text replaced")

_NEW = frozenset(("new_text", "new_string", "content", "added_code"))
_OLD = frozenset(("old_text", "old_string"))
_SIMPLE = {
    "bash": "command",
    "file": "new_text",
    "prompt": "user_prompt",
    "stop": "last_assistant_message",
    "other": "content",
}
_TRANSCRIPT_LIMIT = 8_000_000
_QUOTED = r"\"\"\"(?:.*?\"\"\"|.*\Z)|'''(?:.*?'''|.*\Z)|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
_SLASHES = dict.fromkeys(
    "js jsx ts tsx mjs cjs java kt go rs c h cc cpp hpp cs swift scala php dart vue svelte".split(), "//"
)
_HASHES = dict.fromkeys("py pyi ipynb rb sh bash zsh yml yaml toml pl r ex exs tf".split(), "#")
_MARKS = {**_SLASHES, **_HASHES, "sql": "--", "lua": "--", "css": "(?!)", "scss": "//"}
# Files whose text is no code at all.
_PROSE = frozenset("md markdown rst txt adoc log csv".split())


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
    if field in ("transcript", "commands_since_edit") and event.get("transcript_path"):
        calls = _tool_calls(str(event["transcript_path"]))
        return _commands_since_edit(calls) if field != "transcript" else [Operand(_told(calls), "")]
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
    if field == "added_code":
        path = str(given.get("notebook_path" if tool == "NotebookEdit" else "file_path"))
        return [Operand(code_of(new, path), code_of(old, path)) for new, old in pairs]
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


def code_of(text: str, path: str) -> str:
    """A text without comments and the content of strings, by the kind of file; prose and data have none."""
    kind = path.rpartition(".")[2].lower()
    marks = _MARKS.get(kind)
    if marks is None:
        return "" if kind in _PROSE else text
    return patterns.sub(rf"{_QUOTED}|(?:{marks})[^\n]*|/\*.*?(?:\*/|\Z)", _emptied, text, flags=patterns.S)


def _emptied(found: "re.Match[str]") -> str:
    """Two quotation marks for a string, white space for a comment."""
    mark = found.group()[:1]
    return mark * 2 if mark in "\"'`" else " "


def _tool_calls(path: str) -> "list[tuple[str, Any]]":
    """
    What the agent did, from the end of a transcript: (name, input) of its tool calls; ("", text) of foreign lines and
    ("", None) where a prompt begins a new turn.

    Prompts and answers are left out: a rule that asks for tests must not be content with the word in a prompt.
    """
    import json
    import os

    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TRANSCRIPT_LIMIT))
            lines = file.read(_TRANSCRIPT_LIMIT).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []
    calls: "list[tuple[str, Any]]" = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or "type" not in record:
            calls.append(("", line))
            continue
        message = record.get("message")
        said = message.get("content") if isinstance(message, dict) else None
        if record["type"] == "user" and isinstance(said, str) and record.get("isMeta") is not True:
            calls.append(("", None))
        blocks = said if record["type"] == "assistant" else None
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_use":
                calls.append((str(block.get("name")), block.get("input")))
    return calls


def _told(calls: "list[tuple[str, Any]]") -> str:
    """The names and texts of calls, one per line."""
    rows = []
    for name, given in calls:
        rows += [name, *_strings(given)] if name else _strings(given)
    return "\n".join(rows)


def _commands_since_edit(calls: "list[tuple[str, Any]]") -> "list[Operand]":
    """The commands that were run after the turn's last change of a file, one per line; nothing where none was changed."""
    commands: "Optional[list[str]]" = None
    for name, given in calls:
        if given is None and not name:
            commands = None
        elif name in FILE_TOOLS:
            commands = []
        elif name == "Bash" and commands is not None and isinstance(given, dict):
            commands.append(_string(given, "command"))
    return [] if commands is None else [Operand("\n".join(commands), "")]


def _strings(value: "Any") -> "list[str]":
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
