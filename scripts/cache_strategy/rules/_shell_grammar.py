"""
The grammar of a shell command: words after quote removal, pipes, groups, substitutions, here-documents.

`Scanner(text, 1, 0).scan()` fills `commands` (in the order in which they end, those inside a substitution first)
and `comments`. Nothing is expanded and nothing raises: what is not closed ends with the text.

Source: POSIX.1-2017, Shell Command Language, sections 2.2 to 2.10 (quoting, tokens, redirection, grammar).
"""

from __future__ import annotations

import re

# Deeper nesting than this is not a command that somebody wrote.
MAX_DEPTH = 12

_PLAIN = re.compile(r"[^\s'\"\\$`;&|<>()#]+")
_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_REDIRECTION = re.compile(r"(?:\d*|\{\w+\})(<<<|<<-?|<>|<&|>>|>\||>&|<|>)|(&>>?)")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_IN_DOUBLE = re.compile(r"[^\"\\$`]+")
_NAME = re.compile(r"\w+|[@*#?$!-]")
_SPACE = re.compile(r"\s+")


class Word(str):
    """A word after quote removal; `plain` when no part of it was quoted."""

    plain: bool = True


class Simple:
    """A simple command as written: words, literal standard input where it is known, place."""

    __slots__ = ("column", "feeders", "line", "stdin", "words")

    def __init__(self, line: int, column: int) -> None:
        self.words: "list[Word]" = []
        self.stdin: "str | None" = None
        self.line = line
        self.column = column
        self.feeders: "list[Simple]" = []


