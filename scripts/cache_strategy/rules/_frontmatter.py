"""
The head of a hookify rule file: the part of YAML that such files use, and hookify's own short forms.

Top-level `key: value`, lists of conditions (indented or not, `- a: b, c: d` in one line, `- {a: b}`), quoted texts,
block texts (`|`, `>`), flow lists, comments. In double quotes only `\\\\` and `\\"` are escapes: rule authors write
regular expressions there, and `"\\s"` means white space to them.
"""

from __future__ import annotations

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Union

    Value = Union[str, "list[Union[str, dict[str, str]]]"]
else:
    Value = object

_FENCE = regex(r"^---[ \t]*$", patterns.M)
_KEY = regex(r"([A-Za-z_][\w-]*)[ \t]*:(?:[ \t]+|$)(.*)$")
_BLOCK = regex(r"([|>])[-+0-9]*[ \t]*(?:#.*)?$")
_NEXT_FIELD = regex(r",\s*(?=(?:field|operator|pattern)\s*:)")


def read_frontmatter(text: str) -> "tuple[Optional[dict[str, Value]], str]":
    """(fields, message below them); fields are None when there is no frontmatter."""
    text = text.replace("\r\n", "\n")
    if not text.startswith("---"):
        return None, ""
    fences = list(_FENCE.finditer(text))
    if len(fences) > 1 and fences[0].start() == 0:
        head, message = text[fences[0].end() : fences[1].start()], text[fences[1].end() :]
    else:
        parts = text.split("---", 2)
        if len(parts) < 3:
            return None, ""
        head, message = parts[1], parts[2]
    return _fields(head.split("\n")), message.strip()


def _fields(lines: "list[str]") -> "dict[str, Value]":
    found: "dict[str, Value]" = {}
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        match = _KEY.match(line)
        if match is None:
            continue
        key, rest = match.group(1), match.group(2).strip()
        block = _BLOCK.match(rest)
        if block:
            index, found[key] = _block_text(lines, index, 0, block.group(1))
        elif rest and not rest.startswith("#"):
            found[key] = _value(key, rest)
        else:
            index, items = _items(lines, index)
            found[key] = items if items else ""
    return found


def _items(lines: "list[str]", index: int) -> "tuple[int, list[Union[str, dict[str, str]]]]":
    """The list that begins at a line, and the line after it."""
    items: "list[Union[str, dict[str, str]]]" = []
    dash = -1
    while index < len(lines):
        line = lines[index]
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if not bare or bare.startswith("#"):
            index += 1
            continue
        if bare == "-" or bare.startswith("- "):
            dash = indent
            index += 1
            index, item = _item(lines, index, bare[1:].strip(), dash)
            items.append(item)
        elif dash >= 0 and indent > dash:
            index += 1
        else:
            break
    return index, items


def _item(lines: "list[str]", index: int, first: str, dash: int) -> "tuple[int, Union[str, dict[str, str]]]":
    if first.startswith("{") and first.endswith("}"):
        return index, _pairs(_split(first[1:-1]))
    if first and _KEY.match(first) is None:
        return index, str(_scalar(first))
    found: "dict[str, str]" = {}
    parts = _NEXT_FIELD.split(first) if _KEY.match(first) else []
    if len(parts) > 1:
        return index, _pairs(parts)
    pending = [first] if first else []
    while pending or index < len(lines):
        if pending:
            line = pending.pop()
        else:
            line = lines[index]
            indent = len(line) - len(line.lstrip())
            if line.strip() and (indent <= dash or line.strip().startswith("- ")):
                break
            index += 1
        match = _KEY.match(line.strip())
        if match is None:
            continue
        block = _BLOCK.match(match.group(2).strip())
        if block:
            index, found[match.group(1)] = _block_text(lines, index, dash + 1, block.group(1))
        else:
            found[match.group(1)] = _scalar(match.group(2).strip(), match.group(1))
    return index, found


def _pairs(parts: "list[str]") -> "dict[str, str]":
    found = {}
    for part in parts:
        key, colon, value = part.partition(":")
        if colon:
            found[key.strip().strip("\"'")] = _scalar(value.strip(), key.strip())
    return found


def _split(text: str) -> "list[str]":
    """The parts of a flow list or mapping: split at commas outside quotes and brackets."""
    parts, depth, quote, start = [], 0, "", 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and not text[start:position].rpartition(":")[2].strip():
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append(text[start:position])
            start = position + 1
    return [part for part in [*parts, text[start:]] if part.strip()]


def _block_text(lines: "list[str]", index: int, least: int, style: str) -> "tuple[int, str]":
    """The indented lines from `index` on as one text, and the line after them."""
    rows: "list[str]" = []
    indent = 0
    while index < len(lines):
        line = lines[index]
        width = len(line) - len(line.lstrip())
        if line.strip():
            if width <= least and width < max(indent, 1):
                break
            indent = indent or width
            if width < indent:
                break
        rows.append(line[indent:])
        index += 1
    while rows and not rows[-1].strip():
        rows.pop()
    return index, (" " if style == ">" else "\n").join(rows)


def _value(key: str, text: str) -> "Value":
    if key != "pattern" and text.startswith("[") and text.endswith("]"):
        return [_scalar(part.strip()) for part in _split(text[1:-1])]
    return _scalar(text, key)


def _scalar(text: str, key: str = "") -> str:
    """A text without its quotes; a comment after it is cut off, except after a bare pattern, where it may be meant."""
    quote = text[:1]
    if quote in ("'", '"'):
        end = _closing(text, quote)
        rest = text[end + 1 :].strip() if end > 0 else "open"
        if not rest or rest.startswith("#"):
            inner = text[1:end]
            if quote == "'":
                return inner.replace("''", "'")
            return patterns.sub(r"\\([\\\"])", r"\1", inner)
    elif key != "pattern":
        text = patterns.split(r"\s+#", text, maxsplit=1)[0]
    return text.strip('"').strip("'")


def _closing(text: str, quote: str) -> int:
    """Where the quotation that begins a text ends; 0 where it does not."""
    position = 1
    while position < len(text):
        if quote == '"' and text[position] == "\\":
            position += 2
            continue
        if text[position] == quote:
            if quote == "'" and text[position + 1 : position + 2] == "'":
                position += 2
                continue
            return position
        position += 1
    return 0
