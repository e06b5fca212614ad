"""
An edit of a long file, cut down to what can have to do with it: untouched functions become empty lines.

Parsing two versions of a long file costs more than all the rest of the hook. What stays: everything outside of functions, the
functions that the edit touches, those that use them and those that they use, through any number of steps, those that share a key's
beginning with them, and a few that read a cache. Numbers of lines stay as they are, and so do the findings.
"""

from __future__ import annotations

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

# Below this the cut costs more than it saves.
_SHORT = 8_000
# Where a statement begins at the left margin, and what it is; the same for the body of a class below its indentation.
_STATEMENT = r"(?m)^%s(?:(?P<at>@)|(?:async\s+)?def\s+(?P<function>\w+)|class\s+(?P<class>\w+)|[^\s#)\]}])"
_TOP = regex(_STATEMENT % "")
_FIRST = regex(r"\n([ \t]+)[^\s#]")
_WORD = regex(r"[A-Za-z_]\w+")
# The beginning of a key in a string: "user:", "page-{", "badge%".
_STEM = regex(r"[\"']([A-Za-z_][\w-]*[:/.{%-])")
_READS = regex(
    r"cache\w*\.(?:get|get_or_set|get_many)\(|redis\w*\.h?get\(|@\w*cache\w*(?!\w*\.(?:delete|invalid|clear|purge|evict))|"
    r"@\w+\.(?:memoize|cached)\b"
)
_MOST_READERS = 3


class Piece:
    """One function, method or stretch of other lines; `name` is "" for the latter, `holder` the class of a method."""

    __slots__ = ("end", "holder", "indent", "name", "start", "text")

    def __init__(self, whole: str, start: int, end: int, name: str, holder: str, indent: str) -> None:
        self.start = start
        self.end = end
        self.text = whole[start:end]
        self.name = name
        self.holder = holder
        self.indent = indent


def narrowed(before: str, after: str) -> "tuple[str, str] | None":
    """Both versions without what the edit has nothing to do with; None where little would be saved, or the cut is not sure."""
    if len(after) < _SHORT or len(before) < _SHORT:
        return None
    old, new = _pieces(before), _pieces(after)
    if old is None or new is None:
        return None
    had, has = ({(p.holder, p.name, p.text) for p in pieces} for pieces in (old, new))
    touched = [p for p in old if p.name and (p.holder, p.name, p.text) not in has]
    touched += [p for p in new if p.name and (p.holder, p.name, p.text) not in had]
    # A class whose own lines change: its methods may mean something else now.
    classes = {p.holder for p in old if not p.name and p.holder and (p.holder, "", p.text) not in has}
    classes |= {p.holder for p in new if not p.name and p.holder and (p.holder, "", p.text) not in had}
    # What stays in one version stays in the other: else it would look as if the edit had brought it.
    kept = {(p.holder, p.name, p.text) for pieces in (old, new) for p in _kept(pieces, touched, classes)}
    texts = []
    for pieces, text in ((old, before), (new, after)):
        mine = {p for p in pieces if (p.holder, p.name, p.text) in kept}
        if sum(len(p.text) for p in mine) > len(text) * 0.7:
            return None
        texts.append(_cut(pieces, mine))
    return texts[0], texts[1]


def _pieces(text: str) -> "list[Piece] | None":
    """The text in pieces; None where quotation marks are left open, so that the end of a piece is not sure."""
    starts = [(0, "", "", ""), *_starts(text, _TOP, 0, len(text), "", "")]
    ends = [start for start, _, _, _ in starts[1:]] + [len(text)]
    pieces: "list[Piece]" = []
    quoted = '"""' in text or "'''" in text
    position = 0
    while position < len(starts):
        start, name, holder, indent = starts[position]
        piece = Piece(text, start, ends[position], name, holder, indent)
        # What looks like the beginning of a piece may stand in a string.
        while quoted and (piece.text.count('"""') % 2 or piece.text.count("'''") % 2):
            position += 1
            if position == len(starts):
                return None
            piece = Piece(text, start, ends[position], name, holder, indent)
        pieces.append(piece)
        position += 1
    return pieces


def _starts(
    text: str, statement: "re.Pattern[str]", begin: int, end: int, holder: str, indent: str
) -> "Iterator[tuple[int, str, str, str]]":
    """(place, name, class, indentation) of the pieces; stretches of statements are one, and a class is taken apart."""
    classes: "list[tuple[int, str]]" = []
    decorated, other = -1, False
    for found in statement.finditer(text, begin, end):
        start = found.start() if decorated < 0 else decorated
        if classes:
            yield from _inside(text, classes.pop(), found.start() if decorated < 0 else decorated)
        if found["at"]:
            decorated = start
            continue
        decorated = -1
        if found["function"]:
            other = False
            yield start, found["function"], holder, indent
        elif found["class"] and not holder:
            other = False
            yield start, "", found["class"], ""
            classes.append((found.end(), found["class"]))
        elif not other:
            other = True
            yield start, "", holder, ""
    if classes:
        yield from _inside(text, classes.pop(), end)


def _inside(text: str, opened: "tuple[int, str]", end: int) -> "Iterator[tuple[int, str, str, str]]":
    begin, name = opened
    first = _FIRST.search(text, begin, end)
    if first is not None:
        # As deep as nobody indents: not kept.
        own = (patterns.compiled if len(first[1]) <= 8 else patterns.unkept)(_STATEMENT % first[1])
        yield from _starts(text, own, first.start() + 1, end, name, first[1])


def _kept(pieces: "list[Piece]", touched: "list[Piece]", classes: "set[str]") -> "set[Piece]":
    own = {(p.holder, p.name, p.text) for p in touched}
    kept = {p for p in pieces if not p.name or p.holder in classes or (p.holder, p.name, p.text) in own}
    functions = [p for p in pieces if p.name]
    readers = (p for p in functions if _READS.search(p.text))
    kept.update(p for p, _ in zip(readers, range(_MOST_READERS)))  # noqa: B905 - Python 3.9
    stems = {stem for p in touched for stem in _STEM.findall(p.text)}
    if stems:
        quoted = [mark + stem for mark in "\"'" for stem in stems]
        kept.update(p for p in functions if p not in kept and any(q in p.text for q in quoted))
    # Who uses what is touched, and who uses them; then what all of these use.
    names = {(p.holder, p.name) for p in touched}
    while names:
        found = [p for p in functions if p not in kept and any(_uses(p.text, *name) for name in names)]
        kept.update(found)
        names = {(p.holder, p.name) for p in found}
    new = [p for p in kept if p.name]
    while new:
        words = {word for p in new for word in _WORD.findall(p.text)}
        new = [p for p in functions if p not in kept and p.name in words]
        kept.update(new)
    return kept


def _uses(text: str, holder: str, name: str) -> bool:
    """Whether a text uses a function: by its bare name, a method through `self` or its class."""
    at = text.find(name)
    while at >= 0:
        end, before = at + len(name), text[max(at - 1, 0) : at]
        if not (text[end : end + 1].isalnum() or text[end : end + 1] == "_"):
            if not holder and not (before.isalnum() or before in ("_", ".")):
                return True
            if holder and text[max(at - 200, 0) : at].endswith(("self.", "cls.", "super().", holder + ".")):
                return True
        at = text.find(name, at + 1)
    return False


def _cut(pieces: "list[Piece]", kept: "set[Piece]") -> str:
    parts = []
    for piece in pieces:
        if piece in kept:
            parts.append(piece.text)
        else:
            parts.append(piece.indent + "pass" if piece.holder else "")
            parts.append("\n" * piece.text.count("\n"))
    return "".join(parts)
