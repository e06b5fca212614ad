"""A shell command as the programs that it runs, well enough to name one: not to judge it, which the rules do."""

from cache_strategy.rules._shell_grammar import ASSIGNMENT, Scanner

_WRAPPERS = frozenset(
    "sudo env time nohup exec command rtk xargs timeout do then else if while until ! nice {".split()
)


def programs(command: str) -> list[list[str]]:
    """
    The words of each program in a command, without assignments, redirections and plain wrappers such as sudo.

    Quoted text is one word; here-documents and comments are left out. Nothing is expanded.
    """
    scanner = Scanner(command, 1, 0)
    scanner.scan()
    found: list[list[str]] = []
    for simple in scanner.commands:
        words = [str(word) for word in simple.argv]
        while words and (words[0] in _WRAPPERS or ASSIGNMENT.match(words[0])):
            words = words[2:] if words[0] == "timeout" else words[1:]
        if words:
            found.append([words[0].rpartition("/")[2] or words[0], *words[1:]])
    return found
