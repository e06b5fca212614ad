"""
Reads a shell command as the programs it runs.

`invocations(text)` gives every program with its arguments after quotes, wrappers (`sudo`, `env`, `xargs`,
`docker exec`, `bash -c`, `ssh`, ...), pipes, substitutions and here-documents are resolved. Quoted text, the
arguments of `echo` or `git commit -m` and the data of a here-document are never programs, unless they are fed
to something that runs them. Nothing is expanded but variables that the same text sets to a constant, and nothing
raises: what is not closed ends with the text.
"""

from __future__ import annotations

import re

from cache_strategy.rules._shell_grammar import ASSIGNMENT, MAX_DEPTH, Invocation, Scanner, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Runs = Iterator[Invocation]

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})\Z")
_KEYWORDS = frozenset("! if then elif else do while until time coproc".split())
_SHELLS = frozenset("sh bash zsh dash ash ksh fish busybox".split())
_NAMED = re.compile(
    r"(?:(?:redis|valkey|keydb)-cli|(?:python|pypy|ipython)[\d.]*(?:\.exe)?|manage\.py|django-admin|flask)\Z"
)
_COMMAND_OPTION = re.compile(r"[-+][a-zA-Z]*c[a-zA-Z]*\Z")

# Programs that run the rest of their arguments: how many words to skip, then the options that take a value.
_WRAPPERS = {
    name: (int(skip), options.split())
    for name, skip, options in (
        line.strip().split(" ", 2) if line.strip().count(" ") > 1 else [*line.split(), ""]
        for line in """
        builtin 0
        caffeinate 0 -t -w
        chroot 1
        command 0
        doas 0 -u -C
        env 0 -u --unset -C --chdir
        exec 0 -a
        flock 1 -w -E --timeout
        gosu 1
        ionice 0 -c -n
        nice 0 -n --adjustment
        nohup 0
        rtk 0
        runuser 0 -u -g -G
        setsid 0
        stdbuf 0 -i -o -e
        strace 0 -e -o -s -p
        su-exec 1
        sudo 0 -u -g -h -p -C -T -R -D -U -r -t --user --group --host
        time 0 -f -o
        timeout 1 -s -k --signal --kill-after
        unbuffer 0
        """.strip().split("\n")
    )
}
_XARGS_VALUES = (
    "-a -d -E -I -L -n -P -s --max-args --max-procs --max-lines --replace --delimiter --arg-file".split()
)
_SSH_VALUES = "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B".split()
# Programs that run something found further right among their arguments, inside a container or an environment.
_RUN = ("run",)
_EXEC = ("exec", "run")
_CARRIERS: "dict[str, tuple[str, ...]]" = {
    **dict.fromkeys("conda heroku hatch pdm pipenv poetry rye uv".split(), _RUN),
    **dict.fromkeys("docker docker-compose kubectl nerdctl podman".split(), _EXEC),
    **dict.fromkeys("fly flyctl vagrant".split(), ("ssh",)),
    "lxc": ("exec",),
    "oc": ("exec", "run", "rsh"),
    "uvx": (),
}


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
        before: "list[Invocation]" = []
        if simple.stdin is None:
            before = [run for feeder in simple.before for run in runs.get(id(feeder), ())]
            known = [output for output in map(output_of, before) if output is not None]
            simple.stdin = "".join(known) if known else None if before else inherited
        if depth:
            simple.lineno, simple.col_offset = line, 0
        own = list(_unwrap(simple.argv, simple, depth, variables))
        for run in own:
            run.before = run.before or before
        runs[id(simple)] = own
        found.extend(own)
    return found


def output_of(run: Invocation) -> "str | None":
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
        args = args[1:] if args[0] == "--" else args
        form, rest = _escapes(args[0]) if args else "", args[1:]
        if "%" not in form:
            return form
        return "".join(form.replace("%s", item).replace("%b", item) for item in rest) or form
    if name in ("cat", "tee") and not [arg for arg in args if name == "cat" and arg not in ("-", "--")]:
        return run.stdin
    return None


def _escapes(text: str) -> str:
    return text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")


def _after_options(args: "list[Word]", values: "list[str]", skip: int = 0) -> "list[Word]":
    index = 0
    while index < len(args) and args[index].startswith("-") and args[index] != "-":
        index += 1
        if args[index - 1] == "--":
            break
        if args[index - 1] in values:
            index += 1
    return args[index + skip :]