class _Level:
    """What is open between two parentheses of a substitution: a command, its feeders, groups in braces or parentheses."""

    def __init__(self, commands: "list[Simple]") -> None:
        self.commands = commands
        self.current: "Simple | None" = None
        self.feeders: "list[Simple]" = []
        self.groups: "list[int]" = []
        self.closed: "list[Simple]" = []
        self.piped = False

    def command(self, scanner: "Scanner") -> Simple:
        """The command that words and redirections go to."""
        if self.current is None:
            self.current = Simple(*scanner.place())
            self.current.feeders = self.feeders
        return self.current

    def end(self, pipe: bool = False) -> None:
        """Ends the command; with `pipe` it, or the group just closed, feeds the next one."""
        ended = self.current
        if ended is not None and (ended.words or ended.stdin is not None):
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
        self.commands: "list[Simple]" = []
        self.comments: "list[tuple[int, str]]" = []
        self.pending: "list[tuple[Simple, str, bool, bool]]" = []

    def place(self) -> "tuple[int, int]":
        """Line (from 1) and column (from 0) of the position, which only ever moves on."""
        self.lines_passed += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        return self.first_line + self.lines_passed, self.position - (
            self.text.rfind("\n", 0, self.position) + 1
        )

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
            if redirection and not self.text.startswith(("<(", ">("), self.position):
                command = level.command(self)
                self.position = redirection.end()
                self.redirect(redirection.group(1) or redirection.group(2), command)
            elif character in "\n;|&()":
                self.separator(character, level)
            elif character == "#":
                self.comment()
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
        text = self.text
        if character == "\n":
            # A pipe at the end of a line goes on in the next one.
            if level.current is not None or not level.piped:
                level.end()
            self.position += 1
            self.read_here_documents()
        elif character == "|":
            double = text.startswith("||", self.position)
            level.end(pipe=not double)
            self.position += 2 if double or text.startswith("|&", self.position) else 1
        elif character == "(":
            if level.current is not None:
                level.end()
            level.open_group()
            self.position += 1
        elif character == ")":
            level.close_group()
            self.position += 1
        else:
            level.end()
            self.position += 2 if text.startswith("&&", self.position) else 1

    def comment(self) -> None:
        stop = self.text.find("\n", self.position)
        stop = len(self.text) if stop < 0 else stop
        self.comments.append((self.place()[0], self.text[self.position : stop]))
        self.position = stop

    def add_word(self, level: _Level) -> None:
        command = level.command(self)
        word = self.word()
        if command.words or not word.plain or word not in ("{", "}"):
            command.words.append(word)
            return
        level.current = None
        if word == "{":
            level.open_group()
        else:
            level.close_group()

    def redirect(self, operator: str, command: Simple) -> None:
        self.skip_blank()
        if self.position >= len(self.text) or self.text[self.position] == "\n":
            return
        target = self.word()
        if operator == "<<<":
            command.stdin = target + "\n"
        elif operator in ("<<", "<<-"):
            self.pending.append((command, target, target.plain, operator == "<<-"))

    def read_here_documents(self) -> None:
        pending, self.pending = self.pending, []
        for command, delimiter, expands, strips_tabs in pending:
            line = self.place()[0]
            body = []
            while self.position < len(self.text):
                stop = self.text.find("\n", self.position)
                stop = len(self.text) if stop < 0 else stop
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
            run = _PLAIN.match(text, self.position)
            if run:
                parts.append(run.group())
                self.position = run.end()
                continue
            character = text[self.position]
            if character == "'":
                plain = False
                stop = text.find("'", self.position + 1)
                stop = len(text) if stop < 0 else stop
                parts.append(text[self.position + 1 : stop])
                self.position = stop + 1
            elif character == '"':
                plain = False
                self.position += 1
                self.double_quoted(parts)
            elif character == "\\":
                following = text[self.position + 1 : self.position + 2]
                self.position += 2
                if following != "\n":
                    plain = False
                    parts.append(following)
            elif character == "$":
                if text.startswith("$'", self.position):
                    plain = False
                    self.position += 2
                    self.ansi_quoted(parts)
                else:
                    parts.append(self.dollar())
            elif character == "`":
                parts.append(self.backquoted())
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
        text = self.text
        while self.position < len(text):
            run = _IN_DOUBLE.match(text, self.position)
            if run:
                parts.append(run.group())
                self.position = run.end()
                continue
            character = text[self.position]
            if character == '"':
                self.position += 1
                return
            if character == "\\":
                following = text[self.position + 1 : self.position + 2]
                if following not in ("\n", "", '"', "\\", "$", "`"):
                    parts.append("\\")
                if following != "\n":
                    parts.append(following)
                self.position += 2
            elif character == "$":
                parts.append(self.dollar())
            else:
                parts.append(self.backquoted())

    def ansi_quoted(self, parts: "list[str]") -> None:
        escapes = {"n": "\n", "r": "\r", "t": "\t"}
        text = self.text
        while self.position < len(text):
            character = text[self.position]
            if character == "'":
                self.position += 1
                return
            if character == "\\":
                following = text[self.position + 1 : self.position + 2]
                parts.append(escapes.get(following, following))
                self.position += 2
            else:
                parts.append(character)
                self.position += 1

    def dollar(self) -> str:
        """`$name`, `${...}`, `$((...))` or `$(...)` as raw text; what runs inside is kept as a command."""
        text, start = self.text, self.position
        if text.startswith("$((", start):
            stop = text.find("))", start)
            self.position = len(text) if stop < 0 else stop + 2
        elif text.startswith("$(", start):
            self.position += 2
            return self.substitution(start)
        elif text.startswith("${", start):
            stop = text.find("}", start)
            self.position = len(text) if stop < 0 else stop + 1
        else:
            self.position += 1
            name = _NAME.match(text, self.position)
            self.position = name.end() if name else self.position
        return text[start : self.position]

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

    def backquoted(self) -> str:
        text, start = self.text, self.position
        stop = start + 1
        while stop < len(text) and text[stop] != "`":
            stop += 2 if text[stop] == "\\" else 1
        if self.depth < MAX_DEPTH:
            body = re.sub(r"\\([`\\$])", r"\1", text[start + 1 : stop])
            inner = Scanner(body, self.place()[0], self.depth + 1)
            inner.scan()
            self.commands.extend(inner.commands)
        self.position = min(stop + 1, len(text))
        return text[start : self.position]

    def array(self) -> str:
        """`(a b c)` of an assignment, as raw text."""
        start = self.position
        self.position += 1
        self.depth += 1
        while self.position < len(self.text) and self.text[self.position] != ")":
            blank = _SPACE.match(self.text, self.position)
            if blank:
                self.position = blank.end()
            elif self.text[self.position] in "(;&|":
                self.position += 1
            else:
                self.word()
        self.depth -= 1
        self.position = min(self.position + 1, len(self.text))
        return self.text[start : self.position]
