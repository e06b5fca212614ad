"""What a prompt's words are worth where they were said: after which calls, by whom, how long a text."""

import re
from collections.abc import Sequence

from cache_strategy.hookify.linking import LOOKED_BACK
from cache_strategy.hookify.transcripts import Prompt, Session, ToolCall
from cache_strategy.hookify.wording import ENOUGH, HISTORY, THIS_TURN, Objection, is_supposition, sentences_of

_GO_ON = re.compile(
    r"\s*(?:(?:ok(?:ay)?|yes|yep|yeah|sure|alright|please|now|sorry\b[^.,!\n]*|oops\b[^.,!\n]*|my\s+(?:bad|mistake)|"
    r"i\s+(?:accidentally|mis-?clicked|mis-?typed|did\s*n[o'’]?t\s+mean\s+to)\b[^.,!\n]*)[\s,.!]+)*"
    r"(?:continue|go\s+on|go\s+ahead|proceed|carry\s+on|resume|yes|yep|yeah|sure|try\s+again|retry|sorry.*|my\s+bad.*|oops.*|approved?|i\s+mis-?clicked.*)"
    r"(?:\s+(?:please|now|then|with\s+(?:it|that)))?\s*[.!]*\s*\Z",
    re.I | re.S,
)

_BARE = re.compile(
    r"\W*(?:(?:no|please|pls|and|but)\W+)*(?:do\s*n[o'’]t|don['’]?t'?s?|never)(?:\s+\S+){1,3}\s*\Z", re.I
)
"""Nothing but a prohibition in up to four words: a wish about the product says more."""

_PAUSE = re.compile(r"\W*(?:oh\W+)?(?:wait|h[ao](?:ng|ld)\s+on)\b", re.I)


def calls_before(session: Session, prompt: Prompt) -> Sequence[ToolCall]:
    """The calls before a prompt that it may speak of, oldest first."""
    return session.calls[max(0, prompt.calls_before - LOOKED_BACK) : prompt.calls_before]


def weighed(objection: Objection, prompt: Prompt, *, long: bool, is_linked: bool) -> float:
    """
    The objection's strength under its circumstances, 0 to 1.

    A first prompt and the arguments of a command specify; a long text does mostly. What follows an
    interrupt, or speaks of calls that were really made, objects. The weights are assumed.
    """
    strength = objection.strength
    if prompt.first:
        strength -= 0.15 if HISTORY.search(objection.words) and len(prompt.text) <= 300 else 0.5
    if prompt.provenance == "command":
        strength -= 0.2
    if long:
        strength -= 0.2
    if prompt.after_interrupt:
        strength += 0.15
    if is_linked:
        strength += 0.1
    if objection.kind == "prohibited" and _BARE.match(prompt.text) and not prompt.first:
        strength = max(strength, ENOUGH)
    return round(min(1.0, max(0.0, strength)), 2)


_ASKS = re.compile(
    r"\s*(?:where|what|which|how|is|are|does|do|can|could|should|would)\b(?!.*\byou\b)", re.I | re.S
)


def is_go_ahead(text: str) -> bool:
    """Whether a prompt says no more than to go on: the rejection before it was a pause."""
    return bool(_GO_ON.match(text[:200]))


def is_for_now(reason: str) -> bool:
    """Whether a reason without an objection only asks, or puts the call off."""
    said = sentences_of(reason)
    return bool(said) and (
        bool(_PAUSE.match(reason))
        or bool(THIS_TURN.search(reason))
        or all(is_supposition(s) or _ASKS.match(s) for s in said)
    )
