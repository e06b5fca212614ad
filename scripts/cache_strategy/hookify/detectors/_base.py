"""The one contract of the family: a detector takes a session and yields what it sighted."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cache_strategy.hookify.transcripts import Session, ToolCall
from cache_strategy.model.proposal import Lasts


@dataclass(slots=True)
class Sighting:
    """
    An incident as a detector saw it, unmasked and with its calls; it never leaves `hookify`.

    `said` is the objecting sentence, "" for a rejection without a word, `context` the prompt around it, `core` the part
    that names the deed. `calls` are the calls it is about, latest first, `recent` those that were made before, which a
    rule may turn out to be about. `words` are the stems that sentence and calls share. `check` names a safety rule, ""
    for none. `because` says what spoke for an
    incident, `reply` is what the user wrote right after a rejection without a word. The detector fills in `kind`, `file` and `session`.
    """

    line: int
    said: str
    strength: float
    core: str = ""
    context: str = ""
    calls: tuple[ToolCall, ...] = ()
    recent: tuple[ToolCall, ...] = ()
    words: tuple[str, ...] = ()
    lasts: Lasts = "always"
    lasting: bool = False
    check: str = ""
    because: tuple[str, ...] = ()
    reply: str = ""
    kind: str = ""
    file: str = ""
    session: str = ""


Find = Callable[[Session], Iterator[Sighting]]


class Detector:
    """One kind of incident: its name (the file's), its page (the file's docstring) and the function that finds it."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.name = module.rpartition(".")[2]
        self._find: Find | None = None

    @property
    def page(self) -> str:
        """What the detector finds, and what it leaves alone."""
        return (sys.modules[self.module].__doc__ or "").strip()

    def finds(self, function: Find) -> Find:
        """Registers the function that yields the sightings of a session, in order."""
        self._find = function
        return function

    def sightings(self, session: Session) -> Iterator[Sighting]:
        """The incidents of this kind in a session."""
        if self._find is not None:
            for sighting in self._find(session):
                sighting.kind, sighting.file, sighting.session = self.name, session.file, session.id
                yield sighting
