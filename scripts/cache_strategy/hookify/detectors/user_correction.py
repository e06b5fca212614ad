"""
A typed prompt, after calls were made, that objects to what the agent did.

Finds
    "do not restart the tunnel", "I've reverted your changes", "why did you change the schema?", "use pnpm, not npm", weighed
    by where it was said; and prompts without such a verb where enough other signs come together ("why cd and not just run
    from root?" and "sorry" as the answer), or that were typed for the memory. "Not yet" is found and marked: it holds for a turn and becomes no rule.

Leaves alone
    First prompts that specify, pasted reviews and logs, quotations, hypotheticals, wishes about the product
    ("the button should not be red"), reassurance and permission.
"""

import re
from collections.abc import Iterator

from cache_strategy.hookify.circumstances import calls_before, weighed
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.linking import linked
from cache_strategy.hookify.provenance import OwnWords, own_words
from cache_strategy.hookify.signs import TELLING, signs_in, weight_of
from cache_strategy.hookify.transcripts import Prompt, Session
from cache_strategy.hookify.vocabulary import spoken_deed
from cache_strategy.hookify.wording import (
    BECAUSE,
    ENOUGH,
    LASTING,
    THIS_TURN,
    Objection,
    objections_in,
    sentences_of,
)

detector = Detector(__name__)

_MEMORISED = 0.8


@detector.finds
def find_corrections(session: Session) -> Iterator[Sighting]:
    """The strongest objection of each prompt that has one, else its signs where they are enough."""
    done = 0
    for prompt in session.prompts:
        words = own_words(prompt.text)
        sightings = [_sighting(session, prompt, o, words) for o in objections_in(words.text)]
        strong = [s for s in sightings if s.strength >= ENOUGH]
        if prompt.provenance == "memory":
            yield _put_into_memory(session, prompt)
        elif strong:
            yield max(strong, key=lambda s: (s.lasts == "always", s.strength))
        elif prompt.calls_before and not prompt.first and prompt.provenance in ("typed", "queued", "program"):
            yield from _told_by_signs(session, prompt, words, acted=prompt.calls_before > done)
        done = prompt.calls_before


def _put_into_memory(session: Session, prompt: Prompt) -> Sighting:
    """What is typed for the memory shall hold for good: that it had to be said is the incident."""
    objections = objections_in(prompt.text)
    core = objections[0].core if objections else prompt.text
    recent = tuple(calls_before(session, prompt))
    link = linked(core, recent)
    return Sighting(
        line=prompt.line,
        said=prompt.text,
        core=core,
        context=prompt.text,
        strength=_MEMORISED,
        calls=link.calls,
        recent=recent,
        words=link.words,
        lasting=True,
        because=("was put into the agent's memory",),
    )


def _told_by_signs(session: Session, prompt: Prompt, words: OwnWords, *, acted: bool) -> Iterator[Sighting]:
    recent = tuple(calls_before(session, prompt))
    signs = signs_in(prompt, words, recent, acted=acted)
    if signs.strength < TELLING:
        return
    said = max(sentences_of(words.text) or [words.text], key=weight_of)
    link = linked(said, recent)
    yield Sighting(
        line=prompt.line,
        said=said,
        core=said,
        context=prompt.text,
        strength=signs.strength,
        calls=link.calls,
        recent=recent,
        words=link.words,
        lasts="turn" if THIS_TURN.search(words.text) and not LASTING.search(words.text) else "always",
        lasting=bool(LASTING.search(said)),
        because=signs.reasons,
    )


def _sighting(session: Session, prompt: Prompt, objection: Objection, words: OwnWords) -> Sighting:
    recent = calls_before(session, prompt)
    link = linked(objection.core, recent)
    calls = link.calls
    if objection.kind == "undone" and not calls:
        calls = tuple(call for call in reversed(recent) if call.path)[:8]
    strength = weighed(objection, prompt, long=words.long, is_linked=bool(link.calls))
    if objection.kind == "reminded":
        deed = spoken_deed(objection.core)
        earlier = session.calls[: prompt.calls_before] if deed is not None else []
        if deed is not None and any(re.search(deed.pattern, c.command, re.I) for c in earlier):
            strength = min(1.0, round(strength + 0.2, 2))
    return Sighting(
        line=prompt.line,
        said=objection.words,
        core=objection.core,
        context=prompt.text,
        strength=strength,
        calls=calls,
        recent=tuple(recent),
        words=link.words,
        lasts=objection.lasts,
        lasting=objection.lasting,
        because=(BECAUSE[objection.kind],),
    )
