"""Clusters incidents to rules, tries them on the history, and words them."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_strategy.hookify.backtest import Trial, backtest
from cache_strategy.hookify.derive import CHECKS, draft_for
from cache_strategy.hookify.detectors import Sighting
from cache_strategy.hookify.draft import ANY_CHANGE, Draft
from cache_strategy.hookify.find import named_transcripts
from cache_strategy.hookify.incidents import (
    INSTRUCTION,
    QUOTE_LIMIT,
    incident_of,
    instructed,
    quote_of,
    sightings_in,
)
from cache_strategy.hookify.masking import masked, plain, shown
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.hookify.wording import objections_in
from cache_strategy.model.document import to_data
from cache_strategy.model.proposal import Proposal, Proposals, Quote, RuleAction, ScanResult

Progress = Callable[[str], None]

FALSE_FIRES_ALLOWED = 0.01
"""Share of all calls that a blocking rule may stop without an objection. Source: the blueprint's back-test."""

_FEW, _OFTEN = 10, 3
"""So many other calls, or complaints, and a wider rule is proposed all the same, to warn (assumed)."""

_INCIDENTS_LISTED = 50


@dataclass(slots=True)
class _Cluster:
    """Incidents that lead to the same rule."""

    draft: Draft
    sightings: list[Sighting] = field(default_factory=list)

    def add(self, sighting: Sighting, draft: Draft) -> None:
        if draft is not self.draft:
            self.draft.take_in(draft)
        self.sightings.append(_slim(sighting))

    @property
    def sessions(self) -> int:
        return len({s.session for s in self.sightings})

    @property
    def kinds(self) -> set[str]:
        return {s.kind for s in self.sightings}

    @property
    def weight(self) -> float:
        return sum(s.strength for s in self.sightings) + 0.5 * self.sessions


def _slim(sighting: Sighting) -> Sighting:
    """Without the calls around it, to save memory."""
    sighting.recent = ()
    sighting.calls = sighting.calls[:1]
    return sighting


def scan(files: Sequence[Path], *, progress: Progress | None = None) -> ScanResult:
    """
    Every incident in transcripts (files, or folders with all below them), with the counts of what was read.

    Raises:
        CacheStrategyError: a path is not there, a folder holds no transcript, or nothing given is a transcript.
    """
    started = time.perf_counter()
    transcripts = Transcripts(named_transcripts(files), progress)
    incidents = []
    for session in transcripts.sessions():
        for sighting in sightings_in(session):
            incidents.append(incident_of(sighting, draft_for(sighting, session)))
    return ScanResult(
        transcripts=transcripts.transcripts,
        records=transcripts.records,
        tool_calls=transcripts.tool_calls,
        prompts=transcripts.prompts,
        duplicates=transcripts.duplicates,
        bad_lines=transcripts.bad_lines,
        incidents=tuple(incidents),
        unread=tuple(transcripts.unread),
        bytes=transcripts.bytes,
        seconds=round(time.perf_counter() - started, 3),
    )


def propose(files: Sequence[Path], *, instruction: str = "", progress: Progress | None = None) -> Proposals:
    """
    Rules for the incidents in transcripts, strongest first, each tried on every call of the history. Writes nothing.

    With an instruction of the user instead up to three rules for it, by the calls that its words lead to.

    Raises:
        CacheStrategyError: as `scan`.
    """
    paths = named_transcripts(files)
    transcripts = Transcripts(paths, progress)
    clusters, without_rule = _clustered(transcripts, plain(instruction).strip())
    drafts = [cluster.draft for cluster in clusters]
    trials = backtest(drafts, Transcripts(paths, progress)) if drafts else []
    proposals: list[Proposal] = []
    for cluster, trial in sorted(zip(clusters, trials, strict=True), key=lambda pair: -pair[0].weight):
        if _holds(cluster, trial):
            proposals.append(_proposal(cluster, trial, [p.name for p in proposals]))
        else:
            without_rule += [_quote(s) for s in cluster.sightings]
    return Proposals(
        transcripts=transcripts.transcripts,
        records=transcripts.records,
        proposals=tuple(proposals[:_OFTEN] if instruction else proposals),
        without_rule=tuple(without_rule),
        unread=tuple(transcripts.unread),
        bad_lines=transcripts.bad_lines,
    )


def _clustered(transcripts: Transcripts, instruction: str) -> tuple[list[_Cluster], list[Quote]]:
    clusters: dict[tuple[str, str, str, str], _Cluster] = {}
    without_rule: list[Quote] = []
    for session in transcripts.sessions():
        seen = instructed(instruction, session) if instruction else sightings_in(session)
        for sighting in seen:
            if sighting.lasts == "turn":
                continue
            draft = draft_for(sighting, session)
            if draft is None:
                without_rule.append(_quote(sighting))
            else:
                clusters.setdefault(draft.key, _Cluster(draft)).add(sighting, draft)
    if not instruction:
        return list(clusters.values()), without_rule
    return [c for c in clusters.values() if c.draft.named] or list(clusters.values()), []


