"""The texts that a file change brings: before, after, and what was added. From the transcript, never from the disk."""

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterator

from cache_strategy.hookify.transcripts import ToolCall

_LIMIT = 512 * 1024


def change_of(call: ToolCall) -> tuple[str | None, str] | None:
    """
    The file before and after a call, or the fragments of an edit where the transcript does not hold the file.

    None for other tools and for changes too large to judge. Before is None for a new file.
    """
    pairs = call.replacements()
    if not pairs:
        return None
    if call.tool == "Write":
        before: str | None = call.before
        after = pairs[0][1]
    elif call.before is not None and all(old and old in call.before for old, _ in pairs):
        before = after = call.before
        for old, new in pairs:
            count = -1 if call.input.get("replace_all") is True else 1
            after = after.replace(old, new, count)
    else:
        before, after = (
            _dedented("\n".join(old for old, _ in pairs)),
            _dedented("\n".join(new for _, new in pairs)),
        )
    if len(after) > _LIMIT or len(before or "") > _LIMIT:
        return None
    return before, after


def _dedented(fragment: str) -> str:
    """A fragment that begins in mid-line has its first line's indentation cut off: the others' is taken."""
    first, newline, rest = fragment.partition("\n")
    if newline and first[:1].strip():
        return first + newline + textwrap.dedent(rest)
    return textwrap.dedent(fragment)


def added_text(call: ToolCall) -> str:
    """The lines that a call adds: those of the new text that the old one does not have."""
    return "\n".join(_lines_of_one_not_other(call, added=True))


def removed_text(call: ToolCall) -> str:
    """The lines that a call takes away."""
    return "\n".join(_lines_of_one_not_other(call, added=False))


def _lines_of_one_not_other(call: ToolCall, *, added: bool) -> Iterator[str]:
    for old, new in call.replacements():
        kept, gone = (new, old) if added else (old, new)
        others = Counter(line.strip() for line in gone.split("\n"))
        for line in kept.split("\n"):
            if others[line.strip()] > 0:
                others[line.strip()] -= 1
            elif line.strip():
                yield line


def newly_matches(pattern: re.Pattern[str], call: ToolCall) -> bool:
    """Whether a call brings text that a pattern finds: what the replaced text had already does not count."""
    for old, new in call.replacements():
        kept = [found.group() for found in pattern.finditer(old)]
        for found in pattern.finditer(new):
            if found.group() not in kept:
                return True
            kept.remove(found.group())
    return False


def shortened(before: str, after: str) -> tuple[str, str]:
    """Two versions of a Python file without the definitions that are the same in both; unparsable ones as they are."""
    try:
        olds, news = _statements(before), _statements(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return before, after
    same = {text for text, is_import in olds if not is_import} & {
        text for text, is_import in news if not is_import
    }
    return _joined(olds, same), _joined(news, same)


def _statements(text: str) -> list[tuple[str, bool]]:
    """The top-level statements of a module with their decorators, each with whether it is an import."""
    lines = text.split("\n")
    found = []
    for node in ast.parse(text).body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        piece = "\n".join(lines[first - 1 : node.end_lineno])
        found.append((piece, isinstance(node, ast.Import | ast.ImportFrom)))
    return found


def _joined(statements: list[tuple[str, bool]], without: set[str]) -> str:
    return "\n".join(text for text, _ in statements if text not in without) + "\n"
