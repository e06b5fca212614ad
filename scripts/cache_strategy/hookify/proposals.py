"""Clusters incidents to rules, tries them on the history, and words them."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_strategy.hookify.backtest import Trial, backtest
from cache_strategy.hookify.derive import draft_for
from cache_strategy.hookify.detectors import Sighting
from cache_strategy.hookify.draft import ANY_CHANGE, Draft
from cache_strategy.hookify.find import named_transcripts
from cache_strategy.hookify.incidents import incident_of, quote_of, sightings_in
from cache_strategy.hookify.masking import masked
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.model.document import to_data
from cache_strategy.model.proposal import Proposal, Proposals, Quote, RuleAction, ScanResult

Progress = Callable[[str], None]

FALSE_FIRES_ALLOWED = 0.01
"""Share of all calls that a blocking rule may stop without an objection. Source: the blueprint's back-test, issue 7."""

_TOO_WIDE = 0.05
"""Above this share of false fires a rule is no proposal at all (assumed)."""

_INCIDENTS_LISTED = 50

_HEADLINES = {
    "removed-invalidation": "This edit takes an invalidation away: after the next write readers get the old value.",
    "shared-key-for-user-data": "This caches what depends on a user under a key without the user: one user sees another's data.",
    "cache-wipe-command": "This command empties or scans a whole cache.",
}


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
    def weight(self) -> float:
        return sum(s.strength for s in self.sightings) + 0.5 * len({s.session for s in self.sightings})


def _slim(sighting: Sighting) -> Sighting:
    """Without the calls around it: a history may be larger than the memory."""
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


def propose(files: Sequence[Path], *, progress: Progress | None = None) -> Proposals:
    """
    Rules for the incidents in transcripts, strongest first, each tried on every call of the history. Writes nothing.

    Raises:
        CacheStrategyError: as `scan`.
    """
    paths = named_transcripts(files)
    transcripts = Transcripts(paths, progress)
    clusters, without_rule = _clustered(transcripts)
    trials = (
        backtest([cluster.draft for cluster in clusters], Transcripts(paths, progress)) if clusters else []
    )
    proposals: list[Proposal] = []
    for cluster, trial in sorted(zip(clusters, trials, strict=True), key=lambda pair: -pair[0].weight):
        if _holds(trial):
            proposals.append(_proposal(cluster, trial, [p.name for p in proposals]))
        else:
            without_rule += [_quote(s) for s in cluster.sightings]
    return Proposals(
        transcripts=transcripts.transcripts,
        records=transcripts.records,
        proposals=tuple(proposals),
        without_rule=tuple(without_rule),
        unread=tuple(transcripts.unread),
        bad_lines=transcripts.bad_lines,
    )


def _clustered(transcripts: Transcripts) -> tuple[list[_Cluster], list[Quote]]:
    clusters: dict[tuple[str, str, str, str], _Cluster] = {}
    loose: list[Sighting] = []
    for session in transcripts.sessions():
        for sighting in sightings_in(session):
            if sighting.lasts == "turn":
                continue
            draft = draft_for(sighting, session)
            if draft is None:
                loose.append(_slim(sighting))
                continue
            clusters.setdefault(draft.key, _Cluster(draft)).add(sighting, draft)
    without_rule = []
    for sighting in loose:
        home = _home_of(sighting, clusters.values())
        if home is None:
            without_rule.append(_quote(sighting))
        else:
            home.sightings.append(sighting)
    return list(clusters.values()), without_rule


def _home_of(sighting: Sighting, clusters: Iterable[_Cluster]) -> _Cluster | None:
    """A file rule of another session whose file the words name: the same place, spoken of again."""
    for cluster in clusters:
        files = cluster.draft.files
        if (
            cluster.draft.pattern == ANY_CHANGE
            and files
            and not files.endswith(r"\Z")
            and re.search(files, sighting.core, re.I)
        ):
            return cluster
    return None


def _holds(trial: Trial) -> bool:
    """Whether a draft is worth proposing: it stops what it is for, and not everything else too."""
    wrong = trial.fired - trial.fired_on_incidents
    if not trial.fired_on_incidents:
        # A deed with a name may be forbidden before it was done, where it is not common practice.
        return trial.draft.named and not trial.draft.calls and wrong <= FALSE_FIRES_ALLOWED * trial.tool_calls
    # What was forbidden by name and is done all the time is what the user complains of.
    return trial.draft.named or wrong <= max(1.0, _TOO_WIDE * trial.tool_calls)


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
        incidents=tuple(_quote(s) for s in cluster.sightings[:_INCIDENTS_LISTED]),
        backtest=trial.result(),
        because=because,
        examples=(*draft.examples, *trial.passed),
    )


def _action(cluster: _Cluster, trial: Trial) -> tuple[RuleAction, str]:
    """The action that the incidents ask for, and what the back-test made of it."""
    sightings = cluster.sightings
    often = len({s.session for s in sightings}) >= 2 and len(sightings) >= 3
    rejected = all(s.kind == "rejected_call" for s in sightings)
    if not cluster.draft.check and not often and not any(s.lasting for s in sightings):
        return ("ask", "") if rejected else ("warn", "")
    wrong = trial.fired - trial.fired_on_incidents
    share = wrong / trial.tool_calls if trial.tool_calls else 0.0
    if not trial.fired_on_incidents:
        return "warn", "block was refused: the history holds no call that the rule would have stopped rightly"
    if share > FALSE_FIRES_ALLOWED:
        return (
            "warn",
            f"block was refused: it would have stopped {wrong} other calls, {share:.1%} of all (limit 1 %)",
        )
    if wrong > trial.fired_on_incidents:
        return "warn", (
            f"block was refused: it would have stopped {wrong} other calls and only {trial.fired_on_incidents} of the incidents'"
        )
    return "block", ""


def _message(cluster: _Cluster) -> str:
    """What the agent and the user read when the rule fires: what happened before, and what to do instead."""
    draft, sightings = cluster.draft, cluster.sightings
    sessions = len({s.session for s in sightings})
    times = (
        "once"
        if len(sightings) == 1
        else f"{len(sightings)} times in {sessions} session{'s' * (sessions > 1)}"
    )
    said = next((quote_of(s) for s in sorted(sightings, key=lambda s: -s.strength) if s.said.strip()), "")
    if draft.check:
        head = _HEADLINES[draft.check]
    elif all(s.kind == "rejected_call" for s in sightings):
        head = "The user rejected this before."
    else:
        head = "The user objected to this before."
    told = f'Told {times}: "{said}"' if said else f"Rejected {times}, without a reason."
    return f"**{head}**\n\n{told}\n\n{draft.instead}"


def _quote(sighting: Sighting) -> Quote:
    return Quote(file=sighting.file, line=sighting.line, quote=quote_of(sighting))


def _name(wanted: str, taken: Sequence[str]) -> str:
    """A rule's name: lower-case words with dashes, at most 48 characters, not yet taken."""
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
