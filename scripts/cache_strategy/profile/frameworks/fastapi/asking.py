"""Who asks, as a handler sees it: the parameter that stands for everything that was looked at to know it."""

import re
from collections.abc import Set
from dataclasses import dataclass, field

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile.frameworks.fastapi.fields import fields_of, is_model
from cache_strategy.profile.keys import CREDENTIALS
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.values import PLAIN, Constant, Instance, Plain, Value, Values, one

PERSONAL = frozenset({"user", "session"})
_ITSELF = "."
_SECRET = re.compile(r"(token|secret|credential|authori|jwt|password|cookie|api_?key)", re.IGNORECASE)
"""Names of what has no place in a key, which stands in Redis and in messages."""
# The first of these that a model has stands for it in a key; the emitted cache tells the whole model apart anyway.
_NAMES = ("id", "user_id", "uid", "uuid", "pk", "sub", "username", "email")


def is_asking(read: ContextRead) -> bool:
    """Whether something is looked at to know who asks."""
    return read.kind in PERSONAL or (read.kind in ("header", "cookie") and read.name.lower() in CREDENTIALS)


@dataclass
class Asking:
    """
    What the dependencies of one handler give it, and what they look at for it.

    A handler sees nothing of a dependency but what it gives. Where that is a row, it is the row of its key, whatever
    token it was found by; plain data and models are parts of a key themselves.
    """

    analysis: Analysis
    _told: dict[ContextRead, str] = field(default_factory=dict)
    _untold: set[ContextRead] = field(default_factory=set)
    _guarding: set[ContextRead] = field(default_factory=set)

    def given(self, name: str, values: Values, noted: Values, personal: Set[ContextRead]) -> None:
        """
        A parameter's values, what its annotation says, and what was looked at for them.

        "" as a name where the handler gets them in another way. A wrong annotation is found when the key is made: the
        emitted cache takes nothing but plain data.
        """
        expression = self._expression(name, values, noted) if name and personal else ""
        if expression:
            self._told.update(dict.fromkeys(personal, expression))
        else:
            self._untold |= personal

    def guarded(self, personal: Set[ContextRead]) -> None:
        """What a dependency looked at that gives the handler nothing: it lets the request pass or does not."""
        self._guarding |= personal

    def identities(self) -> dict[ContextRead, str]:
        """The expression that stands for each read, of those whose every way to the handler is known."""
        found = dict(self._told)
        if found:
            anybody = next(iter(found.values()))
            found = {**dict.fromkeys(self._guarding, anybody), **found}
        return {read: expression for read, expression in found.items() if read not in self._untold}

    def _expression(self, name: str, values: Values, noted: Values) -> str:
        found = {self._attribute(value) for value in values - one(Constant(None))}
        attribute = found.pop() if len(found) == 1 else ""
        if attribute == _ITSELF or (not attribute and noted == PLAIN):
            return "" if _SECRET.search(name) else name
        return f"{name}.{attribute}" if attribute else ""

    def _attribute(self, value: Value) -> str:
        """What of a value tells it from others: its primary key, a name, itself; "" where nothing is known to."""
        if isinstance(value, Plain):
            return _ITSELF
        if not isinstance(value, Instance):
            return ""
        mapped = self.analysis.row(value)
        if mapped is not None:
            known = {*mapped.columns, *mapped.relations}
            noted = {name for owner, name in self.analysis.stores if owner == value.index} - known
            return mapped.primary_key[0] if len(mapped.primary_key) == 1 and not noted else ""
        names = fields_of(self.analysis, value.index) if is_model(self.analysis, value.index) else {}
        return next((name for name in _NAMES if name in names), "")
