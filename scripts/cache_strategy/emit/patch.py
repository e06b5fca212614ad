"""Changes as a patch that `git apply` takes."""

import difflib
from collections.abc import Iterable

from cache_strategy.model.change import Change


def render_patch(changes: Iterable[Change]) -> str:
    """One unified diff; an empty text where nothing changes."""
    return "".join(_file(change) for change in changes)


def _file(change: Change) -> str:
    path = change.path
    head = f"diff --git a/{path} b/{path}\n"
    if change.before is None:
        head += "new file mode 100644\n"
    if change.before == change.after:
        return ""
    old = _lines(change.before or "")
    new = _lines(change.after)
    source = f"a/{path}" if change.before is not None else "/dev/null"
    body = []
    for line in difflib.unified_diff(old, new, source, f"b/{path}", n=3):
        if line.endswith("\n"):
            body.append(line)
        else:
            body.append(line + "\n\\ No newline at end of file\n")
    return head + "".join(body)


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends a line, as git sees it."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
