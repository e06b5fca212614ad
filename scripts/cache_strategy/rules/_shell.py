"""
Reads a shell command as the programs it runs.

`invocations(text)` gives every program with its arguments after quotes, wrappers (`sudo`, `docker exec`, `bash -c`,
`ssh`, ...), pipes, substitutions and here-documents are resolved. Quoted text, the arguments of `echo` or `git commit
-m` and the data of a here-document are never programs, unless they are fed to something that runs them. Nothing is
expanded but variables that the same text sets to a constant, and nothing raises: what is not closed ends with the text.

Source: POSIX.1-2017, Shell Command Language, sections 2.2 to 2.10.
"""

from __future__ import annotations

from bisect import bisect_left

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

# Deeper nesting than this is not a command that somebody wrote.
_DEEPEST = 12
_TOKEN = regex(
    r"(?P<blank>(?:[ \t\r]|\\\r?\n)+)|(?P<end>\n|&&|\|\||;;?|&(?!>)|\|&?)|(?P<comment>#[^\n]*)"
    r"|(?P<redirect>(?:\d*|\{\w+\})(?:<<<|<<-?|<>|<&|>>|>\||>&|<(?!\()|>(?!\())|&>>?)|(?P<bracket>[()])"
)
_PIECE = regex(
    r"(?P<bare>[^\s'\"\\$`;&|<>()#]+|(?<=[^\s;&|()])#)|'(?P<single>[^']*)'?|\$'(?P<ansi>(?:[^'\\]|\\[\s\S])*)'?|\\(?P<escaped>[\s\S]?)"
    r'|(?P<opening>")|(?P<dollar>\$\(\([\s\S]*?(?:\)\)|\Z)|\$\{[^}]*\}?|\$(?!\()(?:\w+|[@*#?$!-])?)|(?P<runs>\$\(|[<>]\(|`)'
)
_IN_DOUBLE = regex(
    r'(?P<bare>[^"\\$`]+)|\\(?P<escaped>[\s\S]?)|(?P<closing>")|(?P<dollar>\$\(\([\s\S]*?(?:\)\)|\Z)|\$\{[^}]*\}?|\$(?!\()(?:\w+|[@*#?$!-])?)|(?P<runs>\$\(|`)'
)
_ASSIGNMENT = regex(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_VARIABLE = regex(r"\$\{?(\w+)\}?\Z")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_KEYWORDS = frozenset("! if then elif else do while until time coproc { }".split())
_SHELLS = frozenset("sh bash zsh dash ash ksh fish busybox".split())
# Programs that run one of their arguments: after their own options, or somewhere further right.
_WRAPPERS = frozenset(
    "builtin caffeinate chroot command doas env exec flock gosu ionice nice nohup rtk runuser setsid stdbuf strace su-exec "
    "sudo timeout unbuffer xargs".split()
)
_CARRIERS = frozenset(
    "conda docker docker-compose find fly flyctl hatch heroku kubectl lxc nerdctl oc pdm pipenv podman poetry rye su uv uvx "
    "vagrant".split()
)
# Programs whose arguments are scripts.
_SCRIPTED = frozenset("eval ssh trap watch".split())
_NAMED = regex(
    r"(?:(?:redis|valkey|keydb)-cli|varnishadm|(?:python|pypy|ipython)[\d.]*(?:\.exe)?|manage\.py|django-admin|flask)\Z"
)


class Word(str):
    """A word after quote removal; `plain` when no part of it was quoted."""

    plain: bool = True


class Invocation:
    """
    One program that the shell will run.

    `argv[0]` is the program's base name, `stdin` its literal standard input where the command holds it, `before` the
    invocations whose output is piped into it, `writes` the (operator, file) of its redirections.
    """

    def __init__(self, argv: "list[Word]", stdin: "str | None", line: int, column: int) -> None:
        self.argv = argv
        self.stdin = stdin
        self.lineno = self.end_lineno = line
        self.col_offset = column
        self.before: "list[Invocation]" = []
        self.writes: "list[tuple[str, str]]" = []


def comments_of(text: str) -> "list[tuple[int, str]]":
    """The comments of a command: (line from 1, text from the number sign on)."""
    script = _Script(text, None, 0)
    script.read()
    return script.comments


def invocations(text: str) -> "list[Invocation]":
    """Every program that the text runs, in order; a program inside a substitution stands before its user."""
    return _Script(text, None, 0).run({})


def simple_commands(text: str) -> "list[list[str]]":
    """The words of each simple command as written, nothing unwrapped; hookify names programs by them."""
    script = _Script(text, None, 0)
    script.read()
    return [[str(word) for word in command.argv] for command in script.commands]


class _Script:
    """A text that a shell runs; `line` is None where the places of its commands are its own."""

    def __init__(self, text: str, line: "int | None", depth: int) -> None:
        self.text = text
        self.line = line
        self.depth = depth
        self.position = 0
        self.breaks = [index for index, character in enumerate(text) if character == "\n"]
        self.comments: "list[tuple[int, str]]" = []
        self.commands: "list[Invocation]" = []

    def place(self) -> "tuple[int, int]":
        if self.line is not None:
            return self.line, 0
        passed = bisect_left(self.breaks, self.position)
        return passed + 1, self.position - (self.breaks[passed - 1] + 1 if passed else 0)

    def run(self, variables: "dict[str, str]", inherited: "str | None" = None) -> "list[Invocation]":
        """The programs of the script; `inherited` is the standard input that it was started with."""
        if self.depth > _DEEPEST:
            return []
        self.read()
        found: "list[Invocation]" = []
        runs: "dict[Invocation, list[Invocation]]" = {}
        for simple in self.commands:
            before = (
                []
                if simple.stdin is not None
                else [run for feeder in simple.before for run in runs.get(feeder, ())]
            )
            if simple.stdin is None:
                known = [output for output in map(output_of, before) if output is not None]
                simple.stdin = "".join(known) if known else None if before else inherited
            runs[simple] = list(_unwrap(simple.argv, simple, self.depth, variables))
            for run in runs[simple]:
                run.before = run.before or before
            found.extend(runs[simple])
        return found

    def read(self) -> None:
        """Fills `commands` and `comments`."""
        current: "Invocation | None" = None
        feeders: "list[Invocation]" = []
        groups: "list[int]" = []
        closed: "list[Invocation]" = []
        pending: "list[tuple[Invocation, Word, bool]]" = []
        piped = False
        while self.position < len(self.text):
            place = self.place() if current is None else (0, 0)
            token = _TOKEN.match(self.text, self.position)
            kind = token.lastgroup if token else ""
            self.position = token.end() if token else self.position
            mark = token.group() if token else ""
            if kind == "comment":
                self.comments.append((place[0] or self.place()[0], mark))
            if kind in ("blank", "comment") or (mark == "\n" and current is None and piped):
                continue
            if kind in ("end", "bracket"):
                if current is not None:
                    self.commands.append(current)
                    closed = [current]
                if mark == "(":
                    groups.append(len(self.commands))
                elif mark == ")" and groups:
                    closed = self.commands[groups.pop() :]
                piped = mark in ("|", "|&")
                feeders, current = (closed if piped else feeders if mark == "(" else []), None
                closed = closed if mark == ")" else []
                if mark == "\n":
                    self.here_documents(pending)
                continue
            if current is None:
                current = Invocation([], None, *place)
                current.before = feeders
            if kind == "redirect":
                blank = patterns.compiled(r"[ \t]*").match(self.text, self.position)
                self.position = blank.end() if blank else self.position
                target = self.word()
                operator = mark.lstrip("0123456789")
                if operator == "<<<":
                    current.stdin = target + "\n"
                elif operator in ("<<", "<<-"):
                    pending.append((current, target, operator == "<<-"))
                elif ">" in operator:
                    current.writes.append((operator, target))
                continue
            word = self.word()
            if word in ("{", "}") and word.plain and not current.argv:
                # A group in braces is one in parentheses.
                self.text = (
                    self.text[: self.position - 1] + "()"["{}".index(word)] + self.text[self.position :]
                )
                self.position, current = self.position - 1, None
            else:
                current.argv.append(word)
        if current is not None:
            self.commands.append(current)
        self.here_documents(pending)

    def here_documents(self, pending: "list[tuple[Invocation, Word, bool]]") -> None:
        for command, delimiter, strips_tabs in pending:
            line = self.place()[0]
            body = []
            while self.position < len(self.text):
                row, _, _ = self.text[self.position :].partition("\n")
                self.position += len(row) + 1
                if (row.lstrip("\t") if strips_tabs else row).rstrip("\r") == delimiter:
                    break
                body.append(row)
            self.position = min(self.position, len(self.text))
            command.stdin = "\n".join(body) + "\n"
            if delimiter.plain and self.depth < _DEEPEST and ("$(" in command.stdin or "`" in command.stdin):
                inner = _Script(command.stdin.replace('"', '\\"') + '"', line, self.depth + 1)
                inner.pieces(_IN_DOUBLE)
                self.commands.extend(inner.commands)
        pending.clear()

    def word(self) -> Word:
        """One word at the position; at least one character is consumed."""
        start = self.position
        text, plain = self.pieces(_PIECE)
        if self.position == start:
            self.position += 1
        word = Word(text)
        word.plain = plain
        return word

    def pieces(self, kinds: "re.Pattern[str]") -> "tuple[str, bool]":
        parts: "list[str]" = []
        plain = True
        while self.position < len(self.text):
            start = self.position
            piece = kinds.match(self.text, start)
            kind = piece.lastgroup if piece else ""
            if piece is None or kind == "closing" or (kind == "runs" and piece.group()[0] in "<>" and parts):
                if piece is None and self.text[start] == "(" and parts and parts[-1].endswith("="):
                    self.position = self.closing(start + 1, ")")
                    continue
                self.position += kind == "closing"
                break
            self.position = piece.end()
            value = piece.group(kind or 0)
            if kind == "opening":
                value = self.pieces(_IN_DOUBLE)[0]
            elif kind == "ansi":
                value = patterns.sub(
                    r"\\([\s\S])", lambda found: _ESCAPED.get(found.group(1), found.group(1)), value
                )
            elif kind == "escaped":
                kept = kinds is _IN_DOUBLE and value not in ('"', "\\", "$", "`", "", "\n")
                value = "\\" + value if kept else value.replace("\n", "")
            elif kind == "runs":
                self.substitution("`" if value == "`" else ")")
                value = self.text[start : self.position]
            plain = plain and kind in ("bare", "dollar", "runs")
            parts.append(value)
        return "".join(parts), plain

    def closing(self, start: int, mark: str) -> int:
        """The place after the mark that closes what begins at `start`."""
        depth, position = 0, start
        while position < len(self.text):
            quoted = patterns.compiled(
                r"\\[\s\S]?|'[^']*'?|\"(?:[^\"\\]|\\[\s\S])*\"?" if mark == ")" else r"\\[\s\S]?"
            ).match(self.text, position)
            if quoted:
                position = quoted.end()
                continue
            if self.text[position] == mark and not depth:
                return position + 1
            depth += {"(": 1, ")": -1}.get(self.text[position], 0) if mark == ")" else 0
            position += 1
        return position

    def substitution(self, mark: str) -> None:
        """Reads the script up to its closing mark; what it runs stands before the command."""
        line, start = self.place()[0], self.position
        self.position = self.closing(start, mark)
        if self.depth < _DEEPEST:
            body = (
                self.text[start : self.position].removesuffix(mark)
                if mark == ")"
                else patterns.sub(r"\\([`\\$])", r"\1", self.text[start : self.position - 1])
            )
            inner = _Script(body, line, self.depth + 1)
            inner.read()
            self.commands.extend(inner.commands)


def output_of(run: Invocation) -> "str | None":
    """What a program prints, where its arguments say so."""
    name, *args = run.argv
    if name == "echo":
        interprets = False
        while args and patterns.match(r"-[neE]+\Z", args[0]):
            interprets = interprets or "e" in args.pop(0)
        out = " ".join(args) + "\n"
        return _escapes(out) if interprets or "\\n" in out else out
    if name == "printf" and args:
        form, *rest = args[1:] if args[0] == "--" and len(args) > 1 else args
        text = _escapes(form)
        if "%" not in text:
            return text
        return "".join(text.replace("%s", item).replace("%b", item) for item in rest) or text
    if name in ("cat", "tee") and not [arg for arg in args if name == "cat" and arg not in ("-", "--")]:
        return run.stdin
    return None


def _escapes(text: str) -> str:
    return text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")


def _unwrap(
    words: "list[Word]", simple: Invocation, depth: int, variables: "dict[str, str]"
) -> "Iterator[Invocation]":
    while words and ((words[0].plain and words[0] in _KEYWORDS) or _ASSIGNMENT.match(words[0])):
        name, _, value = words[0].partition("=")
        if "$" not in value and "`" not in value:
            variables[name] = value
        words = words[1:]
    variable = _VARIABLE.match(words[0]) if words and words[0].plain else None
    if variable:
        words = [*map(Word, variables.get(variable.group(1), "").split()), *words[1:]]
    if not words or depth > _DEEPEST:
        return
    name, args = words[0].replace("\\", "/").rpartition("/")[2], words[1:]
    if name in _SCRIPTED or name in _SHELLS or (name == "su" and "-c" in args):
        yield from _scripts(name, args, simple, depth, variables)
    elif name in _WRAPPERS or name in _CARRIERS:
        if name == "xargs":
            args = [*args, *map(Word, (simple.stdin or "").split())]
        fed = Invocation(
            [], None if name in ("xargs", "find") else simple.stdin, simple.lineno, simple.col_offset
        )
        yield from _unwrap(_carried(name, args), fed, depth + 1, variables)
    else:
        run = Invocation([Word(name), *args], simple.stdin, simple.lineno, simple.col_offset)
        run.writes = simple.writes
        yield run


def _scripts(
    name: str, args: "list[Word]", simple: Invocation, depth: int, variables: "dict[str, str]"
) -> "Iterator[Invocation]":
    """What a shell, `eval`, `ssh`, `trap`, `watch` or `su -c` runs: a text among the arguments, or the standard input."""
    option = next(
        (i for i, arg in enumerate(args) if patterns.match(r"[-+][a-zA-Z]*c[a-zA-Z]*\Z", arg)), None
    )
    script = None
    if name in ("eval", "watch", "trap"):
        script = (
            args[0]
            if name == "trap" and len(args) > 1
            else " ".join(_carried(name, args))
            if name != "trap"
            else None
        )
    elif name == "ssh":
        script = " ".join(_carried(name, args)[1:])
    elif option is not None and option + 1 < len(args):
        script = args[option + 2] if args[option + 1] == "--" and option + 2 < len(args) else args[option + 1]
    elif name == "busybox":
        yield from _unwrap(args, simple, depth + 1, variables)
        return
    elif any(not arg.startswith(("-", "+")) for arg in args[:1]):
        return
    text = script or simple.stdin
    if text:
        yield from _Script(text, simple.lineno, depth + 1).run(
            dict(variables), simple.stdin if script else None
        )


def _carried(name: str, args: "list[Word]") -> "list[Word]":
    """The command line that a wrapper is given: what follows its options, their values and its own words."""
    if name in _CARRIERS and "--" in args:
        return args[args.index(Word("--")) + 1 :]
    after_option = False
    skipped = 1 if name in ("chroot", "flock", "gosu", "su-exec") else 0
    for index, arg in enumerate(args):
        base = arg.rpartition("/")[2]
        known = base != "exec" and (base in _SHELLS | _WRAPPERS | _CARRIERS or bool(_NAMED.match(base)))
        if arg == "--" and name not in ("ssh",):
            return args[index + 1 :]
        if known or (name in _CARRIERS and arg in ("-c", "-C") and index + 1 < len(args)):
            return args[index:] if known else [Word("eval"), args[index + 1]]
        if name == "command" and arg in ("-v", "-V"):
            return []
        if name in ("env", "flock") and arg in ("-S", "--split-string", "-c"):
            return [Word("eval"), *args[index + 1 :]]
        if arg.startswith("-"):
            after_option = "=" not in arg and arg.plain
        elif (
            name in _CARRIERS
            or after_option
            or patterns.match(r"[\d.]+[smhd]?\Z", arg)
            or _ASSIGNMENT.match(arg)
        ):
            after_option = False
        elif skipped:
            skipped -= 1
        else:
            return args[index:]
    return []
