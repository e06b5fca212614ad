"""
Regular expressions for rules: pieces that take linear time, from words that are escaped.

They are read by hookify's line reader and by a YAML reader alike: no `---`, no ` #`, no `: `, no quotation mark at the
ends, ASCII only. Both search with IGNORECASE and without MULTILINE.
"""

import re

_START = r"(?:^|[\n;&|(][ \t]*)(?:\w+=[^\s;&|]*[ \t]+|(?:sudo|env|time|nohup|exec|command|rtk)[ \t]+|timeout[ \t]+[^\s;&|]+[ \t]+)*(?:[^\s;&|]*/)?"
"""Where a command begins: after a separator, assignments and plain wrappers, with the program's folder or without."""

_REST = r"[^\n;&|]{0,1000}"
"""The rest of a command; bounded, so that many beginnings do not make it quadratic."""

_PLAIN = re.compile(r"[A-Za-z0-9_.,/@%+=:-]+\Z")
_UNREADABLE = re.compile(r"---| #|: |:\Z|^['\"\s\[\]{}*&!%@`>|#,]|^[-?:] |['\"\s]\Z|[^\x20-\x7e]")
_NESTED = re.compile(r"\([^()]*[*+}]\)[*+{]")


def at_command(program: str, *words: str) -> str:
    """A pattern for a program at a command's beginning, with its first words. All are patterns themselves."""
    return _START + r"[ \t]+".join((program, *words)) + r"(?![\w-])"


def under_wrapper(pattern: str) -> str:
    """The pattern of `at_command` for a program that does not stand at a command's beginning: `docker exec x redis-cli`."""
    return r"(?<![\w./-])" + pattern.removeprefix(_START)


_SPOKEN = (
    (r"\[\^?\\[nsS][^\]]*\]\{0,\d+\}\??", " … "),
    (r"\[ \\t\][*+]?|\\s[*+]?", " "),
    (r"\(\?<?[!=]\[[^\]]*\]\)|\(\?<[!=]\\w\)|\(\?!\\w\)|\\[bZ]|\(\?:\^\|\[\\\\/\]\)", ""),
    (r"\(\?(?:[:=]|[!<]=?)", "("),
    (r"\\([^A-Za-z0-9])", r"\1"),
    (r"\s{2,}", " "),
)


def in_words(pattern: str) -> str:
    """A pattern of these pieces as a person reads it: `git commit … --amend`."""
    text = pattern.replace(_START, "")
    for piece, plain in _SPOKEN:
        text = re.sub(piece, plain, text)
    return text.strip()


def within(piece: str) -> str:
    """Continues a pattern: `piece` comes later in the same command."""
    return rf"{_REST}?{piece}"


def ahead(piece: str) -> str:
    """Continues a pattern: `piece` comes later in the same command, in any order with what follows."""
    return rf"(?={_REST}{piece})"


def escaped(text: str) -> str:
    """
    A text as a pattern that finds it literally, readable by every reader of a rule file.

    White space matches any white space, what is not ASCII its escape.
    """
    pieces = []
    for piece in re.split(r"(\s+)", text):
        if piece.isspace():
            pieces.append(r"\s+")
            continue
        quoted = (
            re.escape(piece)
            .replace(r"\-", "-")
            .replace(r"\#", "#")
            .replace('"', r"\x22")
            .replace("'", r"\x27")
        )
        pieces.append("".join(c if c.isascii() else _code(c) for c in quoted))
    return "".join(pieces).replace("---", "-{3}")


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def readable(pattern: str) -> str:
    """The same pattern in a form that both readers of rule files take literally."""
    return (
        pattern.replace("---", "-{3}")
        .replace(": ", r":\s")
        .replace(" #", r"\s#")
        .replace('"', r"\x22")
        .replace("'", r"\x27")
    )


def why_unsafe(pattern: str) -> str:
    """Why a pattern cannot go into a rule file; "" when it can."""
    if not pattern.strip():
        return "is empty and would match everything"
    try:
        re.compile(pattern, re.I)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression ({error})"
    if _UNREADABLE.search(pattern):
        return "is read differently by YAML and by hookify: ---, ' #', ': ', a sign of YAML's at the start, a quotation mark at an end, or not ASCII"
    if is_slow(pattern):
        return "may take exponential time"
    return ""


def is_slow(pattern: str) -> bool:
    """Whether a pattern repeats a repetition, as `(a+)+` does, or is longer than 2,000 characters."""
    return bool(_NESTED.search(pattern)) or len(pattern) > 2000


def is_plain(word: str) -> bool:
    """Whether a word of a command can be taken literally: no expansion, no glob, nothing masked."""
    return bool(_PLAIN.match(word)) and "MASKED" not in word
