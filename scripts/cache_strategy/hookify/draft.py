"""A rule in the making, and the calls from the history that are its examples."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from cache_strategy.hookify.changes import added_text, change_of, shortened
from cache_strategy.hookify.masking import masked
from cache_strategy.hookify.transcripts import ToolCall
from cache_strategy.model.proposal import Example, RuleEvent
from cache_strategy.rules import check_change, check_command

ANY_CHANGE = "."
"""The pattern of a rule that is about a file's path alone."""

_EXAMPLE_LIMIT = 1_200


@dataclass(slots=True)
class Draft:
    """
    A rule in the making.

    `files` narrows event file to paths. `calls` are the keys of the calls objected to, `examples` some of them, masked.
    `named` is true for a deed that has a name in speech. `near` is a word of calls that are alike and shall pass.
    `endings` are the kinds of file it was seen in; `files` follows from them. On event stop `pattern` is what must have
    been run since the last edit.
    """

    event: RuleEvent
    name: str
    instead: str
    pattern: str = ""
    check: str = ""
    files: str = ""
    calls: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    named: bool = False
    near: str = ""
    endings: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Drafts with the same key are one rule."""
        return (self.event, self.check, self.pattern, "" if self.endings else self.files)

    def take_in(self, other: "Draft") -> None:
        self.calls = tuple(dict.fromkeys((*self.calls, *other.calls)))
        self.examples = tuple(dict.fromkeys((*self.examples, *other.examples)))[:3]
        self.see_in(self.endings | other.endings)

    def see_in(self, endings: frozenset[str]) -> None:
        """Narrows the rule to kinds of file."""
        self.endings = endings
        if endings:
            known = sorted(re.escape(ending) for ending in endings)
            self.files = "" if "" in endings else "(?:" + "|".join(known) + r")\Z"

    def caught(self, hits: Iterable[ToolCall]) -> "Draft":
        """The draft with the calls that it is for, and up to three of them as examples."""
        calls = list(hits)
        self.calls = tuple(call.key for call in calls)
        found = (example_of(call, with_change=bool(self.check)) for call in calls[:5])
        self.examples = tuple(e for e in found if e is not None and self.matches(e))[:3]
        return self

    def matches(self, example: Example) -> bool:
        """Whether a masked example still has what the draft looks for."""
        if self.check and example.command:
            return any(finding.name == self.check for finding in check_command(example.command))
        if self.check:
            found = check_change(example.before, example.after, example.path)
            return any(finding.name == self.check for finding in found)
        text = example.command if self.event == "bash" else example.added
        return bool(re.search(self.pattern, text, re.I)) and bool(re.search(self.files, example.path, re.I))


def example_of(
    call: ToolCall, *, with_change: bool = False, expect: Literal["match", "pass"] = "match"
) -> Example | None:
    """A masked call as an example for a rule file; None where it cannot be kept."""
    if call.command:
        short = len(call.command) <= _EXAMPLE_LIMIT
        return Example(expect=expect, command=masked(call.command)) if short else None
    path = PurePosixPath(call.path.replace("\\", "/")).name
    if with_change:
        change = change_of(call)
        old, new = shortened(change[0], change[1]) if change and change[0] is not None else ("", "")
        if not 0 < len(old) + len(new) <= 2 * _EXAMPLE_LIMIT:
            return None
        return Example(expect=expect, path=path, before=masked(old), after=masked(new))
    added = added_text(call) if path else ""
    if not 0 < len(added) <= _EXAMPLE_LIMIT:
        return None
    return Example(expect=expect, path=path, added=masked(added))
