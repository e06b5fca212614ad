"""
What a tool call does: the files it changes, as they are and as they will be.

Source: the input of PreToolUse hooks by tool. Edit and MultiEdit carry fragments only, so the file is read
from disk and the replacement is applied here. Paths come from the client and are not trusted: only regular
files are read, and at most `LIMIT` bytes.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cache_strategy.rules._base import Finding
    from cache_strategy.rules.index.store import ProjectIndex

    Event = dict[str, Any]
    FileChange = tuple[str, "str | None", str]

# A larger file is data, and reading it would be felt.
LIMIT = 2_000_000
FILE_TOOLS = ("Write", "Edit", "MultiEdit", "NotebookEdit")


def read_text(path: str) -> "str | None":
    """The text of a regular file with `\\n` line ends, or None: absent, not a file, too large, not readable."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1)
    except (OSError, ValueError):
        return None
    if len(data) > LIMIT:
        return None
    return data.decode("utf-8-sig", "replace").replace("\r\n", "\n")


def resolved_path(event: "Event", key: str) -> str:
    """A path of the call's input, from the session's folder where it is relative; "" where there is none."""
    given = event.get("tool_input")
    path = _text(given, key) if isinstance(given, dict) else ""
    return os.path.join(_text(event, "cwd"), path) if path else ""


def check_event(event: "Event", project: str = "", data: str = "") -> "list[Finding]":
    """
    What a tool call would bring: findings of its command, or of every file that it changes.

    Paths below `project` are given relative to it. The project's index is looked for in the plugin's folder `data`.
    """
    from cache_strategy.rules import check_command

    project = project or _text(event, "cwd")
    command = command_of(event)
    found = check_command(command) if command else []
    for path, before, after in all_changes_of(event):
        found += check_file(shown_path(path, project), before, after, project, data)
    return found


def check_file(shown: str, before: "str | None", after: str, project: str, data: str) -> "list[Finding]":
    """What a change of one file brings."""
    from cache_strategy.rules import check_change

    def known() -> "ProjectIndex | None":
        from cache_strategy.rules.index.store import load_index

        return load_index(project, data)

    mine = data and shown.endswith(".py") and not os.path.isabs(shown)
    return check_change(before, after, shown, known if mine else None)


def command_of(event: "Event") -> str:
    """The command of a Bash call, else ""."""
    given = event.get("tool_input")
    return _text(given, "command") if event.get("tool_name") == "Bash" and isinstance(given, dict) else ""


def all_changes_of(event: "Event") -> "list[FileChange]":
    """The files that a call changes, as a file tool or through a command."""
    command = command_of(event)
    if not command:
        return changes_of(event)
    if not any(ending in command for ending in (".py", ".conf", ".vcl", ".sql", ".tf", ".yml", ".yaml")):
        return []
    from cache_strategy.rules._written import written_files

    return list(written_files(command, _text(event, "cwd"), read_text))


def shown_path(path: str, project: str) -> str:
    """The path from the project's folder with forward slashes, or the path itself where it leads elsewhere."""
    try:
        shown = os.path.relpath(path, project) if project else path
    except ValueError:
        return path
    return path if shown.startswith("..") else shown.replace(os.sep, "/")


def changes_of(event: "Event") -> "list[FileChange]":
    """
    (path, text as it is or None for a new file, text as it will be) for each file that the call changes.

    Empty for other tools, for a call that the client will refuse, and for files that cannot be judged.
    """
    given = event.get("tool_input")
    if not isinstance(given, dict):
        return []
    tool = event.get("tool_name")
    path = resolved_path(event, "notebook_path" if tool == "NotebookEdit" else "file_path")
    if not path:
        return []
    before = read_text(path)
    if before is None and _exists(path):
        return []
    if tool == "Write":
        after = given.get("content")
    elif tool == "Edit":
        after = _replaced(before, given)
    elif tool == "MultiEdit":
        edits = given.get("edits")
        after = before
        for edit in edits if isinstance(edits, list) else ():
            after = _replaced(after, edit) if isinstance(edit, dict) else None
    elif tool == "NotebookEdit":
        return _notebook_changes(path, before, given)
    else:
        after = None
    if not isinstance(after, str) or len(after) > LIMIT:
        return []
    return [(path, before, after.replace("\r\n", "\n"))]


def _text(mapping: "Event", key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _replaced(text: "str | None", edit: "Event") -> "str | None":
    old = _text(edit, "old_string").replace("\r\n", "\n")
    new = _text(edit, "new_string").replace("\r\n", "\n")
    if not old:
        return new if not text else None
    if text is None or old not in text:
        return None
    return text.replace(old, new) if edit.get("replace_all") is True else text.replace(old, new, 1)


def _notebook_changes(path: str, before: "str | None", given: "Event") -> "list[FileChange]":
    import json

    try:
        cells = json.loads(before or "{}").get("cells")
    except (ValueError, AttributeError, RecursionError):
        cells = None
    sources = [
        [cell.get("id"), cell.get("cell_type"), _source(cell.get("source"))]
        for cell in (cells if isinstance(cells, list) else [])
        if isinstance(cell, dict)
    ]
    new = [given.get("cell_id"), given.get("cell_type") or "code", _text(given, "new_source")]
    position = next((i for i, cell in enumerate(sources) if cell[0] == new[0] and new[0] is not None), None)
    mode = given.get("edit_mode") or "replace"
    changed = list(sources)
    if mode == "insert":
        changed.insert(0 if position is None else position + 1, new)
    elif position is None:
        changed.append(new)
    elif mode == "delete":
        del changed[position]
    else:
        changed[position] = [new[0], given.get("cell_type") or sources[position][1], new[2]]
    return [(path, _code(sources) if before is not None else None, _code(changed))]


def _source(value: "Any") -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _code(cells: "list[list[Any]]") -> str:
    """The code cells as one Python text; lines of the notebook's own language (`%`, `!`) become empty."""
    rows: "list[str]" = []
    for _, kind, source in cells:
        if kind != "code" or source.lstrip().startswith("%%"):
            continue
        rows.extend("" if row.lstrip().startswith(("%", "!")) else row for row in source.split("\n"))
    return "\n".join(rows) + "\n"
