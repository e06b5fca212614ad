"""A shell command as the programs that it runs, well enough to name one: not to judge it, which the rules do."""

import re

_SEPARATORS = ";&|()`\n"
_WRAPPERS = frozenset(
    "sudo env time nohup exec command rtk xargs do then else if while until ! nice {".split()
)
_WRAPPERS_WITH_VALUE = frozenset(("timeout",))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_REDIRECTION = re.compile(r"\d*(?:>>?|<)(?:&\d|\|)?")


def programs(command: str) -> list[list[str]]:
    """
    The words of each program in a command, without assignments, redirections and plain wrappers such as sudo.

    Quoted text is one word; here-documents and comments are left out. Nothing is expanded.
    """
    found: list[list[str]] = []
    for words in _simple_commands(_without_here_documents(command)):
        while words and (
            words[0] in _WRAPPERS or _ASSIGNMENT.match(words[0]) or words[0] in _WRAPPERS_WITH_VALUE
        ):
            words = words[2:] if words[0] in _WRAPPERS_WITH_VALUE else words[1:]
        if words:
            found.append([words[0].rpartition("/")[2] or words[0], *words[1:]])
    return found


def _without_here_documents(command: str) -> str:
    lines: list[str] = []
    waiting: list[str] = []
    for line in command.split("\n"):
        if waiting:
            if line.strip() == waiting[0]:
                waiting.pop(0)
            continue
        lines.append(_HERE.sub(" ", line))
        waiting = [match[2] for match in _HERE.finditer(line)]
    return "\n".join(lines)


def _simple_commands(text: str) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    word: list[str] | None = None
    quote = ""
    index = 0
    while index < len(text):
        character = text[index]
        if quote:
            if character == quote:
                quote = ""
            elif character == "\\" and quote == '"' and index + 1 < len(text):
                index += 1
                (word := word if word is not None else []).append(text[index])
            else:
                (word := word if word is not None else []).append(character)
        elif character in "'\"":
            quote, word = character, word if word is not None else []
        elif character == "\\" and index + 1 < len(text):
            index += 1
            if text[index] != "\n":
                (word := word if word is not None else []).append(text[index])
        elif character == "#" and word is None:
            end = text.find("\n", index)
            index = (len(text) if end < 0 else end) - 1
        elif character in _SEPARATORS or character.isspace():
            if word is not None:
                commands[-1].append("".join(word))
                word = None
            if character in _SEPARATORS and commands[-1]:
                commands.append([])
        else:
            redirection = _REDIRECTION.match(text, index) if word is None else None
            if redirection:
                index = _after_target(text, redirection.end()) - 1
            else:
                (word := word if word is not None else []).append(character)
        index += 1
    if word is not None:
        commands[-1].append("".join(word))
    return [words for words in commands if words]


def _after_target(text: str, index: int) -> int:
    """The position after the file that a redirection names."""
    while index < len(text) and text[index] in " \t":
        index += 1
    while index < len(text) and text[index] not in _SEPARATORS and not text[index].isspace():
        index += 1
    return index
