"""
The files (Python and configurations) that a shell command writes: redirections of a known text, `tee`, `sed -i` with plain commands.

What the command does not show (variables, programs that compute the text) is not judged.
"""

from __future__ import annotations

import os
import re

from cache_strategy.rules._shell import invocations, output_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# The files that rules look at, by their endings.
JUDGED = (".py", ".pyi", ".conf", ".vcl", ".sql", ".tf", ".yml", ".yaml")
_SED = regex(
    r"(?P<line>\d+)?(?:/(?P<at>(?:[^/\\]|\\.)+)/)?(?:(?P<delete>d)|s(?P<mark>[/|#,])(?P<rest>.+))\Z", re.S
)


def written_files(
    command: str, cwd: str, read: "Callable[[str], str | None]"
) -> "Iterator[tuple[str, str | None, str]]":
    """(path, text as it is, text as it will be) of every file that a command writes."""
    for run in invocations(command):
        name, *args = map(str, run.argv)
        if name == "sed" and any(re.match(r"-[nEr]*i|--in-place", arg) for arg in args):
            yield from _edited(args, cwd, read)
            continue
        text = output_of(run)
        appends = name == "tee" and bool({"-a", "--append"} & set(args))
        files = [(">>" if appends else ">", arg) for arg in args if name == "tee" and not arg.startswith("-")]
        for operator, target in [*files, *run.writes]:
            if text is not None and target.endswith(JUDGED) and "$" not in target:
                path = os.path.join(cwd, target)
                before = read(path)
                yield path, before, ((before or "") + text if ">>" in operator else text)


def _edited(
    args: "list[str]", cwd: str, read: "Callable[[str], str | None]"
) -> "Iterator[tuple[str, str | None, str]]":
    scripts = [args[index + 1] for index, arg in enumerate(args[:-1]) if arg in ("-e", "--expression")]
    rest = [arg for arg in args if not arg.startswith("-") and arg not in scripts]
    if not scripts:
        scripts, rest = rest[:1], rest[1:]
    extended = any(arg in ("-E", "-r", "--regexp-extended") for arg in args)
    for target in rest:
        before = read(os.path.join(cwd, target)) if target.endswith(JUDGED) else None
        after = before
        for script in scripts:
            after = _sed(script, after, extended) if after is not None else None
        if before is not None and after is not None:
            yield os.path.join(cwd, target), before, after


def _sed(script: str, text: str, extended: bool) -> "str | None":
    """A text after one sed command; None for a command that is not understood."""
    found = _SED.match(script)
    if found is None:
        return None
    where = _pattern(found["at"], extended) if found["at"] else None
    parts = re.split(r"(?<!\\)" + re.escape(found["mark"]), found["rest"]) if found["mark"] else ["", "", ""]
    what = _pattern(parts[0], extended)
    if what is None or len(parts) != 3 or (found["at"] and where is None):
        return None
    new = re.sub(r"(?<!\\)&", r"\\g<0>", parts[1])
    rows = []
    for number, row in enumerate(text.split("\n"), start=1):
        if (found["line"] and number != int(found["line"])) or (where is not None and not where.search(row)):
            rows.append(row)
        elif not found["delete"]:
            rows.append(what.sub(new, row, count=0 if "g" in parts[2] else 1))
    return "\n".join(rows)


def _pattern(text: str, extended: bool) -> "re.Pattern[str] | None":
    """A sed pattern as Python's: in a basic one `+?|(){}` are meant literally unless they are escaped."""
    if not extended:
        text = re.sub(
            r"\\?[+?|(){}]", lambda found: found[0][1:] if len(found[0]) > 1 else "\\" + found[0], text
        )
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None
