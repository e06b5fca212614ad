"""
Reads a shell command as the programs it runs.

`invocations(text)` gives every program with its arguments after quotes, wrappers (`sudo`, `env`, `xargs`,
`docker exec`, `bash -c`, `ssh`, ...), pipes, substitutions and here-documents are resolved. Quoted text, the
arguments of `echo` or `git commit -m` and the data of a here-document are never programs, unless they are fed
to something that runs them. Nothing is expanded but variables that the same text sets to a constant.

Source: POSIX.1-2017, Shell Command Language, sections 2.2 to 2.10 (quoting, tokens, redirection, grammar).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Deeper nesting than this is not a command that somebody wrote.
MAX_DEPTH = 12

_PLAIN = re.compile(r"[^\s'\"\\$`;&|<>()#]+")
_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_REDIRECTION = re.compile(r"(?:\d*|\{\w+\})(<<<|<<-?|<>|<&|>>|>\||>&|<|>)|(&>>?)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})\Z")
_IN_DOUBLE = re.compile(r"[^\"\\$`]+")


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


class Invocation:
    """
    One program that the shell will run.

    `argv[0]` is the program's base name, `stdin` its literal standard input where the command holds it,
    `before` the invocations whose output is piped into it.
    """

    __slots__ = ("argv", "before", "col_offset", "end_lineno", "lineno", "stdin")

    def __init__(self, argv: "list[str]", stdin: "str | None", line: int, column: int) -> None:
        self.argv = argv
        self.stdin = stdin
        self.lineno = line
        self.end_lineno = line
        self.col_offset = column
        self.before: "list[Invocation]" = []


class _Scanner:
    """Splits a text into simple commands; nested scripts land in the same lists."""

    def __init__(self, text: str, line: int, depth: int) -> None:
        self.text = text
        self.position = 0
        self.first_line = line
        self.depth = depth
        self.commands: "list[Simple]" = []
        self.comments: "list[tuple[int, str]]" = []
        self.pending: "list[tuple[Simple, str, bool, bool]]" = []

    def place(self) -> "tuple[int, int]":
        before = self.text.count("\n", 0, self.position)
        return self.first_line + before, self.position - (self.text.rfind("\n", 0, self.position) + 1)

    def scan(self, until: str = "") -> None:
        """Reads commands up to `until` (a closing parenthesis) or the end."""
        text = self.text
        current: "Simple | None" = None
        feeders: "list[Simple]" = []
        groups: "list[int]" = []
        closed: "list[Simple] | None" = None
        piped = False

        def end(pipe: bool) -> None:
            nonlocal current, feeders, closed, piped
            if current is not None:
                if current.words or current.stdin is not None:
                    self.commands.append(current)
                feeders = [current] if pipe else []
            else:
                feeders = (closed or []) if pipe else []
            piped = pipe
            closed = None
            current = None

        while self.position < len(text):
            blank = _BLANK.match(text, self.position)
            if blank:
                self.position = blank.end()
                continue
            character = text[self.position]
            if character == "\n":
                # A pipe at the end of a line goes on in the next one.
                if current is not None or not piped:
                    end(False)
                self.position += 1
                self.read_here_documents()
                continue
            if character == "#":
                stop = text.find("\n", self.position)
                stop = len(text) if stop < 0 else stop
                self.comments.append((self.place()[0], text[self.position : stop]))
                self.position = stop
                continue
            if character == ";":
                end(False)
                self.position += 1
                continue
            if character == "|":
                double = text.startswith("||", self.position)
                end(not double)
                self.position += 2 if double or text.startswith("|&", self.position) else 1
                continue
            if character == "(":
                if current is not None:
                    end(False)
                groups.append(len(self.commands))
                self.position += 1
                continue
            if character == ")":
                self.position += 1
                if not groups and until == ")":
                    end(False)
                    return
                end(False)
                if groups:
                    closed = self.commands[groups.pop() :]
                continue
            redirection = _REDIRECTION.match(text, self.position)
            if redirection and not text.startswith(("<(", ">("), self.position):
                if current is None:
                    current = Simple(*self.place())
                    current.feeders = feeders
                self.position = redirection.end()
                self.redirect(redirection.group(1) or redirection.group(2), current)
                continue
            if character == "&":
                end(False)
                self.position += 2 if text.startswith("&&", self.position) else 1
                continue
            if current is None:
                current = Simple(*self.place())
                current.feeders = feeders
            word = self.word()
            if not current.words and word.plain and word == "{":
                groups.append(len(self.commands))
                current = None
                continue
            if not current.words and word.plain and word == "}":
                current = None
                end(False)
                if groups:
                    closed = self.commands[groups.pop() :]
                continue
            current.words.append(word)
        end(False)
        self.read_here_documents()

    def redirect(self, operator: str, command: Simple) -> None:
        blank = _BLANK.match(self.text, self.position)
        if blank:
            self.position = blank.end()
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
                inner = _Scanner('"' + command.stdin.replace('"', '\\"') + '"', line, self.depth + 1)
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
            elif character == "(" and parts and parts[-1].endswith("="):
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
            name = re.compile(r"\w+|[@*#?$!-]").match(text, self.position)
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
            inner = _Scanner(body, self.place()[0], self.depth + 1)
            inner.scan()
            self.commands.extend(inner.commands)
        self.position = min(stop + 1, len(text))
        return text[start : self.position]

    def array(self) -> str:
        """`(a b c)` of an assignment, as raw text."""
        start = self.position
        self.position += 1
        while self.position < len(self.text) and self.text[self.position] != ")":
            blank = re.compile(r"\s+").match(self.text, self.position)
            if blank:
                self.position = blank.end()
            elif self.text[self.position] in "(;&|":
                self.position += 1
            else:
                self.word()
        self.position = min(self.position + 1, len(self.text))
        return self.text[start : self.position]


_KEYWORDS = frozenset(("!", "if", "then", "elif", "else", "do", "while", "until", "time", "coproc"))
_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ash", "ksh", "fish", "busybox"))
_REDIS_CLIENTS = frozenset(("redis-cli", "valkey-cli", "keydb-cli"))
_PYTHON = re.compile(r"(?:python|pypy|ipython)[\d.]*(?:\.exe)?\Z")

# Programs that run the rest of their arguments: the options that take a value, then how many words to skip.
_WRAPPERS = {
    "builtin": ("", 0),
    "caffeinate": ("-t -w", 0),
    "chroot": ("", 1),
    "command": ("", 0),
    "doas": ("-u -C", 0),
    "env": ("-u --unset -C --chdir", 0),
    "exec": ("-a", 0),
    "flock": ("-w -E --timeout", 1),
    "gosu": ("", 1),
    "ionice": ("-c -n", 0),
    "nice": ("-n --adjustment", 0),
    "nohup": ("", 0),
    "runuser": ("-u -g -G", 0),
    "setsid": ("", 0),
    "stdbuf": ("-i -o -e", 0),
    "strace": ("-e -o -s -p", 0),
    "su-exec": ("", 1),
    "sudo": ("-u -g -h -p -C -T -R -D -U -r -t --user --group --host", 0),
    "time": ("-f -o", 0),
    "timeout": ("-s -k --signal --kill-after", 1),
    "unbuffer": ("", 0),
}
_XARGS_VALUES = "-a -d -E -I -L -n -P -s --max-args --max-procs --max-lines --replace --delimiter --arg-file"
_SSH_VALUES = "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B"
# Programs that run something found further right among their arguments, inside a container or an environment.
_CARRIERS = {
    "conda": ("run",),
    "docker": ("exec", "run"),
    "docker-compose": ("exec", "run"),
    "fly": ("ssh",),
    "flyctl": ("ssh",),
    "heroku": ("run",),
    "hatch": ("run",),
    "kubectl": ("exec", "run"),
    "lxc": ("exec",),
    "nerdctl": ("exec", "run"),
    "oc": ("exec", "run", "rsh"),
    "pdm": ("run",),
    "pipenv": ("run",),
    "podman": ("exec", "run"),
    "poetry": ("run",),
    "rye": ("run",),
    "uv": ("run",),
    "uvx": ("",),
    "vagrant": ("ssh",),
}


def comments_of(text: str) -> "list[tuple[int, str]]":
    """The comments of a command: (line from 1, text from the number sign on)."""
    scanner = _Scanner(text, 1, 0)
    scanner.scan()
    return scanner.comments


def invocations(text: str) -> "list[Invocation]":
    """Every program that the text runs, in order; a program inside a substitution stands before its user."""
    return _resolve(text, 1, 0, {})


def _resolve(text: str, line: int, depth: int, variables: "dict[str, str]") -> "list[Invocation]":
    if depth > MAX_DEPTH:
        return []
    scanner = _Scanner(text, line, depth)
    scanner.scan()
    found: "list[Invocation]" = []
    runs: "dict[int, list[Invocation]]" = {}
    for simple in scanner.commands:
        stdin = simple.stdin
        before: "list[Invocation]" = []
        if stdin is None and simple.feeders:
            before = [run for feeder in simple.feeders for run in runs.get(id(feeder), ())]
            known = [output for output in map(_output, before) if output is not None]
            stdin = "".join(known) if known else None
        own = list(_unwrap(list(simple.words), stdin, simple, depth, variables))
        for run in own:
            run.before = run.before or before
        runs[id(simple)] = own
        found.extend(own)
    return found


def _output(run: Invocation) -> "str | None":
    """What a program prints, where its arguments say so."""
    name, args = run.argv[0], run.argv[1:]
    if name == "echo":
        interprets = False
        while args and re.match(r"-[neE]+\Z", args[0]):
            interprets = interprets or "e" in args[0]
            args = args[1:]
        out = " ".join(args) + "\n"
        return _escapes(out) if interprets or "\\n" in out else out
    if name == "printf" and args:
        if args[0] == "--":
            args = args[1:]
        form, rest = _escapes(args[0]) if args else "", args[1:]
        if "%" not in form:
            return form
        return "".join(form.replace("%s", item).replace("%b", item) for item in rest) or form
    if name in ("cat", "tee") and not [arg for arg in args if name == "cat" and arg not in ("-", "--")]:
        return run.stdin
    return None


def _escapes(text: str) -> str:
    return text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")


def _after_options(args: "list[Word]", with_value: str, skip: int = 0) -> "list[Word]":
    values = with_value.split()
    index = 0
    while index < len(args) and args[index].startswith("-") and args[index] != "-":
        option = args[index]
        index += 1
        if option == "--":
            break
        if option in values:
            index += 1
    return args[index + skip :]


def _interesting(word: str) -> bool:
    name = word.rpartition("/")[2]
    return name in _REDIS_CLIENTS or name in _SHELLS or bool(_PYTHON.match(name)) or name in _KNOWN_SCRIPTS


_KNOWN_SCRIPTS = ("manage.py", "django-admin", "flask")


def _unwrap(
    words: "list[Word]",
    stdin: "str | None",
    simple: Simple,
    depth: int,
    variables: "dict[str, str]",
) -> "Iterator[Invocation]":
    if depth > MAX_DEPTH:
        return
    while words and words[0].plain and words[0] in _KEYWORDS:
        words = words[1:]
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words[0].partition("=")
        if "$" not in value and "`" not in value:
            variables[name] = value
        words = words[1:]
    if not words:
        return
    variable = _VARIABLE.match(words[0])
    if variable and words[0].plain:
        value = variables.get(variable.group(1) or variable.group(2) or "", "")
        words = [*map(Word, value.split()), *words[1:]]
        if not words:
            return

    def again(rest: "list[Word]", fed: "str | None" = stdin) -> "Iterator[Invocation]":
        return _unwrap(rest, fed, simple, depth + 1, variables)

    def script(text: str) -> "list[Invocation]":
        return _resolve(text, simple.line, depth + 1, dict(variables))

    name, args = words[0].replace("\\", "/").rpartition("/")[2], words[1:]
    if name in _WRAPPERS:
        if name == "command" and args and args[0] in ("-v", "-V"):
            return
        if name == "env" and args and args[0] in ("-S", "--split-string"):
            yield from script(" ".join(args[1:]))
            return
        if name == "flock" and "-c" in args[:-1]:
            yield from script(args[args.index(Word("-c")) + 1])
            return
        yield from again(_after_options(args, *_WRAPPERS[name]))
    elif name == "xargs":
        rest = _after_options(args, _XARGS_VALUES)
        appended = [*rest, *map(Word, stdin.split())] if stdin else rest
        yield from again(appended, None)
    elif name in _SHELLS:
        if name == "busybox":
            yield from again(args)
            return
        for index, arg in enumerate(args):
            if re.match(r"[-+][a-zA-Z]*c[a-zA-Z]*\Z", arg) and index + 1 < len(args):
                rest = args[index + 1 :]
                rest = rest[1:] if rest[0] == "--" and len(rest) > 1 else rest
                yield from script(rest[0])
                return
            if not arg.startswith(("-", "+")) and (
                index == 0 or args[index - 1] not in ("-o", "+o", "-O", "+O")
            ):
                return
        if stdin:
            yield from script(stdin)
    elif name == "eval":
        yield from script(" ".join(args))
    elif name == "trap" and len(args) > 1:
        yield from script(args[0])
    elif name == "watch":
        yield from script(" ".join(_after_options(args, "-n --interval")))
    elif name == "su":
        for index, arg in enumerate(args[:-1]):
            if arg in ("-c", "--command"):
                yield from script(args[index + 1])
                return
    elif name == "ssh":
        rest = _after_options(args, _SSH_VALUES, 1)
        # Options may follow the host.
        rest = _after_options(rest, _SSH_VALUES)
        if rest:
            yield from script(" ".join(rest))
        elif stdin:
            yield from script(stdin)
    elif name == "find":
        for index, arg in enumerate(args):
            if arg in ("-exec", "-execdir", "-ok", "-okdir"):
                stop = next((i for i in range(index + 1, len(args)) if args[i] in (";", "+")), len(args))
                yield from again(args[index + 1 : stop], None)
    elif name in _CARRIERS:
        yield from _carried(name, args, again, script)
    else:
        yield Invocation([name, *args], stdin, simple.line, simple.column)


def _carried(
    name: str,
    args: "list[Word]",
    again: "Callable[[list[Word]], Iterator[Invocation]]",
    script: "Callable[[str], list[Invocation]]",
) -> "Iterator[Invocation]":
    """What `docker exec`, `kubectl exec`, `poetry run` and their kind run."""
    verbs = _CARRIERS[name]
    start = next((i for i, arg in enumerate(args) if arg in verbs), None) if verbs != ("",) else -1
    if start is None:
        return
    rest = args[start + 1 :]
    if "--" in rest:
        after = rest[rest.index(Word("--")) + 1 :]
        if after:
            yield from again(after)
            return
    for index, arg in enumerate(rest):
        if arg in ("-C", "-c", "--command") and index + 1 < len(rest) and verbs == ("ssh",):
            yield from script(rest[index + 1])
            return
        if _interesting(arg):
            yield from again(rest[index:])
            return
