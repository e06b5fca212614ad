"""A shell command as the programs that it runs, well enough to name one: not to judge it, which the rules do."""

import re

from cache_strategy.rules._shell import simple_commands

_WRAPPERS = frozenset(
    "sudo env time nohup exec command rtk xargs timeout do then else if while until ! nice {".split()
)
_SYNTAX = frozenset("fi done esac } for case select function".split())
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def programs(command: str) -> list[list[str]]:
    """
    The words of each program in a command, without assignments, redirections and plain wrappers such as sudo.

    Quoted text is one word; here-documents and comments are left out. Nothing is expanded.
    """
    found: list[list[str]] = []
    for words in simple_commands(command):
        while words and (words[0] in _WRAPPERS or _ASSIGNMENT.match(words[0])):
            words = words[2:] if words[0] == "timeout" else words[1:]
        if words and words[0] not in _SYNTAX:
            found.append([words[0].rpartition("/")[2] or words[0], *words[1:]])
    return found
