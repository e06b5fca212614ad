"""
Regular expressions that are compiled when they are first used, and without `re` where that was done before.

A hook has hundreds of them and uses a handful. Compiling these, and the import of `re` itself, cost more than judging an edit. So a
process that has not imported `re` keeps what it compiles beside the compiled Python files, for exactly this Python, and the next one
hands it to the engine. Standard library only and Python 3.9.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any, AnyStr

# The values of `re.I`, `re.M` and `re.S`.
I, M, S = 2, 8, 16  # noqa: E741 - as `re` calls it
_METHODS = ("search", "match", "fullmatch", "findall", "finditer", "split", "sub", "pattern")
# So many patterns the guard does not have: a bound for what is made of somebody's names.
_MOST = 600
_SPECIAL = {ord(mark): "\\" + mark for mark in "()[]{}?*+-|^$\\.&~# \t\n\r\v\f"}

_MADE: "dict[tuple[str | bytes, int], re.Pattern[Any]]" = {}
# What earlier processes compiled, each as the arguments of the engine, marshalled; empty where `re` is at hand anyway.
_KEPT: "dict[tuple[str | bytes, int], bytes]" = {}
_KEEPS = "re" not in sys.modules
_new: "list[tuple[str | bytes, int]]" = []


def compiled(text: "str | bytes", flags: int = 0) -> "re.Pattern[Any]":
    """The pattern of a text, as `re.compile` gives it."""
    key = (text, int(flags))
    found = _MADE.get(key)
    if found is None:
        found = _MADE[key] = (_kept(key) if _KEEPS else None) or _anew(key)
    return found


def _kept(key: "tuple[str | bytes, int]") -> "re.Pattern[Any] | None":
    """A pattern as it was kept; the engine refuses code that is none."""
    import _sre  # type: ignore[import-not-found]  # not in typeshed
    import marshal

    try:
        if not _KEPT:
            _KEPT[("", -1)] = b""
            with open(_place(), "rb") as file:
                _KEPT.update(marshal.loads(file.read()))
        return _sre.compile(*marshal.loads(_KEPT[key]))  # type: ignore[no-any-return]  # not in typeshed
    except Exception:  # whatever is wrong with what was kept, it is compiled again
        return None


def _anew(key: "tuple[str | bytes, int]") -> "re.Pattern[Any]":
    import re

    if _KEEPS:
        try:
            _KEPT[key] = _code_of(*key)
            _new.append(key)
        except Exception:  # another Python's `re` is made otherwise: nothing is kept
            _KEPT.pop(key, None)
    return re.compile(*key)


def _code_of(text: "str | bytes", flags: int) -> bytes:
    """The arguments of the engine, as `re` puts them together in CPython 3.9 to 3.14."""
    import marshal

    try:
        from re import _compiler as compiler  # type: ignore[attr-defined]  # not in typeshed
        from re import _parser as parser  # type: ignore[attr-defined]  # not in typeshed
    except ImportError:
        import sre_compile as compiler  # what they were called before 3.11
        import sre_parse as parser
    parsed = parser.parse(text, flags)
    names = parsed.state.groupdict
    by_number = {number: name for name, number in names.items()}
    groups = tuple(by_number.get(number) for number in range(parsed.state.groups))
    code = [int(word) for word in compiler._code(parsed, flags)]
    return marshal.dumps(
        (text, int(flags | parsed.state.flags), code, parsed.state.groups - 1, dict(names), groups)
    )


def _place() -> str:
    """Where this Python's patterns lie: with its compiled files."""
    cached = __spec__.cached or ""
    return f"{cached.rpartition('.')[0]}-{sys.hexversion:x}.kept"


def keep() -> None:
    """Writes down what was compiled in this process; where that cannot be done, the next one compiles it again."""
    if not _new or sys.dont_write_bytecode or len(_KEPT) > _MOST:
        return
    import marshal
    import os

    path = f"{_place()}.{os.getpid()}"
    try:
        with open(path, "xb") as file:
            file.write(marshal.dumps(_KEPT))
        os.replace(path, _place())
    except (OSError, ValueError):
        return


class _Waiting:
    """Stands for a pattern: its first use compiles it, from then on its methods are the compiled one's."""

    def __init__(self, text: "str | bytes", flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        if name not in _METHODS:
            raise AttributeError(name)
        found = compiled(self._text, self._flags)
        for each in _METHODS:
            self.__dict__[each] = getattr(found, each)
        return self.__dict__[name]


def unkept(text: str, flags: int = 0) -> "re.Pattern[str]":
    """The same for a pattern made of somebody's names: others will not need it."""
    import re

    return re.compile(text, flags)


def regex(text: "AnyStr", flags: int = 0) -> "re.Pattern[AnyStr]":
    """The pattern of a text, as `re.compile` gives it, but not compiled yet."""
    return _Waiting(text, flags)  # type: ignore[return-value]  # answers as a pattern does


def search(pattern: str, text: str, flags: int = 0) -> "re.Match[str] | None":
    return compiled(pattern, flags).search(text)


def match(pattern: str, text: str, flags: int = 0) -> "re.Match[str] | None":
    return compiled(pattern, flags).match(text)


def fullmatch(pattern: str, text: str, flags: int = 0) -> "re.Match[str] | None":
    return compiled(pattern, flags).fullmatch(text)


def findall(pattern: str, text: str, flags: int = 0) -> "list[str]":
    return compiled(pattern, flags).findall(text)


def split(pattern: str, text: str, maxsplit: int = 0) -> "list[str]":
    return compiled(pattern).split(text, maxsplit)


def sub(pattern: str, by: "str | Callable[[re.Match[str]], str]", text: str, flags: int = 0) -> str:
    return compiled(pattern, flags).sub(by, text)


def escape(text: str) -> str:
    """As `re.escape`."""
    return text.translate(_SPECIAL)
