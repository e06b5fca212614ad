"""Whether two lowered modules say the same in other lines, and where each line went."""

import marshal
import re
from itertools import pairwise

from cache_strategy.profile.lowering import Node

# The nodes whose second part is a line.
_WITH_LINE = frozenset(
    """name attr item call dict op text comp lambda bind yield let declare aug do return raise del if while for with try
    import from def class""".split()
)


def moved(before: Node, after: Node) -> dict[int, int] | None:
    """The new line of each line; None where the code is another, or lines changed their order."""
    old: list[int] = []
    new: list[int] = []
    try:
        # text, as 1, 1.0 and True are equal
        if repr(_without_lines(before, old)) != repr(_without_lines(after, new)):
            return None
    except RecursionError:
        return None
    lines = dict(zip(old, new, strict=True))
    if any(lines[a] != b for a, b in zip(old, new, strict=True)):
        return None
    ordered = [lines[line] for line in sorted(lines)]
    return lines if all(a < b for a, b in pairwise(ordered)) else None


def _without_lines(module: Node, lines: list[int]) -> object:
    functions, classes, body = module

    def bare(node: object) -> object:
        if not isinstance(node, tuple):
            return node
        if len(node) > 1 and node[0] in _WITH_LINE and type(node[1]) is int:
            lines.append(node[1])
            return (node[0], *map(bare, node[2:]))
        return tuple(map(bare, node))

    found: list[object] = []
    for (
        name,
        qualname,
        line,
        owner,
        outer,
        parameters,
        decorators,
        returns,
        flags,
        inner,
        stores,
    ) in functions:
        lines.append(line)
        around = bare((parameters, decorators, returns))
        found.append((name, qualname, owner, outer, around, flags, bare(tuple(marshal.loads(inner))), stores))
    for (
        name,
        qualname,
        line,
        outer,
        bases,
        keywords,
        decorators,
        attributes,
        methods,
        inner,
        statements,
    ) in classes:
        lines.append(line)
        lines.extend(at for *_, at in attributes)
        around = bare(
            (bases, keywords, decorators, tuple((n, v, a) for n, v, a, _ in attributes), statements)
        )
        found.append((name, qualname, outer, around, methods, inner))
    return found, bare(tuple(marshal.loads(body)))


class Moving:
    """Tells where lines of some files went; `files` are the new lines by path."""

    def __init__(self, files: dict[str, dict[int, int]]) -> None:
        self.files = files
        self._pattern = re.compile(f"({'|'.join(map(re.escape, files))}):(\\d+)") if files else None

    def line(self, path: str, line: int) -> int:
        lines = self.files.get(path)
        return line if lines is None else lines[line]

    def text(self, text: str) -> str:
        if self._pattern is None or ":" not in text:
            return text
        return self._pattern.sub(lambda m: f"{m[1]}:{self.files[m[1]][int(m[2])]}", text)
