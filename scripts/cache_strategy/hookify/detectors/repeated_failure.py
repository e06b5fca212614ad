"""
A command that failed several times in a session for the same reason, which more trying does not remove.

Finds
    Three failures or more of one program with the same words: not found, unknown option, no permission, no such host.

Leaves alone
    Tests, builds and linters that fail while work goes on: their failures tell something each time.
"""

import re
from collections.abc import Iterator

from cache_strategy.hookify.commands import programs
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.transcripts import Session, ToolCall

detector = Detector(__name__)

_STRENGTH = 0.6
_TIMES = 3
_HOPELESS = re.compile(
    r"command not found|not recognized as|unknown (?:option|command|flag|subcommand)|unrecognized (?:option|argument)|invalid option|"
    r"permission denied|operation not permitted|externally[- ]managed|could not resolve host|cannot connect to the docker daemon|"
    r"no such (?:command|service|container)|is not installed|authentication failed|not logged in",
    re.I,
)


@detector.finds
def find_repeated_failures(session: Session) -> Iterator[Sighting]:
    """One sighting per program and reason, at the failure that made it plain."""
    failures: dict[tuple[str, str], list[ToolCall]] = {}
    for call in session.own_calls:
        hopeless = _HOPELESS.search(call.error) if call.outcome == "failed" and call.command else None
        if hopeless is None:
            continue
        for program in {run[0] for run in programs(call.command[:4000]) if run[0] in call.error}:
            failures.setdefault((program, hopeless[0].lower()), []).append(call)
    for (program, reason), calls in failures.items():
        if len(calls) >= _TIMES:
            last = calls[_TIMES - 1]
            yield Sighting(
                line=last.result_line,
                said="",
                core=f"{program}: {reason}",
                strength=_STRENGTH,
                calls=tuple(reversed(calls)),
                recent=tuple(calls),
                words=(program,),
                because=(f"failed {len(calls)} times: {reason}",),
            )
