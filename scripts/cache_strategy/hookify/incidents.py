"""From sessions to incidents: all detectors, one sighting per place, masked for people."""

from collections.abc import Iterator

from cache_strategy.hookify.detectors import Sighting, all_detectors
from cache_strategy.hookify.detectors.caching import COMPLAINTS, EVIDENCE
from cache_strategy.hookify.draft import Draft
from cache_strategy.hookify.linking import LOOKED_BACK, linked
from cache_strategy.hookify.masking import shown
from cache_strategy.hookify.transcripts import Session
from cache_strategy.hookify.wording import LASTING, objections_in
from cache_strategy.model.proposal import Incident

_SUBJECT_LIMIT = 160
QUOTE_LIMIT = 200
INSTRUCTION = "instruction"
"""The kind of what the user asks for now; the other kinds are the detectors' names."""


def sightings_in(session: Session) -> list[Sighting]:
    """
    What all detectors saw in a session, by line; several at one place become one.

    A sighting with a safety check wins, then the strongest; calls are put together.
    """
    by_line: dict[int, list[Sighting]] = {}
    for detector in all_detectors():
        for sighting in detector.sightings(session):
            by_line.setdefault(sighting.line, []).append(sighting)
    merged = []
    for line in sorted(by_line):
        alike = by_line[line]
        best = max(alike, key=lambda s: (bool(s.check), s.strength))
        if not best.check:
            calls = {call.key: call for sighting in alike for call in sighting.calls}
            best.calls = tuple(calls[key] for key in dict.fromkeys([*(c.key for c in best.calls), *calls]))
        best.because = tuple(dict.fromkeys(reason for s in (best, *alike) for reason in s.because))
        best.lasting = any(s.lasting for s in alike)
        merged.append(best)
    return merged


def instructed(instruction: str, session: Session) -> Iterator[Sighting]:
    """The calls of a session that an instruction speaks of, as if it had been said there."""
    check = next((check for check, complaint in COMPLAINTS.items() if complaint.search(instruction)), "")
    objections = objections_in(instruction)
    core = objections[0].core if objections else instruction
    made_here = session.own_calls
    for start in range(0, max(1, len(made_here)), LOOKED_BACK):
        calls = tuple(made_here[start : start + LOOKED_BACK])
        link = linked(core, calls)
        made = tuple(call for call in reversed(calls) if EVIDENCE[check](call)) if check else link.calls
        sighting = Sighting(
            0, instruction, 1.0, core, calls=made, recent=calls, words=link.words, check=check
        )
        sighting.kind, sighting.session = INSTRUCTION, session.id
        sighting.lasting = bool(LASTING.search(instruction))
        yield sighting


def subject_of(sighting: Sighting) -> str:
    """The masked command or path that a sighting is about, "" where no call is linked."""
    if not sighting.calls:
        return ""
    call = sighting.calls[0]
    return shown(call.command or call.path or call.tool, _SUBJECT_LIMIT)


def quote_of(sighting: Sighting) -> str:
    """What was said (all of a short prompt), else what it was about; masked, one line."""
    if not sighting.said.strip():
        return subject_of(sighting)
    return shown(sighting.context if 0 < len(sighting.context) <= QUOTE_LIMIT else sighting.said, QUOTE_LIMIT)


def incident_of(sighting: Sighting, draft: Draft | None) -> Incident:
    """The incident as it may be shown and stored."""
    return Incident(
        kind=sighting.kind,
        file=sighting.file,
        line=sighting.line,
        quote=quote_of(sighting),
        event=draft.event if draft is not None else None,
        subject=subject_of(sighting),
        calls=tuple(call.key for call in sighting.calls),
        strength=sighting.strength,
        lasts=sighting.lasts,
        check=sighting.check,
        session=sighting.session,
        because=sighting.because,
    )