class _Call:
    """A program about to be unwrapped: its base name, its arguments, its standard input, where it stands."""

    __slots__ = ("args", "depth", "name", "simple", "stdin", "variables")

    def __init__(
        self, words: "list[Word]", simple: Invocation, depth: int, variables: "dict[str, str]"
    ) -> None:
        self.name = words[0].replace("\\", "/").rpartition("/")[2]
        self.args = words[1:]
        self.simple = simple
        self.stdin = simple.stdin
        self.depth = depth
        self.variables = variables

    def again(self, words: "list[Word]", *, fed: bool = True) -> "Runs":
        """What these words run, with the same standard input if `fed`."""
        simple = self.simple if fed else Invocation([], None, self.simple.lineno, self.simple.col_offset)
        return _unwrap(words, simple, self.depth + 1, self.variables)

    def script(self, text: str) -> "list[Invocation]":
        """What a text runs that is handed to a shell, with the same standard input."""
        stdin = None if text is self.stdin else self.stdin
        return _resolve(text, self.simple.lineno, self.depth + 1, dict(self.variables), stdin)


def _unwrap(words: "list[Word]", simple: Invocation, depth: int, variables: "dict[str, str]") -> "Runs":
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
    call = _Call(words, simple, depth, variables)
    if call.name in _WRAPPERS:
        yield from _wrapped(call)
    elif call.name in _SHELLS:
        yield from _shell(call)
    elif call.name in _CARRIERS:
        yield from _carried(call)
    elif call.name in _RUNNERS:
        yield from _RUNNERS[call.name](call)
    else:
        run = Invocation([Word(call.name), *call.args], simple.stdin, simple.lineno, simple.col_offset)
        run.writes = simple.writes
        yield run


def _wrapped(call: _Call) -> "Runs":
    args = call.args
    if call.name == "command" and args and args[0] in ("-v", "-V"):
        return
    if call.name == "env" and args and args[0] in ("-S", "--split-string"):
        yield from call.script(" ".join(args[1:]))
    elif call.name == "flock" and "-c" in args[:-1]:
        yield from call.script(args[args.index(Word("-c")) + 1])
    else:
        skip, values = _WRAPPERS[call.name]
        yield from call.again(_after_options(args, values, skip))


def _shell(call: _Call) -> "Runs":
    args = call.args
    if call.name == "busybox":
        yield from call.again(args)
        return
    for index, arg in enumerate(args):
        if _COMMAND_OPTION.match(arg) and index + 1 < len(args):
            rest = args[index + 1 :]
            yield from call.script(rest[1] if rest[0] == "--" and len(rest) > 1 else rest[0])
            return
        if not arg.startswith(("-", "+")) and (index == 0 or args[index - 1] not in ("-o", "+o", "-O", "+O")):
            return
    if call.stdin:
        yield from call.script(call.stdin)


def _carried(call: _Call) -> "Runs":
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
        name = arg.rpartition("/")[2]
        if name in _SHELLS or _NAMED.match(name):
            yield from call.again(rest[index:])
            return


def _ssh(call: _Call) -> "Runs":
    # Options may follow the host.
    rest = _after_options(_after_options(call.args, _SSH_VALUES, 1), _SSH_VALUES)
    text = " ".join(rest) if rest else call.stdin
    if text:
        yield from call.script(text)


def _find(call: _Call) -> "Runs":
    args = call.args
    for index, arg in enumerate(args):
        if arg in ("-exec", "-execdir", "-ok", "-okdir"):
            stop = next((i for i in range(index + 1, len(args)) if args[i] in (";", "+")), len(args))
            yield from call.again(args[index + 1 : stop], fed=False)


def _su(call: _Call) -> "Runs":
    for index, option in enumerate(call.args[:-1]):
        if option in ("-c", "--command"):
            yield from call.script(call.args[index + 1])
            return


_RUNNERS: "dict[str, Callable[[_Call], Runs]]" = {
    "eval": lambda call: iter(call.script(" ".join(call.args))),
    "find": _find,
    "ssh": _ssh,
    "su": _su,
    "trap": lambda call: iter(call.script(call.args[0]) if len(call.args) > 1 else ()),
    "watch": lambda call: iter(call.script(" ".join(_after_options(call.args, ["-n", "--interval"])))),
    "xargs": lambda call: call.again(
        [*_after_options(call.args, _XARGS_VALUES), *map(Word, (call.stdin or "").split())], fed=False
    ),
}
