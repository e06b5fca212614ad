"""
What the hookify plugin itself makes of a rule file: its line reader, and whether the rule fires there.

Needed where both plugins are enabled, so that nothing is said twice, and to tell where the two read differently.

Source: its behaviour on 107 inputs (hookify 0.1.0).
"""

from __future__ import annotations

import os
import re

from cache_strategy.rules.event import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional, Union

    from cache_strategy.rules.event import Event

_KINDS = {"Bash": "bash", "Edit": "file", "Write": "file", "MultiEdit": "file"}
_SIMPLE = {"bash": "command", "file": "new_text"}
_NEW, _OLD = ("new_text", "new_string"), ("old_text", "old_string")


def read_like_hookify(raw: str) -> "Optional[dict[str, Any]]":
    """
    The front matter as the hookify plugin's line reader understands it; None where it sees no rule.

    1 the text begins with `---` and is cut at the first two `---` wherever they stand; 2 a line without indentation is
    `key: value`, cut at its first colon, quotation marks stripped, only true and false become booleans; 3 an empty value
    begins a list; 4 an item with colon and comma is cut at its commas; 5 an item with a colon begins a mapping that goes
    on in lines indented by more than two.
    """
    parts = raw.split("---", 2)
    if not raw.startswith("---") or len(parts) < 3:
        return None
    fields: "dict[str, Any]" = {}
    items: "Optional[list[Any]]" = None
    mapping: "Optional[dict[str, str]]" = None
    for line in parts[1].split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0 and ":" in line and not bare.startswith("-"):
            items = mapping = None
            key, value = (part.strip() for part in line.split(":", 1))
            if value:
                fields[key] = _scalar(value)
            else:
                fields[key] = items = []
        elif bare.startswith("-") and items is not None:
            text = bare[1:].strip()
            mapping = None
            if ":" in text and "," in text:
                items.append(dict(_pair(part) for part in text.split(",") if ":" in part))
            elif ":" in text:
                mapping = dict([_pair(text)])
                items.append(mapping)
            else:
                items.append(_unquoted(text))
        elif indent > 2 and mapping is not None and ":" in line:
            mapping.update([_pair(bare)])
    return fields


def _pair(text: str) -> "tuple[str, str]":
    key, value = text.split(":", 1)
    return key.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    return value.strip('"').strip("'")


def _scalar(value: str) -> "Union[str, bool]":
    value = _unquoted(value)
    return value.lower() == "true" if value.lower() in ("true", "false") else value


def said_by_hookify(paths: "list[str]", event: "Event", folders: "Sequence[str]") -> "set[str]":
    """
    The rule files that the hookify plugin speaks of on this event, too; none where it is not enabled.

    `folders` are the user's folder of the client and the project's.
    """
    config, project = folders
    own = os.path.join(project, ".claude")
    enabled = False
    for place in (config, own):
        for name in ("settings.json", "settings.local.json"):
            text = read_text(os.path.join(place, name)) if place else None
            if text and '"hookify@' in text:
                enabled = _enabled_in(text, enabled)
    # It reads the rules of the folder that it is started in, and no others.
    ours = [path for path in paths if enabled and os.path.dirname(path) == own]
    return {path for path in ours if hookify_fires(read_text(path) or "", event)}


def _enabled_in(settings: str, before: bool) -> bool:
    import json

    try:
        plugins = json.loads(settings)["enabledPlugins"]
        return any([bool(on) for name, on in plugins.items() if name.startswith("hookify@")] or [before])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return before


def hookify_fires(raw: str, event: "Event") -> bool:
    """Whether the hookify plugin, where it is enabled, speaks of this rule on this event too."""
    fields = read_like_hookify(raw)
    name, tool = event.get("hook_event_name"), str(event.get("tool_name"))
    kind = {"Stop": "stop", "UserPromptSubmit": "prompt"}.get(str(name)) or _KINDS.get(tool)
    if not fields or not fields.get("enabled", True):
        return False
    wanted = fields.get("event", "all")
    if kind and wanted not in (kind, "all"):
        return False
    matcher = fields.get("tool_matcher")
    if isinstance(matcher, str) and matcher != "*" and tool not in matcher.split("|"):
        return False
    conditions = fields.get("conditions")
    if not conditions and fields.get("pattern"):
        conditions = [{"field": _SIMPLE.get(str(wanted), "content"), "pattern": fields["pattern"]}]
    if not isinstance(conditions, list) or not conditions:
        return False
    return all(isinstance(item, dict) and _is_true(item, tool, event) for item in conditions)


def _is_true(condition: "dict[str, Any]", tool: str, event: "Event") -> bool:
    text = _field(str(condition.get("field", "")), tool, event)
    pattern, operator = str(condition.get("pattern", "")), condition.get("operator", "regex_match")
    if text is None:
        return False
    if operator == "regex_match":
        try:
            return re.search(pattern, text, re.IGNORECASE) is not None
        except (re.error, RecursionError, OverflowError):
            return False
    return {
        "contains": pattern in text,
        "equals": pattern == text,
        "not_contains": pattern not in text,
        "starts_with": text.startswith(pattern),
        "ends_with": text.endswith(pattern),
    }.get(str(operator), False)


def _field(field: str, tool: str, event: "Event") -> "Optional[str]":
    given = event.get("tool_input")
    given = given if isinstance(given, dict) else {}
    if field in given:
        return given[field] if isinstance(given[field], str) else str(given[field])
    if field in ("reason", "user_prompt"):
        return str(event.get(field, ""))
    if field == "transcript":
        return read_text(str(event.get("transcript_path"))) or ""
    if tool in ("Write", "Edit"):
        if field == "content":
            return str(given.get("new_string", ""))
        return "" if field in (*_NEW, *_OLD) else None
    if tool == "MultiEdit" and field in ("new_text", "content"):
        edits = given.get("edits")
        return (
            " ".join(str(edit.get("new_string", "")) for edit in edits if isinstance(edit, dict))
            if isinstance(edits, list)
            else ""
        )
    return None
