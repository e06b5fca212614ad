"""
Reads a shell command as the programs it runs.

`invocations(text)` gives every program with its arguments after quotes, wrappers (`sudo`, `env`, `xargs`,
`docker exec`, `bash -c`, `ssh`, ...), pipes, substitutions and here-documents are resolved. Quoted text, the
arguments of `echo` or `git commit -m` and the data of a here-document are never programs, unless they are fed
to something that runs them. Nothing is expanded but variables that the same text sets to a constant.
"""

from __future__ import annotations

import re

from cache_strategy.rules._shell_grammar import ASSIGNMENT, MAX_DEPTH, Scanner, Simple, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})\Z")


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


_KEYWORDS = frozenset("! if then elif else do while until time coproc".split())
_SHELLS = frozenset("sh bash zsh dash ash ksh fish busybox".split())
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
    "rtk": ("", 0),
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
_CARRIERS: "dict[str, tuple[str, ...]]" = {
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
    "uvx": (),
    "vagrant": ("ssh",),
}
_KNOWN_SCRIPTS = ("manage.py", "django-admin", "flask")
_COMMAND_OPTION = re.compile(r"[-+][a-zA-Z]*c[a-zA-Z]*\Z")


def comments_of(text: str) -> "list[tuple[int, str]]":
    """The comments of a command: (line from 1, text from the number sign on)."""
    scanner = Scanner(text, 1, 0)
    scanner.scan()
    return scanner.comments


def invocations(text: str) -> "list[Invocation]":
    """Every program that the text runs, in order; a program inside a substitution stands before its user."""
    return _resolve(text, 1, 0, {})


def _resolve(
    text: str, line: int, depth: int, variables: "dict[str, str]", inherited: "str | None" = None
) -> "list[Invocation]":
    """The programs of a script; `inherited` is the standard input that it was started with."""
    if depth > MAX_DEPTH:
        return []
    scanner = Scanner(text, line, depth)
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
        elif stdin is None:
            stdin = inherited
        if depth:
            simple.line, simple.column = line, 0
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


class _Call:
    """A program about to be unwrapped: its base name, its arguments, its standard input, where it stands."""

    __slots__ = ("args", "depth", "name", "simple", "stdin", "variables")

    def __init__(
        self,
        words: "list[Word]",
        stdin: "str | None",
        simple: Simple,
        depth: int,
        variables: "dict[str, str]",
    ) -> None:
        self.name = words[0].replace("\\", "/").rpartition("/")[2]
        self.args = words[1:]
        self.stdin = stdin
        self.simple = simple
        self.depth = depth
        self.variables = variables

    def again(self, words: "list[Word]", *, fed: bool = True) -> "Iterator[Invocation]":
        """What these words run, with the same standard input if `fed`."""
        stdin = self.stdin if fed else None
        return _unwrap(words, stdin, self.simple, self.depth + 1, self.variables)

    def script(self, text: str) -> "list[Invocation]":
        """What a text runs that is handed to a shell, with the same standard input."""
        stdin = None if text is self.stdin else self.stdin
        return _resolve(text, self.simple.line, self.depth + 1, dict(self.variables), stdin)


def _unwrap(
    words: "list[Word]",
    stdin: "str | None",
    simple: Simple,
    depth: int,
    variables: "dict[str, str]",
) -> "Iterator[Invocation]":
    while words and words[0].plain and words[0] in _KEYWORDS:
        words = words[1:]
    while words and ASSIGNMENT.match(words[0]):
        name, _, value = words[0].partition("=")
        if "$" not in value and "`" not in value:
            variables[name] = value
        words = words[1:]
    variable = _VARIABLE.match(words[0]) if words and words[0].plain else None
    if variable:
        value = variables.get(variable.group(1) or variable.group(2) or "", "")
        words = [*map(Word, value.split()), *words[1:]]
    if not words or depth > MAX_DEPTH:
        return
    call = _Call(words, stdin, simple, depth, variables)
    if call.name in _WRAPPERS:
        yield from _wrapped(call)
    elif call.name in _SHELLS:
        yield from _shell(call)
    elif call.name in _CARRIERS:
        yield from _carried(call)
    elif call.name in _RUNNERS:
        yield from _RUNNERS[call.name](call)
    else:
        yield Invocation([call.name, *call.args], stdin, simple.line, simple.column)


