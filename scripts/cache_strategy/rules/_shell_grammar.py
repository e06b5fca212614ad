"""
The grammar of a shell command: words after quote removal, pipes, groups, substitutions, here-documents.

`Scanner(text, 1, 0).scan()` fills `commands` (in the order in which they end, those inside a substitution first)
and `comments`.

Source: POSIX.1-2017, Shell Command Language, sections 2.2 to 2.10 (quoting, tokens, redirection, grammar).
"""

from __future__ import annotations

import re

# Deeper nesting than this is not a command that somebody wrote.
MAX_DEPTH = 12

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_REDIRECTION = re.compile(r"(?:\d*|\{\w+\})(<<<|<<-?|<>|<&|>>|>\||>&|<(?!\()|>(?!\())|(&>>?)")
# What a word is made of, but for double quotes and what is run to get it.
_PIECE = re.compile(
    r"(?P<bare>[^\s'\"\\$`;&|<>()#]+)|'(?P<single>[^']*)'?|\$'(?P<ansi>(?:[^'\\]|\\[\s\S])*)'?|\\(?P<escaped>[\s\S]?)"
)
_IN_DOUBLE = re.compile(r"(?P<bare>[^\"\\$`]+)|\\(?P<escaped>[\s\S]?)")
_DOLLAR = re.compile(r"\$\(\([\s\S]*?(?:\)\)|\Z)|\$\{[^}]*\}?|\$(?!\()(?:\w+|[@*#?$!-])?")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class Word(str):
    """A word after quote removal; `plain` when no part of it was quoted."""

    plain: bool = True


class Invocation:
    """
    One program that the shell will run.

    `argv[0]` is the program's base name, `stdin` its literal standard input where the command holds it, `before` the
    invocations whose output is piped into it, `writes` the (operator, file) of its redirections.
    """

    __slots__ = ("argv", "before", "col_offset", "end_lineno", "lineno", "stdin", "writes")

    def __init__(self, argv: "list[Word]", stdin: "str | None", line: int, column: int) -> None:
        self.argv = argv
        self.stdin = stdin
        self.lineno = line
        self.end_lineno = line
        self.col_offset = column
        self.before: "list[Invocation]" = []
        self.writes: "list[tuple[str, str]]" = []


class _Level:
    """What is open between two parentheses of a substitution: a command, its feeders, groups in braces or parentheses."""

    def __init__(self, commands: "list[Invocation]") -> None:
        self.commands = commands
        self.current: "Invocation | None" = None
        self.feeders: "list[Invocation]" = []
        self.groups: "list[int]" = []
        self.closed: "list[Invocation]" = []
        self.piped = False

    def command(self, scanner: "Scanner") -> Invocation:
        """The command that words and redirections go to."""
        if self.current is None:
            self.current = Invocation([], None, *scanner.place())
            self.current.before = self.feeders
        return self.current

    def end(self, pipe: bool = False) -> None:
        """Ends the command; with `pipe` it, or the group just closed, feeds the next one."""
        ended = self.current
        if ended is not None and (ended.argv or ended.stdin is not None):
            self.commands.append(ended)
        source = self.closed if ended is None else [ended]
        self.feeders = source if pipe else []
        self.piped = pipe
        self.closed = []
        self.current = None

    def open_group(self) -> None:
        self.groups.append(len(self.commands))

    def close_group(self) -> None:
        self.end()
        if self.groups:
            self.closed = self.commands[self.groups.pop() :]


