"""What `hookify` finds in past conversations and proposes: incidents, rules with their back-test, rules at hand."""

from dataclasses import dataclass
from typing import Literal

from cache_strategy.model.evidence import Unread

RuleEvent = Literal["bash", "file", "stop", "prompt"]
RuleAction = Literal["warn", "block", "ask"]
Lasts = Literal["always", "turn"]
ProblemSeverity = Literal["error", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Quote:
    """One place in a transcript: `line` from 1, `quote` short, masked, without control characters."""

    file: str
    line: int
    quote: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """
    Something the agent did and the user objected to.

    `kind` is the detector's name. `subject` is the masked command or the path it is about, "" where no call could be
    linked. `calls` are the ids of those tool calls. `lasts` is "turn" for a "not yet", which is no rule. `strength`
    is 0 to 1: how sure it is that a careful reader would see an objection here (weights: `wording.py`, `signs.py`).
    `check` names the safety rule that covers it, "" where none does. `because` says what spoke for it, strongest first.
    """

    kind: str
    file: str
    line: int
    quote: str
    event: RuleEvent | None
    subject: str
    calls: tuple[str, ...]
    strength: float
    lasts: Lasts = "always"
    check: str = ""
    session: str = ""
    because: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """
    Everything that was read and found.

    `records` are JSON lines, `duplicates` those of resumed sessions that were seen before, `bad_lines` lines that are
    torn, no JSON or longer than the limit. `unread` are whole files, with the reason.
    """

    transcripts: int
    records: int
    tool_calls: int
    prompts: int
    duplicates: int
    bad_lines: int
    incidents: tuple[Incident, ...]
    unread: tuple[Unread, ...] = ()
    bytes: int = 0
    seconds: float = 0.0
    schema: int = 1


@dataclass(frozen=True, kw_only=True)
class Example:
    """
    A call from the history, masked, that a rule must stop (`expect` "match") or let pass ("pass").

    `command` for event bash. For event file `path` and `added` where a pattern looks at added text, or `before` and
    `after` where a safety check compares the two.
    """

    expect: Literal["match", "pass"]
    command: str = ""
    path: str = ""
    added: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """
    The rule, tried on every tool call of the history.

    `fired_on_incidents` counts fired calls that the user had objected to. `wrongly_stopped` shows some of the others.
    """

    tool_calls: int
    fired: int
    fired_on_incidents: int
    wrongly_stopped: tuple[Quote, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """
    A rule that would have caught its incidents. Proposed, not written.

    Exactly one of `pattern` (a regular expression, as hookify searches it; on event stop what must have been run since
    the turn's last edit) and `check` (a safety rule's name) is set.
    `files` narrows event file to paths that match it. `because` says what was changed after the back-test, "" where
    nothing was.
    """

    name: str
    event: RuleEvent
    action: RuleAction
    pattern: str = ""
    check: str = ""
    message: str
    incidents: tuple[Quote, ...]
    backtest: Backtest
    files: str = ""
    because: str = ""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """All proposals of one history, strongest first. `without_rule` are incidents that no narrow rule would catch."""

    transcripts: int
    records: int
    proposals: tuple[Proposal, ...]
    without_rule: tuple[Quote, ...] = ()
    unread: tuple[Unread, ...] = ()
    bad_lines: int = 0
    schema: int = 1


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """
    One rule file as it stands. `what` is its pattern, its conditions or its check, in one line; of a file that cannot be
    read, why.
    """

    name: str
    path: str
    enabled: bool
    event: str
    action: str
    what: str


@dataclass(frozen=True, kw_only=True)
class RuleTrial:
    """
    What one rule makes of one event: whether it fires, with which action, its message or why it is silent. `hookify` is
    whether the hookify plugin, given the same file and event, would speak.
    """

    name: str
    path: str
    fires: bool
    action: str
    because: str
    hookify: bool


@dataclass(frozen=True, kw_only=True)
class RuleProblem:
    """
    Something wrong in a rule file, at `line` from 1.

    error: the rule does not do what it says. warning: it will surprise somebody, or the hookify plugin reads the file
    differently. info: the hookify plugin cannot do what the rule asks for.
    """

    path: str
    line: int
    severity: ProblemSeverity
    message: str
    fix: str = ""