def _holds(cluster: _Cluster, trial: Trial) -> bool:
    """
    Whether a draft is worth proposing: it stops what it is for, and not much else.

    What has a name and is done all the time may be what the user complains of: where there are few such calls, or many complaints.
    """
    if cluster.kinds == {INSTRUCTION}:
        return True
    if _is_about_one_change(cluster):
        return False
    wrong = trial.fired - trial.fired_on_incidents
    narrow = wrong <= max(1.0, FALSE_FIRES_ALLOWED * trial.tool_calls)
    insisted = wrong <= _FEW or len(cluster.sightings) >= _OFTEN
    return trial.fired_on_incidents > 0 and (narrow or (trial.draft.named and insisted))


def _is_about_one_change(cluster: _Cluster) -> bool:
    """A file's changes, rejected in one session, and no word to leave it alone."""
    rejected = cluster.draft.pattern == ANY_CHANGE and cluster.kinds == {"rejected_call"}
    return rejected and cluster.sessions < 2 and not any(objections_in(s.said) for s in cluster.sightings)


def _proposal(cluster: _Cluster, trial: Trial, taken: Sequence[str]) -> Proposal:
    draft = trial.draft
    action, because = _action(cluster, trial)
    return Proposal(
        name=_name(draft.name, taken),
        event=draft.event,
        action=action,
        pattern=draft.pattern,
        check=draft.check,
        files=draft.files,
        message=_message(cluster),
        incidents=tuple(_quote(s) for s in cluster.sightings[:_INCIDENTS_LISTED] if s.line),
        backtest=trial.result(),
        because=because,
        examples=(*draft.examples, *trial.passed),
    )


def _action(cluster: _Cluster, trial: Trial) -> tuple[RuleAction, str]:
    """The action that the incidents ask for, and what the back-test made of it."""
    sightings = cluster.sightings
    often = cluster.sessions >= 2 and len(sightings) >= _OFTEN and cluster.kinds != {INSTRUCTION}
    asks = cluster.kinds == {"rejected_call"} or (
        cluster.kinds == {INSTRUCTION} and cluster.draft.event == "bash"
    )
    if not cluster.draft.check and not often and not any(s.lasting for s in sightings):
        return ("ask", "") if asks else ("warn", "")
    wrong = trial.fired - trial.fired_on_incidents
    share = wrong / trial.tool_calls if trial.tool_calls else 0.0
    refused = f"block was refused: it would have stopped {wrong} other calls"
    if share > FALSE_FIRES_ALLOWED:
        return "warn", f"{refused}, {share:.1%} of all (limit 1 %)"
    if wrong > trial.fired_on_incidents:
        return "warn", f"{refused} and only {trial.fired_on_incidents} of the incidents'"
    return "block", ""


def _message(cluster: _Cluster) -> str:
    """What is read when the rule fires: what happened before, what to do instead."""
    draft, sightings = cluster.draft, cluster.sightings
    said = next((quote_of(s) for s in sorted(sightings, key=lambda s: -s.strength) if s.said.strip()), "")
    often = f"{len(sightings)} times in {cluster.sessions} session{'s' * (cluster.sessions > 1)}"
    times = "once" if len(sightings) == 1 else often
    told = f'Told {times}: "{said}"' if said else f"Rejected {times}, without a reason."
    reply = next((shown(s.reply, QUOTE_LIMIT) for s in sightings if 0 < len(s.reply) <= QUOTE_LIMIT), "")
    if reply and not said:
        told = f'Rejected {times}; said then: "{reply}"'
    if draft.check:
        head = CHECKS[draft.check][2]
    elif cluster.kinds == {INSTRUCTION}:
        head, told = "The user asked for this.", masked(sightings[0].said)
    elif cluster.kinds == {"repeated_failure"}:
        head, told = "This failed before, each time in the same way.", shown(sightings[0].core)
    else:
        deed = "rejected" if cluster.kinds == {"rejected_call"} else "objected to"
        head = f"The user {deed} this before."
    return f"**{head}**\n\n{told}\n\n{draft.instead}"


def _quote(sighting: Sighting) -> Quote:
    return Quote(file=sighting.file, line=sighting.line, quote=quote_of(sighting))


def _name(wanted: str, taken: Sequence[str]) -> str:
    """A rule's name, not yet taken."""
    stem = (
        re.sub(r"[^a-z0-9]+", "-", masked(wanted).lower().replace("masked", "")).strip("-")[:48].strip("-")
        or "rule"
    )
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def proposals_data(proposals: Proposals) -> dict[str, Any]:
    """The proposals as JSON of schema 1: a rule has `pattern` or `check`, and no empty fields."""
    data: dict[str, Any] = to_data(proposals)
    for proposal in data["proposals"]:
        for name in ("pattern", "check", "files", "because", "examples"):
            if not proposal[name]:
                del proposal[name]
        for example in proposal.get("examples", ()):
            for name in [name for name, value in example.items() if value == ""]:
                del example[name]
    return data