class Scanner:
    """Splits a text into simple commands; nested scripts land in the same lists."""

    def __init__(self, text: str, line: int, depth: int) -> None:
        self.text = text
        self.position = 0
        self.first_line = line
        self.counted = 0
        self.lines_passed = 0
        self.depth = depth
        self.commands: "list[Invocation]" = []
        self.comments: "list[tuple[int, str]]" = []
        self.pending: "list[tuple[Invocation, str, bool, bool]]" = []

    def place(self) -> "tuple[int, int]":
        """Line (from 1) and column (from 0) of the position, which only ever moves on."""
        self.lines_passed += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        return self.first_line + self.lines_passed, self.position - self.text.rfind(
            "\n", 0, self.position
        ) - 1

    def upto(self, mark: str, start: int) -> int:
        """Where a mark comes next, or the end of the text."""
        stop = self.text.find(mark, start)
        return len(self.text) if stop < 0 else stop

    def scan(self, until: str = "") -> None:
        """Reads commands up to `until` (a closing parenthesis) or the end."""
        level = _Level(self.commands)
        while self.position < len(self.text):
            if self.skip_blank():
                continue
            character = self.text[self.position]
            if character == ")" and until == ")" and not level.groups:
                self.position += 1
                level.end()
                return
            redirection = _REDIRECTION.match(self.text, self.position)
            if redirection:
                command = level.command(self)
                self.position = redirection.end()
                self.redirect(redirection.group(1) or redirection.group(2), command)
            elif character in "\n;|&()":
                self.separator(character, level)
            elif character == "#":
                stop = self.upto("\n", self.position)
                self.comments.append((self.place()[0], self.text[self.position : stop]))
                self.position = stop
            else:
                self.add_word(level)
        level.end()
        self.read_here_documents()

    def skip_blank(self) -> bool:
        blank = _BLANK.match(self.text, self.position)
        if blank:
            self.position = blank.end()
        return bool(blank)

    def separator(self, character: str, level: _Level) -> None:
        double = self.text[self.position : self.position + 2]
        self.position += 2 if double in ("||", "&&", "|&") else 1
        if character == "\n":
            # A pipe at the end of a line goes on in the next one.
            if level.current is not None or not level.piped:
                level.end()
            self.read_here_documents()
        elif character == "(":
            if level.current is not None:
                level.end()
            level.open_group()
        elif character == ")":
            level.close_group()
        else:
            level.end(pipe=character == "|" and double != "||")

    def add_word(self, level: _Level) -> None:
        command = level.command(self)
        word = self.word()
        if command.argv or not word.plain or word not in ("{", "}"):
            command.argv.append(word)
            return
        level.current = None
        if word == "{":
            level.open_group()
        else:
            level.close_group()

    def redirect(self, operator: str, command: Invocation) -> None:
        self.skip_blank()
        if self.position >= len(self.text) or self.text[self.position] == "\n":
            return
        target = self.word()
        if operator == "<<<":
            command.stdin = target + "\n"
        elif operator in ("<<", "<<-"):
            self.pending.append((command, target, target.plain, operator == "<<-"))
        elif ">" in operator:
            command.writes.append((operator, target))

    def read_here_documents(self) -> None:
        pending, self.pending = self.pending, []
        for command, delimiter, expands, strips_tabs in pending:
            line = self.place()[0]
            body = []
            while self.position < len(self.text):
                stop = self.upto("\n", self.position)
                row = self.text[self.position : stop]
                self.position = min(stop + 1, len(self.text))
                if (row.lstrip("\t") if strips_tabs else row).rstrip("\r") == delimiter:
                    break
                body.append(row)
            command.stdin = "\n".join(body) + "\n"
            if expands and self.depth < MAX_DEPTH and ("$(" in command.stdin or "`" in command.stdin):
                inner = Scanner('"' + command.stdin.replace('"', '\\"') + '"', line, self.depth + 1)
                inner.word()
                self.commands.extend(inner.commands)

    def word(self) -> Word:
        """One word at the position; at least one character is consumed."""
        text = self.text
        parts: "list[str]" = []
        plain = True
        start = self.position
        while self.position < len(text):
            piece = _PIECE.match(text, self.position)
            character = text[self.position]
            if piece:
                self.position = piece.end()
                kind = piece.lastgroup
                value = piece.group(kind or 0)
                if kind == "ansi":
                    value = re.sub(
                        r"\\([\s\S])", lambda found: _ESCAPED.get(found.group(1), found.group(1)), value
                    )
                if kind == "bare" or value != "\n" or kind != "escaped":
                    plain = plain and kind == "bare"
                    parts.append(value)
            elif character == '"':
                plain = False
                self.position += 1
                self.double_quoted(parts)
            elif character in "$`":
                parts.append(self.expansion())
            elif character in "<>" and text.startswith("(", self.position + 1) and self.position == start:
                self.position += 2
                parts.append(self.substitution(start))
            elif character == "#" and self.position > start:
                parts.append("#")
                self.position += 1
            elif character == "(" and parts and parts[-1].endswith("=") and self.depth < MAX_DEPTH:
                parts.append(self.array())
            else:
                break
        if self.position == start:
            self.position += 1
        word = Word("".join(parts))
        word.plain = plain
        return word

    def double_quoted(self, parts: "list[str]") -> None:
        while self.position < len(self.text):
            piece = _IN_DOUBLE.match(self.text, self.position)
            if piece:
                self.position = piece.end()
                value = piece.group(piece.lastgroup or 0)
                if piece.lastgroup == "escaped":
                    value = (
                        "" if value == "\n" else value if value in ('"', "\\", "$", "`", "") else "\\" + value
                    )
                parts.append(value)
            elif self.text[self.position] == '"':
                self.position += 1
                return
            else:
                parts.append(self.expansion())

    def expansion(self) -> str:
        """`$name`, `${...}`, `$((...))`, `$(...)` or back quotes as raw text; what runs inside is kept as a command."""
        start = self.position
        found = _DOLLAR.match(self.text, start)
        if found:
            self.position = found.end()
        elif self.text.startswith("$(", start):
            self.position += 2
            return self.substitution(start)
        else:
            self.back_quoted()
        return self.text[start : self.position]

    def substitution(self, start: int) -> str:
        """The script up to the closing parenthesis; `position` stands after the opening one."""
        if self.depth >= MAX_DEPTH:
            self.position = len(self.text)
            return ""
        self.depth += 1
        saved, self.pending = self.pending, []
        self.scan(until=")")
        self.pending = saved
        self.depth -= 1
        return self.text[start : self.position]

    def back_quoted(self) -> None:
        text, stop = self.text, self.position + 1
        while stop < len(text) and text[stop] != "`":
            stop += 2 if text[stop] == "\\" else 1
        if self.depth < MAX_DEPTH:
            body = re.sub(r"\\([`\\$])", r"\1", text[self.position + 1 : stop])
            inner = Scanner(body, self.place()[0], self.depth + 1)
            inner.scan()
            self.commands.extend(inner.commands)
        self.position = min(stop + 1, len(text))

    def array(self) -> str:
        """`(a b c)` of an assignment, as raw text."""
        start = self.position
        self.position += 1
        self.depth += 1
        while self.position < len(self.text) and self.text[self.position] != ")":
            if self.text[self.position].isspace() or self.text[self.position] in "(;&|":
                self.position += 1
            else:
                self.word()
        self.depth -= 1
        self.position = min(self.position + 1, len(self.text))
        return self.text[start : self.position]
