"""Text written for a newer Python than runs here: type parameters, `type X = …` and `except A, B:`, with the same lines."""

import io
import tokenize
from collections.abc import Iterator
from tokenize import TokenInfo

from cache_strategy.profile.python2 import Change, closing

_BEGINS = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING})
_PASSED = frozenset({tokenize.NL, tokenize.COMMENT})


def rewritten(text: str) -> str | None:
    """The text as an older Python reads it; None where nothing in it is newer, or it cannot be taken apart."""
    try:
        found = tokenize.generate_tokens(io.StringIO(text).readline)
        tokens = [token for token in found if token.type not in _PASSED]
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return None
    lines = text.splitlines(keepends=True)
    changes = sorted(_changes(tokens), reverse=True)
    for line, column, taken, put in changes:
        before = lines[line - 1]
        lines[line - 1] = before[:column] + put + before[column + taken :]
    return "".join(lines) if changes else None


def _changes(tokens: list[TokenInfo]) -> Iterator[Change]:
    begins = True
    for number, token in enumerate(tokens[:-3]):
        following = tokens[number + 1]
        if token.string in ("def", "class") and tokens[number + 2].string == "[":
            yield from _without_brackets(tokens, number + 2)
        elif begins and token.string == "type" and following.type == tokenize.NAME:
            yield (*token.start, following.start[1] - token.start[1], "")
            if tokens[number + 2].string == "[":
                yield from _without_brackets(tokens, number + 2)
        elif begins and token.string == "except" and following.type == tokenize.NAME:
            end = next((n for n in range(number, len(tokens)) if tokens[n].string == ":"), number)
            inside = tokens[number + 1 : end]
            if _are_kinds(inside):
                yield (*inside[0].start, 0, "(")
                yield (*inside[-1].end, 0, ")")
        begins = token.type in _BEGINS


def _without_brackets(tokens: list[TokenInfo], number: int) -> Iterator[Change]:
    """Type parameters become blanks: names in annotations then stand for nothing known."""
    (line, column), (last, end) = tokens[number].start, tokens[closing(tokens, number)].end
    if line == last:
        yield line, column, end - column, " " * (end - column)
        return
    source = tokens[number].line.splitlines()
    yield line, column, len(source[0]) - column, "\\"
    for between in range(line + 1, last):
        yield between, 0, 10_000, "\\\n"
    yield last, 0, end, ""


def _are_kinds(tokens: list[TokenInfo]) -> bool:
    """Several exceptions: Python 2 has a name for the one that was caught behind the comma."""
    words = [token.string for token in tokens]
    if "," not in words or not all(w in ",." or w.isidentifier() for w in words) or "as" in words:
        return False
    last = [word for word, after in zip(words, [*words[1:], ","], strict=True) if after == ","]
    return all(word[:1].isupper() for word in last) or words.count(",") > 1
