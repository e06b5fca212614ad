"""The narrowest rule that would have caught an incident."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from cache_strategy.hookify.changes import added_text, newly_matches
from cache_strategy.hookify.detectors import Sighting
from cache_strategy.hookify.draft import ANY_CHANGE, Draft
from cache_strategy.hookify.linking import words_said
from cache_strategy.hookify.masking import masked
from cache_strategy.hookify.narrow import pattern_of, run_spoken_of
from cache_strategy.hookify.patterns import at_command, escaped, is_plain, readable, under_wrapper, why_unsafe
from cache_strategy.hookify.transcripts import Session, ToolCall
from cache_strategy.hookify.vocabulary import Spoken, spoken_deed, spoken_duty, spoken_text
from cache_strategy.model.proposal import RuleEvent

COMMAND_LIMIT = 8_000

CHECKS: dict[str, tuple[RuleEvent, str, str, str]] = {
    "removed-invalidation": (
        "file",
        "keep-invalidation",
        "This edit takes an invalidation away: after the next write readers get the old value.",
        "Keep the invalidation beside the write, or move it to where every writer passes, after the commit.",
    ),
    "shared-key-for-user-data": (
        "file",
        "user-in-cache-key",
        "This caches what depends on a user under a key without the user: one user sees another's data.",
        "Put the user into the key, or do not cache what depends on the user.",
    ),
    "cache-wipe-command": (
        "bash",
        "no-cache-wipe",
        "This command empties or scans a whole cache.",
        "Delete the keys concerned or bump their version; use SCAN instead of KEYS. Sessions and other applications may live in the same Redis.",
    ),
}
"""Per safety check: the event, a rule's name, what the check is about, what to do instead."""


def draft_for(sighting: Sighting, session: Session) -> Draft | None:
    """The narrowest rule for a sighting; None where there is none."""
    draft = _draft(sighting, session)
    if draft is None or any(why_unsafe(pattern) for pattern in (draft.pattern, draft.files) if pattern):
        return None
    return draft


def _draft(sighting: Sighting, session: Session) -> Draft | None:
    if sighting.check:
        event, name, _, instead = CHECKS[sighting.check]
        return Draft(event, name, instead, check=sighting.check).caught(sighting.calls)
    if sighting.kind == "rejected_call":
        return _draft_for_rejected(sighting.calls[0], sighting.core)
    commands = [call for call in sighting.calls if call.command]
    if sighting.kind == "repeated_failure":
        draft = Draft(
            "bash", sighting.words[0], "Use what works here.", at_command(escaped(sighting.words[0]))
        )
        return draft.caught(_finds(draft.pattern, commands))
    named = _duty_draft(sighting) or _preferred_draft(sighting) or _spoken_draft(sighting)
    if named is not None or _WISH.match(sighting.said):
        # "use the last version": its words name what shall be done, not what was.
        return named
    return _file_draft(sighting, session) or _command_draft(commands, sighting.words)


_WISH = re.compile(
    r"\W*(?:(?:please|just|ok(?:ay)?|you\s+(?:can|should|may\s+want\s+to))\W+)*use\b(?!.*\b(?:not|instead|rather|never|do\s*n[o'’]t)\b)",
    re.I | re.S,
)


