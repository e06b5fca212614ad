"""
A typed prompt, after calls were made, that objects to what the agent did.

Finds
    "do not restart the tunnel", "I've reverted your changes", "why did you change the schema?", "use pnpm, not npm", weighed
    by where it was said. "Not yet" is found and marked: it holds for a turn and becomes no rule.

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
from cache_strategy.hookify.transcripts import Prompt, Session
from cache_strategy.hookify.vocabulary import spoken_deed
from cache_strategy.hookify.wording import ENOUGH, Objection, objections_in

detector = Detector(__name__)


@detector.finds
def find_corrections(session: Session) -> Iterator[Sighting]:
    """The strongest objection of each prompt that has one."""
    for prompt in session.prompts:
        words = own_words(prompt.text)
        sightings = [_sighting(session, prompt, o, words) for o in objections_in(words.text)]
        strong = [s for s in sightings if s.strength >= ENOUGH]
        if strong:
            yield max(strong, key=lambda s: (s.lasts == "always", s.strength))


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
    )
