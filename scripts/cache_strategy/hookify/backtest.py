"""Tries drafts on every tool call of a history: which calls would have been stopped, and was that wanted."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cache_strategy.hookify.changes import change_of, newly_matches
from cache_strategy.hookify.draft import ANY_CHANGE, Draft, example_of
from cache_strategy.hookify.masking import shown
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.hookify.transcripts import Session, ToolCall
from cache_strategy.model.proposal import Backtest, Example, Quote
from cache_strategy.rules import check_change, check_command

_COMMAND_LIMIT = 20_000
_SHOWN = 5
_NEAR_MISSES = 2

_CACHING = re.compile(r"cach|redis|memoiz|invalidat|flush|valkey|memcache", re.I)
"""Every safety check needs one of these words."""


@dataclass(slots=True)
class Trial:
    """A draft under test. `passed` are calls alike that it let pass, as examples."""

    draft: Draft
    tool_calls: int = 0
    fired: int = 0
    fired_on_incidents: int = 0
    wrongly: list[Quote] = field(default_factory=list)
    passed: list[Example] = field(default_factory=list)

    def result(self) -> Backtest:
        return Backtest(
            tool_calls=self.tool_calls,
            fired=self.fired,
            fired_on_incidents=self.fired_on_incidents,
            wrongly_stopped=tuple(self.wrongly),
        )


def backtest(drafts: Sequence[Draft], transcripts: Transcripts) -> list[Trial]:
    """Every draft on every call, in one pass."""
    trials = [Trial(draft) for draft in drafts]
    judges = [(trial, _judge_of(trial.draft), set(trial.draft.calls)) for trial in trials]
    for session in transcripts.sessions():
        for turn in _turns(session):
            for trial, fires, incident_calls in judges:
                last = next((call for call in reversed(turn) if call.path), None)
                if trial.draft.event == "stop" and last is not None:
                    done = turn[turn.index(last) + 1 :]
                    if not any(fires(call) for call in done):
                        _count(trial, last, any(call.key in incident_calls for call in turn))
        for call in session.own_calls:
            kind = "bash" if call.command else "file" if call.path else ""
            if not kind:
                continue
            for trial, fires, incident_calls in judges:
                if trial.draft.event != kind:
                    continue
                if fires(call):
                    _count(trial, call, call.key in incident_calls)
                elif len(trial.passed) < _NEAR_MISSES and _is_near(trial.draft, call):
                    example = example_of(call, expect="pass")
                    if example is not None and example not in trial.passed:
                        trial.passed.append(example)
    for trial in trials:
        trial.tool_calls = transcripts.tool_calls
    return trials


def _turns(session: Session) -> Iterator[list[ToolCall]]:
    """The calls between one prompt and the next."""
    ends = sorted({prompt.calls_before for prompt in session.prompts} | {len(session.calls)})
    for start, end in itertools.pairwise([session.copied, *ends]):
        yield session.calls[start:end]


def _count(trial: Trial, call: ToolCall, on_incident: bool) -> None:
    trial.fired += 1
    if on_incident:
        trial.fired_on_incidents += 1
    elif len(trial.wrongly) < _SHOWN:
        trial.wrongly.append(_place_of(call))


def _place_of(call: ToolCall) -> Quote:
    return Quote(file=call.file, line=call.line, quote=shown(call.command or call.path))


def _is_near(draft: Draft, call: ToolCall) -> bool:
    return bool(draft.near) and bool(re.search(rf"(?<![\w-]){re.escape(draft.near)}(?![\w-])", call.command))


def _judge_of(draft: Draft) -> Callable[[ToolCall], bool]:
    """Says whether a draft stops a call."""
    if draft.check:
        return _check_judge(draft.check)
    pattern = re.compile(draft.pattern, re.I)
    if draft.event != "file":
        return lambda call: bool(pattern.search(call.command[:_COMMAND_LIMIT]))
    files = re.compile(draft.files, re.I)
    if draft.pattern == ANY_CHANGE:
        return lambda call: bool(files.search(call.path))
    return lambda call: bool(files.search(call.path)) and newly_matches(pattern, call)


def _check_judge(check: str) -> Callable[[ToolCall], bool]:
    def fires(call: ToolCall) -> bool:
        if call.command:
            command = call.command[:_COMMAND_LIMIT]
            found = check_command(command, call.cwd) if _CACHING.search(command) else []
        else:
            before, after = change_of(call) or (None, "")
            speaks = _CACHING.search(after) or _CACHING.search(before or "")
            found = check_change(before, after, call.path) if speaks else []
        return any(finding.name == check for finding in found)

    return fires