def _finds(pattern: str, calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls whose command a pattern finds."""
    compiled = re.compile(pattern, re.I)
    return [call for call in calls if call.command and compiled.search(call.command[:COMMAND_LIMIT])]


def _deed_draft(deed: Spoken, hits: Sequence[ToolCall]) -> Draft:
    return Draft("bash", deed.name, deed.instead, pattern=deed.pattern, named=True).caught(hits)


def _draft_for_rejected(call: ToolCall, said: str) -> Draft | None:
    if call.command:
        deed = spoken_deed(said) if said else None
        if deed is not None and _finds(deed.pattern, [call]):
            return _deed_draft(deed, [call])
        return _command_draft([call], tuple(words_said(said))) or _command_draft([call], ())
    if call.path:
        draft = _token_draft(said, [call]) if said else None
        name = PurePosixPath(call.path.replace("\\", "/")).name
        if draft is not None or not is_plain(name):
            return draft
        return _file_itself(name, rf"(?:^|[\\/]){escaped(name)}\Z").caught([call])
    return None


def _duty_draft(sighting: Sighting) -> Draft | None:
    """ "you forgot to run the tests": at the end of a turn they must have run since the last edit."""
    duty = spoken_duty(sighting.said)
    edits = [call for call in reversed(sighting.recent) if call.path]
    if duty is None or not edits:
        return None
    draft = Draft("stop", duty.name, duty.instead, pattern=duty.pattern, named=True)
    draft.calls = (edits[0].key,)
    return draft


def _spoken_draft(sighting: Sighting) -> Draft | None:
    text = spoken_text(sighting.core)
    recent = sighting.recent[::-1]
    if text is not None:
        pattern = re.compile(text.pattern, re.I)
        hits = [call for call in recent if call.path and newly_matches(pattern, call)]
        draft = Draft("file", f"no-{text.name}", text.instead, pattern=text.pattern, named=True)
        draft.see_in(_endings_of(hits))
        return draft.caught(hits)
    deed = spoken_deed(sighting.core)
    return _deed_draft(deed, _finds(deed.pattern, recent)) if deed is not None else None


_PREFERENCE = re.compile(
    r"\buse\s+[`'\"]?([\w./-]+)[`'\"]?(?:\s+\S+)?,?\s+(?:and\s+not|not|instead\s+of|rather\s+than)\s+[`'\"]?([\w./-]+)",
    re.I,
)


_SAME_PURPOSE = (("npm", "pnpm", "yarn", "bun"), ("pip", "pip3", "poetry", "pipenv", "conda", "uv", "pipx"))
"""Programs of which a project uses one: who names one objects to the others."""

_NAMED_PROGRAM = re.compile(
    r"\b(?:use|using|uses|used|with|through|via|prefer|switch(?:ed)?\s+to)\s+[`'\"]?([a-z0-9]+)\b", re.I
)


def _preferred_draft(sighting: Sighting) -> Draft | None:
    """ "use X, not Y": Y as a program, where it was run; "we use X": the others of X's purpose."""
    match = _PREFERENCE.search(sighting.core)
    if match is not None and is_plain(match[2]):
        wanted, others = match[1], [escaped(match[2]) + r"[\d.]*"]
        name = f"{wanted}-instead-of-{match[2]}"
    else:
        wanted = next(
            (m[1].lower() for m in _NAMED_PROGRAM.finditer(sighting.said) if _others_than(m[1].lower())), ""
        )
        others, name = _others_than(wanted), f"{wanted}-only"
    if not others:
        return None
    pattern = at_command(others[0] if len(others) == 1 else f"(?:{'|'.join(others)})")
    hits = _finds(pattern, sighting.recent[::-1])
    draft = Draft("bash", name, f"Use {masked(wanted)}.", pattern=pattern, named=True)
    return draft.caught(hits) if hits else None


def _others_than(program: str) -> list[str]:
    return [other for group in _SAME_PURPOSE if program in group for other in group if other != program]


def _command_draft(calls: Sequence[ToolCall], words: Sequence[str]) -> Draft | None:
    """From the commands themselves: the pattern that catches most of them."""
    best: Draft | None = None
    for call in calls[:5]:
        run = run_spoken_of(call.command[:COMMAND_LIMIT], words)
        if run is None:
            continue
        pattern, name = pattern_of(run, words)
        if not _finds(pattern, [call]):
            pattern = under_wrapper(pattern)
        hits = [] if why_unsafe(pattern) else _finds(pattern, calls)
        if call in hits and (best is None or len(hits) > len(best.calls)):
            best = Draft("bash", name, "Ask first, or say why it is needed.", pattern=pattern, near=run[0])
            best.caught(hits)
    return best


_EDITING = re.compile(
    r"\b(?:touch|edit|chang|modif|alter|leave|leav|alone|updat|rewrit|overwrit|delet|remov|renam|mov|generat|regenerat|stay|out\s+of|creat|manual)\w*",
    re.I,
)
"""Said of a file itself, not of what is in it."""

_FORBIDS = re.compile(
    r"\b(?:not|never|leave|alone|stop|stay|out\s+of|why|again|without|nobody|manual\w*)\b|n['’]t\b|\bdont\b",
    re.I,
)

_ELSEWHERE = re.compile(r"\b\w+://\S+")
_FILE_NAME = re.compile(r"(?<![\w.])(?:[\w@-]+(?:\.[\w-]+)*)?\.[A-Za-z][A-Za-z0-9]{0,9}\b(?!\()")


def _file_draft(sighting: Sighting, session: Session) -> Draft | None:
    edits = [call for call in sighting.calls if call.path]
    draft = _token_draft(sighting.core, edits)
    if draft is not None or not (_EDITING.search(sighting.said) and _FORBIDS.search(sighting.said)):
        return draft
    said = _ELSEWHERE.sub(" ", sighting.core)
    return _file_named(said, session.calls) or _path_spoken_of(said, session.calls)


def _file_named(said: str, calls: Sequence[ToolCall]) -> Draft | None:
    """A file that is called by its name, as `.env`, where it was changed."""
    for name in _FILE_NAME.findall(said):
        hits = [
            call
            for call in calls
            if call.path and PurePosixPath(call.path.replace("\\", "/")).name.lower() == name.lower()
        ]
        if hits and is_plain(name):
            return _file_itself(name, rf"(?:^|[\\/]){escaped(name)}\Z").caught(hits[::-1])
    return None


_CODE_TOKEN = re.compile(r"`([^`\n]{2,80})`|\b([A-Za-z]+_\w+|[a-z]+[A-Z]\w*|\w+\.\w+\(?\)?|\w+\(\))")


def _token_draft(said: str, edits: Sequence[ToolCall]) -> Draft | None:
    """A piece of code that was named and stands in the added text."""
    for match in _CODE_TOKEN.finditer(said):
        token = (match[1] or match[2]).strip().rstrip("()")
        hits = [call for call in edits if token and token in added_text(call)]
        if len(token) >= 3 and hits and "MASKED" not in masked(token):
            return _text_draft(token, hits)
    return None


def _text_draft(token: str, hits: Sequence[ToolCall]) -> Draft:
    pattern = rf"(?<!\w){escaped(token)}" + (r"(?!\w)" if token[-1:].isalnum() else "")
    draft = Draft("file", f"no-{token}", "Leave it out, or ask first.", pattern=readable(pattern))
    draft.see_in(_endings_of(hits))
    return draft.caught(hits)


def _endings_of(hits: Sequence[ToolCall]) -> frozenset[str]:
    return frozenset(PurePosixPath(call.path).suffix for call in hits)


def _path_spoken_of(said: str, calls: Sequence[ToolCall]) -> Draft | None:
    """Two or three neighbouring words that are a file's or folder's name: "the full schema" and FullSchema.ts."""
    words = [word.lower() for word in re.findall(r"[A-Za-z0-9]+", said)]
    folded = [(call, re.sub(r"[^a-z0-9/]", "", call.path.lower())) for call in calls if call.path]
    for size in (3, 2):
        for start in range(len(words) - size + 1):
            gram = words[start : start + size]
            if len("".join(gram)) < 6 or any(len(word) < 2 and not word.isdigit() for word in gram):
                continue
            hits = [call for call, path in folded if "".join(gram) in path]
            if hits and len(hits) <= max(3, len(folded) // 2):
                files = "[-_. ]?".join(re.escape(word) for word in gram)
                return _file_itself("-".join(gram), files).caught(hits[::-1])
    return None


def _file_itself(name: str, files: str) -> Draft:
    instead = "Leave this file as it is; ask first."
    return Draft("file", f"leave-{name}", instead, pattern=ANY_CHANGE, files=files)
