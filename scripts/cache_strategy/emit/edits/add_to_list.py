"""Adds an element to a list that a module assigns to a name: `INSTALLED_APPS`, `urlpatterns`."""

import ast
import io
import tokenize
from itertools import accumulate

from cache_strategy.emit.edits._base import CannotEdit, Edit, Example, parse

Sequence = ast.List | ast.Tuple


def apply(source: str, *, name: str, element: str, is_first: bool = False) -> str:
    """
    `element` as the last of the list, or the first, unless a list of the file has it. Of a sum, and of names in it, the last list.

    Raises:
        CannotEdit: the file assigns no list of that name, or it is written in a way that no edit here fits.
    """
    parse(source, name)
    tree = ast.parse(source)
    wanted = ast.dump(ast.parse(element, mode="eval").body)
    sequences = [node for node in ast.walk(tree) if isinstance(node, Sequence)]
    if any(ast.dump(item) == wanted for node in sequences for item in node.elts):
        return source
    found = _list_of(tree, name, set())
    if found is None:
        raise CannotEdit(f"{name}: is no list in this file; add {element} to it by hand.")
    edited = _Place(source, found).with_element(element, is_first)
    dumps = [ast.dump(item) for item in found.elts]
    if _dumps_in(edited, name) != ([wanted, *dumps] if is_first else [*dumps, wanted]):
        raise CannotEdit(f"{name}: is written in an unusual way; add {element} to it by hand.")
    return edited


def _dumps_in(source: str, name: str) -> list[str]:
    """The elements of the list as Python reads them; none where it cannot."""
    try:
        found = _list_of(ast.parse(source), name, set())
    except SyntaxError:
        return []
    return [ast.dump(item) for item in found.elts] if found else []


def _list_of(tree: ast.Module, name: str, seen: set[str]) -> Sequence | None:
    if name in seen:
        return None
    seen.add(name)
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            found = _list_in(tree, value, seen)
            if found is not None:
                return found
    return None


def _list_in(tree: ast.Module, value: ast.expr, seen: set[str]) -> Sequence | None:
    if isinstance(value, Sequence):
        return value
    if isinstance(value, ast.BinOp):
        return _list_in(tree, value.right, seen) or _list_in(tree, value.left, seen)
    return _list_of(tree, value.id, seen) if isinstance(value, ast.Name) else None


class _Place:
    """A list in its text. Python counts columns in bytes of UTF-8."""

    def __init__(self, source: str, node: Sequence) -> None:
        self.data = source.encode()
        self.starts = list(accumulate(map(len, self.data.splitlines(keepends=True)), initial=0))
        self.node = node

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def with_element(self, element: str, is_first: bool) -> str:
        text, node = element.encode(), self.node
        if not node.elts:
            text += b"," if isinstance(node, ast.Tuple) else b""
            return self._with(self.at(node.lineno, node.col_offset) + 1, text)
        first, last = node.elts[0], node.elts[-1]
        if isinstance(first, ast.Constant) and self.data[
            self.at(first.lineno, first.col_offset) :
        ].startswith(b"'"):
            text = text.replace(b'"', b"'")
        begin, end, has_comma = self._outside_parentheses(first, last)
        line = max(start for start in self.starts if start <= begin)
        indent = self.data[line:begin]
        if indent.strip() or line == self.starts[node.lineno - 1]:  # not on a line of its own
            return self._with(begin, text + b", ") if is_first else self._with(end, b", " + text)
        newline = b"\r\n" if self.data[: self.starts[1]].endswith(b"\r\n") else b"\n"
        if is_first:
            return self._with(line, indent + text + b"," + newline)
        if not has_comma:
            self.data = self.data[:end] + b"," + self.data[end:]
        after = self.data.find(b"\n", end) + 1 or len(self.data)
        closing = self._end(node) + (not has_comma)
        if closing <= after:  # the bracket stands behind the last element
            return self._with(end, b", " + text) if has_comma else self._with(end + 1, b" " + text)
        return self._with(after, indent + text + (b"," if has_comma else b"") + newline)

    def _outside_parentheses(self, first: ast.expr, last: ast.expr) -> tuple[int, int, bool]:
        """Where the first element begins and the last ends, with parentheses around them, and whether a comma follows."""
        begin, end, has_comma = self.at(first.lineno, first.col_offset), self._end(last), False
        opening, closing = self.at(self.node.lineno, self.node.col_offset), self._end(self.node)
        for at, token in self._tokens():
            if opening < at < begin and token == "(":
                begin = at
            elif end <= at < closing - 1 and token == ")":
                end = at + 1
            elif end <= at < closing and token == ",":
                has_comma = True
        return begin, end, has_comma

    def _tokens(self) -> list[tuple[int, str]]:
        """Where operators and brackets stand, as bytes."""
        lines = self.data.splitlines(keepends=True)
        read = io.StringIO(self.data.decode(), newline="").readline
        return [
            (
                self.starts[t.start[0] - 1] + len(lines[t.start[0] - 1].decode()[: t.start[1]].encode()),
                t.string,
            )
            for t in tokenize.generate_tokens(read)
            if t.type == tokenize.OP
        ]

    def _end(self, node: ast.expr) -> int:
        return self.at(node.end_lineno or 0, node.end_col_offset or 0)

    def _with(self, at: int, text: bytes) -> str:
        return (self.data[:at] + text + self.data[at:]).decode()


edit = Edit(
    __name__,
    apply,
    Example(
        before='INSTALLED_APPS = [\n    "django.contrib.auth",\n    "press",  # ours\n]\n',
        after='INSTALLED_APPS = [\n    "django.contrib.auth",\n    "press",  # ours\n    "press.caching",\n]\n',
        arguments={"name": "INSTALLED_APPS", "element": '"press.caching"'},
    ),
)
