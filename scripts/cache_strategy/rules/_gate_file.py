"""
Writes what `hooks/rule_gate.py` reads: per rule, its kinds of event, pieces of text without which it cannot fire, and
the rule itself, so that a call that it stops need not read its file.

A piece holds only characters that JSON writes as they are. Of the pieces of a rule one must occur in the event, in small
letters; a rule with none is always asked.
"""

from __future__ import annotations

import json
import os

from cache_strategy.rules._rule_file import REGEX_FAULTS, problems_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cache_strategy.rules._rule_file import Condition, PatternRule

_KINDS = {"bash": "b", "file": "f", "stop": "s", "prompt": "p", "all": "bfspo"}
_WRITTEN_AS_IT_IS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789 _.:=@%+!*-,;()[]{}")
_NOT_IN_THE_EVENT = frozenset(("transcript", "reason", "commands_since_edit"))
_LITERAL = frozenset(("contains", "equals", "starts_with", "ends_with"))


def write_gate_file(path: str, stamp: bytes, rules: "Sequence[PatternRule]") -> None:
    """One line per rule below the stamp of their files; does nothing where that cannot be written."""
    lines = []
    for rule in rules:
        kinds = "".join(_KINDS.get(event, "") for event in rule.events) if rule.enabled else ""
        kinds += "c" * bool(rule.check) + "n" * bool(problems_of(rule))
        pieces = "\x1f".join(_pieces_of(rule))
        lines.append(f"{kinds}\t{pieces}\t{json.dumps(rule)}\n")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        beside = f"{path}.{os.getpid()}"
        with open(beside, "wb") as file:
            file.write(stamp + "".join(lines).encode("utf-8", "surrogateescape"))
        os.replace(beside, path)
    except (OSError, ValueError):
        return


def _pieces_of(rule: "PatternRule") -> "list[str]":
    best: "list[str]" = []
    for condition in rule.conditions:
        best = _better(best, _pieces_of_condition(condition))
    return best


def _pieces_of_condition(condition: "Condition") -> "list[str]":
    if condition.pattern is None or condition.field in _NOT_IN_THE_EVENT:
        return []
    if condition.operator in _LITERAL:
        best: "list[str]" = []
        for run in "".join(c if c in _WRITTEN_AS_IT_IS else "\n" for c in condition.pattern.lower()).split(
            "\n"
        ):
            best = _better(best, [run])
        return best
    if condition.operator != "regex_match":
        return []
    try:
        from re import _parser as parser  # type: ignore[attr-defined]  # not in typeshed
    except ImportError:  # before Python 3.11
        import sre_parse as parser
    try:
        return _needed(parser.parse(condition.pattern))
    except REGEX_FAULTS:
        return []


def _needed(tokens: "Iterable[Any]") -> "list[str]":
    """Texts of which one stands in whatever a parsed pattern matches; none where that is not sure."""
    best: "list[str]" = []
    run = ""
    for operation, argument in tokens:
        name = str(operation)
        character = chr(argument).lower() if name == "LITERAL" else ""
        if character in _WRITTEN_AS_IT_IS:
            run += character
            continue
        best, run = _better(best, [run]), ""
        if name == "SUBPATTERN":
            best = _better(best, _needed(argument[-1]))
        elif name == "BRANCH":
            groups = [_needed(branch) for branch in argument[1]]
            best = _better(best, [text for group in groups for text in group] if all(groups) else [])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0]:
            best = _better(best, _needed(argument[2]))
        elif name == "ATOMIC_GROUP":
            best = _better(best, _needed(argument))
        elif name == "ASSERT":
            best = _better(best, _needed(argument[1]))
    return _better(best, [run])


def _better(one: "list[str]", other: "list[str]") -> "list[str]":
    """The pieces that are rarer: the longer of the two shortest. A piece of one character says nothing."""
    length = min(map(len, other), default=0)
    return other if length > 1 and length > min(map(len, one), default=0) else one
