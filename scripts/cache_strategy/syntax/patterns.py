"""
Regular expressions that are compiled when they are first used.

A hook imports a hundred of them and uses a handful; compiling all costs more than judging an edit. Standard library only and
Python 3.9.
"""

import re

_METHODS = ("search", "match", "fullmatch", "findall", "finditer", "split", "sub", "pattern")


class _Waiting:
    """Stands for a pattern: its first use compiles it, from then on its methods are the compiled one's."""

    def __init__(self, text: str, flags: "int | re.RegexFlag") -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._text, self._flags)
        for each in _METHODS:
            self.__dict__[each] = getattr(compiled, each)
        return self.__dict__[name]


def regex(text: str, flags: "int | re.RegexFlag" = 0) -> "re.Pattern[str]":
    """The pattern of a text, as `re.compile` gives it, but not compiled yet."""
    return _Waiting(text, flags)  # type: ignore[return-value]  # answers as a pattern does
