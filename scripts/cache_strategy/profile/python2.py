"""Text written for Python 2, or with names that are keywords now, changed just so far that it can be read, line for line."""

import io
import tokenize
from collections.abc import Iterator
from tokenize import TokenInfo

_BEGINS = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT})
_ENDS = frozenset({tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.COMMENT})
_OPEN, _CLOSE = "([{", ")]}"
_AFTER_ASYNC = frozenset({"def", "for", "with"})
Change = tuple[int, int, int, str]
"""Line, column, how many characters are taken away there, and what is put in their place."""


def rewritten(text: str) -> str | None:
    """The text as Python 3 would write it, with the same lines; None where it cannot even be taken apart."""
    text = text.expandtabs(8)
    try:
        tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type != tokenize.NL]
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return None
    lines = text.splitlines(keepends=True)
    for line, column, taken, put in sorted(_changes(tokens), reverse=True):
        if line <= len(lines):
            before = lines[line - 1]
            lines[line - 1] = before[:column] + put + before[column + taken :]
    return "".join(lines)


def _changes(tokens: list[TokenInfo]) -> Iterator[Change]:
    ticks = 0
    begins = True
    for number, token in enumerate(tokens[:-1]):
        following = tokens[number + 1]
        touching = token.end == following.start
        word, (line, column) = token.string, token.start
        if begins and token.type == tokenize.NAME:
            yield from _statement(tokens, number)
        if word == "`":
            yield line, column, 1, ")" if ticks % 2 else "("
            ticks += 1
        elif (word == "<" and following.string == ">" and touching) or word == "<>":
            yield line, column, 2, "!="
        elif touching and token.type == tokenize.NUMBER and following.type == tokenize.NUMBER and word == "0":
            yield (*token.end, 0, "o")
        elif touching and token.type == tokenize.NUMBER and following.string in ("L", "l"):
            yield (*following.start, 1, "")
        elif touching and word.lower() == "ur" and following.type == tokenize.STRING:
            yield line, column, 1, ""
        elif word == "lambda" and following.string == "(":
            end = _end(tokens, number + 1, ":")
            if closing(tokens, number + 1) == end - 1:
                yield (*following.start, 1, " ")
                yield (*tokens[end - 1].start, 1, " ")
        elif word == "async" and following.string not in _AFTER_ASYNC:
            yield (*token.end, 0, "_")
        begins = token.type in _BEGINS or word in (";", ":")


def _statement(tokens: list[TokenInfo], number: int) -> Iterator[Change]:
    token, following = tokens[number], tokens[number + 1]
    if token.string == "except":
        end = _end(tokens, number, ":")
        comma = _end(tokens, number, ",")
        if comma < end:
            yield (*tokens[comma].start, 1, " as ")
    elif token.string in ("print", "exec", "raise"):
        end = _end(tokens, number, ";")
        comma = _end(tokens, number, ",")
        is_call = following.string in ("(", "=", ".", ")", ",", "[") and token.string != "raise"
        if end == number + 1 or (
            is_call and tokens[closing(tokens, number + 1) + 1 :][:1] == tokens[end : end + 1]
        ):
            return
        if (token.string == "raise" and comma >= end) or following.string in ("=", "."):
            return
        if following.string == ">>":
            yield (*following.start, 2, "")
        yield (*token.end, 0, "(")
        yield (*tokens[end - 1].end, 0, ")")


def _end(tokens: list[TokenInfo], number: int, sign: str) -> int:
    """Where the statement from `number` on ends, or `sign` stands in it outside brackets."""
    depth = 0
    for place in range(number, len(tokens)):
        token = tokens[place]
        if token.type in _ENDS or (depth == 0 and token.string in (sign, ";") and place > number):
            return place
        depth += (token.string in _OPEN and token.string != "") - (
            token.string in _CLOSE and token.string != ""
        )
    return len(tokens) - 1


def closing(tokens: list[TokenInfo], number: int) -> int:
    depth = 0
    for place in range(number, len(tokens)):
        word = tokens[place].string
        depth += (word != "" and word in _OPEN) - (word != "" and word in _CLOSE)
        if depth <= 0:
            return place
    return number