def _wrapped(call: _Call) -> "Iterator[Invocation]":
    args = call.args
    if call.name == "command" and args and args[0] in ("-v", "-V"):
        return
    if call.name == "env" and args and args[0] in ("-S", "--split-string"):
        yield from call.script(" ".join(args[1:]))
    elif call.name == "flock" and "-c" in args[:-1]:
        yield from call.script(args[args.index(Word("-c")) + 1])
    else:
        yield from call.again(_after_options(args, *_WRAPPERS[call.name]))


def _shell(call: _Call) -> "Iterator[Invocation]":
    args = call.args
    if call.name == "busybox":
        yield from call.again(args)
        return
    for index, arg in enumerate(args):
        if _COMMAND_OPTION.match(arg) and index + 1 < len(args):
            rest = args[index + 1 :]
            rest = rest[1:] if rest[0] == "--" and len(rest) > 1 else rest
            yield from call.script(rest[0])
            return
        if not arg.startswith(("-", "+")) and (index == 0 or args[index - 1] not in ("-o", "+o", "-O", "+O")):
            return
    if call.stdin:
        yield from call.script(call.stdin)


def _carried(call: _Call) -> "Iterator[Invocation]":
    """What `docker exec`, `kubectl exec`, `poetry run` and their kind run."""
    verbs = _CARRIERS[call.name]
    start = next((i for i, arg in enumerate(call.args) if arg in verbs), None) if verbs else -1
    if start is None:
        return
    rest = call.args[start + 1 :]
    if "--" in rest[:-1]:
        yield from call.again(rest[rest.index(Word("--")) + 1 :])
        return
    for index, arg in enumerate(rest):
        if arg in ("-C", "-c", "--command") and index + 1 < len(rest) and verbs == ("ssh",):
            yield from call.script(rest[index + 1])
            return
        if _interesting(arg):
            yield from call.again(rest[index:])
            return


def _xargs(call: _Call) -> "Iterator[Invocation]":
    rest = _after_options(call.args, _XARGS_VALUES)
    yield from call.again([*rest, *map(Word, (call.stdin or "").split())], fed=False)


def _eval(call: _Call) -> "Iterator[Invocation]":
    yield from call.script(" ".join(call.args))


def _trap(call: _Call) -> "Iterator[Invocation]":
    if len(call.args) > 1:
        yield from call.script(call.args[0])


def _watch(call: _Call) -> "Iterator[Invocation]":
    yield from call.script(" ".join(_after_options(call.args, "-n --interval")))


def _su(call: _Call) -> "Iterator[Invocation]":
    for index, option in enumerate(call.args[:-1]):
        if option in ("-c", "--command"):
            yield from call.script(call.args[index + 1])
            return


def _ssh(call: _Call) -> "Iterator[Invocation]":
    # Options may follow the host.
    rest = _after_options(_after_options(call.args, _SSH_VALUES, 1), _SSH_VALUES)
    text = " ".join(rest) if rest else call.stdin
    if text:
        yield from call.script(text)


def _find(call: _Call) -> "Iterator[Invocation]":
    args = call.args
    for index, arg in enumerate(args):
        if arg in ("-exec", "-execdir", "-ok", "-okdir"):
            stop = next((i for i in range(index + 1, len(args)) if args[i] in (";", "+")), len(args))
            yield from call.again(args[index + 1 : stop], fed=False)


_RUNNERS: "dict[str, Callable[[_Call], Iterator[Invocation]]]" = {
    "eval": _eval,
    "find": _find,
    "ssh": _ssh,
    "su": _su,
    "trap": _trap,
    "watch": _watch,
    "xargs": _xargs,
}
