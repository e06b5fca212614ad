"""Functions whose yes or no lets a caller go on, as only the callers show."""

from collections.abc import Iterable, Iterator

from cache_strategy.profile.facts import Context
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.program import FunctionInfo

_YES_OR_NO = frozenset("== != < in is not".split())
_SAYING = frozenset({"bool", "exists", "any", "all"})


def guards_in(analysis: Analysis, contexts: Iterable[Context]) -> dict[int, str]:
    """By the index of a function that answers yes or no: where a caller refuses by its answer, "refuse (app.py:7)"."""
    found: dict[int, str] = {}
    refusing: dict[int, set[int]] = {}
    answers: dict[int, bool] = {}
    for context in contexts:
        caller = context.function
        if caller.index not in refusing:
            refusing[caller.index] = set(_refusals(caller.statements())) if b"raise" in caller.body else set()
        for call in context.facts.calls if refusing[caller.index] else ():
            callee = analysis.contexts[call.callee].function
            if call.line in refusing[caller.index] and callee.index != caller.index:
                if callee.index not in answers:
                    answers[callee.index] = _says_yes_or_no(callee)
                if answers[callee.index]:
                    path = analysis.modules[caller.module].path
                    found.setdefault(callee.index, f"{caller.qualname} ({path}:{call.line})")
    return found


def _refusals(statements: Node) -> Iterator[int]:
    """The lines of conditions behind which something is raised at once."""
    for statement in statements:
        if statement[0] == "if" and any(s[0] == "raise" for s in (*statement[3], *statement[4])):
            yield statement[1]
        for part in statement[1:]:
            if isinstance(part, tuple) and part and isinstance(part[0], tuple):
                yield from _refusals(_only_statements(part))


def _only_statements(part: Node) -> Node:
    inner: list[Node] = []
    for each in part:
        if isinstance(each, tuple) and each and isinstance(each[0], str):
            inner.append(each)
        elif isinstance(each, tuple):
            inner.extend(e for e in each if isinstance(e, tuple) and e and isinstance(e[0], str))
    return tuple(inner)


def _says_yes_or_no(function: FunctionInfo) -> bool:
    answers = list(_returned(function.statements()))
    return bool(answers) and all(map(_is_yes_or_no, answers))


def _returned(statements: Node) -> Iterator[Node]:
    for statement in statements:
        if statement[0] == "return":
            yield statement[2] or ("none",)
        for part in statement[1:]:
            if isinstance(part, tuple) and part and isinstance(part[0], tuple):
                yield from _returned(_only_statements(part))


def _is_yes_or_no(value: Node) -> bool:
    if value[0] == "const":
        return isinstance(value[1], bool)
    if value[0] == "op" and value[2] in ("and", "or"):
        return all(map(_is_yes_or_no, value[3]))
    if value[0] == "call":
        called = value[2]
        return (called[2] if called[0] == "name" else called[3] if called[0] == "attr" else "") in _SAYING
    return value[0] == "op" and value[2] in _YES_OR_NO
