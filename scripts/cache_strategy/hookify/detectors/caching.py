"""
A caching mistake: the words complain of one, and a call before them made it.

Finds
    An edit that took an invalidation away, an edit that cached a user's data for everybody, a command that wiped or
    scanned a whole cache: where the user's words say so, or the user rejected the call. Leads to the safety check.

Leaves alone
    Talk about caching without such a call, and such calls without an objection: the guard speaks of those itself.
"""

import re
from collections.abc import Callable, Iterator

from cache_strategy.hookify.changes import added_text, change_of, removed_text
from cache_strategy.hookify.circumstances import calls_before, is_go_ahead
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.provenance import own_words
from cache_strategy.hookify.transcripts import Session, ToolCall
from cache_strategy.hookify.wording import LASTING, THIS_TURN, is_supposition, sentences_of
from cache_strategy.rules import check_change, check_command

detector = Detector(__name__)

REMOVED = "removed-invalidation"
SHARED = "shared-key-for-user-data"
WIPED = "cache-wipe-command"

_STRENGTH = 0.85

COMPLAINTS = {
    REMOVED: re.compile(
        r"\binvalidat\w*|\bstale\b|\bout\s?dated\b|\bout\s+of\s+date\b|\bold\s+(?:\w+\s+){0,2}(?:price|value|version|data|name|page|result|content|copy|list|one|profile|answer)s?\b|"
        r"\b(?:evict|bust|purge|clear|delete|drop)\w*\s+(?:\w+\s+){0,3}cache|cache\w*\s+(?:\w+\s+){0,3}(?:cleared|deleted|busted|evicted|purged|dropped|refreshed|updated)|"
        r"\b(?:cache\.|redis\.)?delete(?:_memoized|_many)?\b|\bstill\s+(?:see|show|get|serv|return)\w*|\b(?:does|do|did|is|are)\s*n[o'’]t\s+(?:\w+\s+)?(?:update|refresh)\w*",
        re.I,
    ),
    SHARED: re.compile(
        r"\b(?:other|another|someone\s+else|somebody\s+else|every(?:one|body)|all|different|wrong|each\s+other)['’]?s?\s+(?:\w+\s+)?(?:users?|people|customers?|accounts?|tenants?|profiles?|data|persons?)\b|"
        r"\b(?:someone|somebody)\s+else['’]?s\b|\bleak\w*|\bper[- ]user\b|\bshared?\s+(?:\w+\s+){0,3}(?:between|across|among|by|with)\s+(?:\w+\s+)?(?:users|customers|tenants|people|everyone)|"
        r"\bkey\w*\s+(?:\w+\s+){0,5}user|\buser\w*\s+(?:\w+\s+){0,5}key\b|\bsame\s+\w+\s+(?:for|to)\s+(?:every(?:one|body)|all)",
        re.I,
    ),
    WIPED: re.compile(
        r"\bflush\w*|\bwip\w+|\b(?:clear|empt|delet|kill|nuk|eras|purg|reset)\w*\s+(?:\w+\s+){0,4}(?:redis|cache|sessions?|keys|store)\b|\bkeys\s*\*|"
        r"\b(?:redis|cache|sessions?)\s+(?:\w+\s+){0,3}(?:is|are|was|were|got|has\s+been)?\s*(?:gone|empty|emptied|wiped|flushed|cleared|lost)\b|\blogged\s+(?:\w+\s+)?out\b|\bblock\w*\s+redis",
        re.I,
    ),
}

_NEEDED = {
    REMOVED: ("invalidat", "stale", "date", "old", "cache", "delete", "still", "refresh"),
    SHARED: (
        "user",
        "people",
        "customer",
        "account",
        "tenant",
        "profile",
        "data",
        "person",
        "else",
        "leak",
        "same",
        "every",
    ),
    WIPED: ("flush", "wip", "redis", "cache", "session", "keys", "store", "logged"),
}
"""Of which words each complaint holds at least one."""

_INVALIDATION = re.compile(
    r"(?:\bcache\w*|\bredis\w*|\bstore|\bclient|\bregion)\.(?:delete|delete_many|delete_pattern|delete_memoized\w*|invalidate\w*|clear|unlink|expire|bump|incr)\s*\("
    r"|\b(?:delete_memoized|invalidate\w*|cache_clear|bust_\w*|evict\w*|purge_\w+)\s*\("
)
_CACHING = re.compile(
    r"@\w*\.?(?:cached|memoize|cache_page|lru_cache|cache)\b|\bcache\w*\.(?:set|get_or_set|add)\s*\(|\bredis\w*\.(?:set|setex)\s*\("
)
_USER = re.compile(
    r"\bcurrent_user\b|\brequest\.user\b|\bg\.user\b|\bsession\[|\bget_jwt_identity\b|\bself\.request\.user\b"
)


def _takes_invalidation_away(call: ToolCall) -> bool:
    if not call.path or not _INVALIDATION.search(removed_text(call)):
        return False
    return _finds(call, REMOVED) or not _INVALIDATION.search(added_text(call))


def _shares_user_data(call: ToolCall) -> bool:
    if not call.path or not _CACHING.search(added_text(call)):
        return False
    change = change_of(call)
    return _finds(call, SHARED) or (change is not None and bool(_USER.search(change[1])))


def _wipes_cache(call: ToolCall) -> bool:
    return bool(call.command) and any(f.name == WIPED for f in check_command(call.command[:8000]))


def _finds(call: ToolCall, check: str) -> bool:
    change = change_of(call)
    return change is not None and any(f.name == check for f in check_change(change[0], change[1], call.path))


EVIDENCE: dict[str, Callable[[ToolCall], bool]] = {
    REMOVED: _takes_invalidation_away,
    SHARED: _shares_user_data,
    WIPED: _wipes_cache,
}


@detector.finds
def find_caching_mistakes(session: Session) -> Iterator[Sighting]:
    """Complaints with the call that made the mistake, and rejected calls that would have made one."""
    for call in session.own_calls:
        if call.outcome == "rejected" and not is_go_ahead(call.reason):
            check = next((check for check, made_it in EVIDENCE.items() if made_it(call)), "")
            sighting = Sighting(
                call.result_line,
                call.reason,
                _STRENGTH,
                context=call.reason,
                check=check,
                because=("refused a caching mistake",),
            )
            sighting.calls = sighting.recent = (call,)
            sighting.lasting = bool(LASTING.search(call.reason))
            if check:
                yield sighting
    for prompt in session.prompts:
        if not prompt.calls_before or prompt.first:
            continue
        text = own_words(prompt.text).text
        lower, sentences = text.lower(), sentences_of(text)
        recent = calls_before(session, prompt)
        for check, complaint in COMPLAINTS.items():
            if not any(word in lower for word in _NEEDED[check]):
                continue
            said = [s for s in sentences if complaint.search(s) and not is_supposition(s)]
            made = [call for call in reversed(recent) if EVIDENCE[check](call)] if said else []
            if made:
                sighting = Sighting(
                    prompt.line,
                    said[0],
                    _STRENGTH,
                    context=prompt.text,
                    check=check,
                    because=("names a caching mistake that was made",),
                )
                sighting.calls = sighting.recent = tuple(made[:8])
                sighting.lasting = any(LASTING.search(s) for s in sentences)
                momentary = all(THIS_TURN.search(s) for s in said) and not sighting.lasting
                sighting.lasts = "turn" if momentary else "always"
                yield sighting
                break
