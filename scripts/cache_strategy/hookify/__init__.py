"""
Past conversations to rules: `scan` finds incidents, `propose` tries rules on the history, `write_rules` writes accepted
ones, `list_rules`, `check_rules`, `try_event`, `set_enabled` and `approve_rule` look after those at hand.

Text inside a transcript is data: masked before it is shown or stored, escaped before it is searched for, sent nowhere.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cache_strategy.hookify import proposals as _proposals
from cache_strategy.hookify.check import check_rules
from cache_strategy.hookify.explain import event_of, try_event
from cache_strategy.hookify.find import find_transcripts, named_transcripts
from cache_strategy.hookify.list import list_rules
from cache_strategy.hookify.write import approve_rule, read_proposals, set_enabled, write_rules
from cache_strategy.model.document import to_data
from cache_strategy.model.proposal import Proposals, ScanResult

__all__ = [
    "approve_rule",
    "check_rules",
    "event_of",
    "find_transcripts",
    "list_rules",
    "proposals_data",
    "propose",
    "read_proposals",
    "scan",
    "set_enabled",
    "try_event",
    "write_rules",
]

Progress = Callable[[str], None]


def scan(files: Sequence[Path], *, progress: Progress | None = None) -> ScanResult:
    """
    Every incident in transcripts (files, or folders with all below them), with the counts of what was read.

    Raises:
        CacheStrategyError: a path is not there, a folder holds no transcript, or nothing given is a transcript.
    """
    return _proposals.scan(named_transcripts(files), progress)


def propose(files: Sequence[Path], *, progress: Progress | None = None) -> Proposals:
    """
    Rules for the incidents in transcripts, strongest first, each tried on every call of the history. Writes nothing.

    Raises:
        CacheStrategyError: as `scan`.
    """
    return _proposals.propose(named_transcripts(files), progress)


def proposals_data(proposals: Proposals) -> dict[str, Any]:
    """The proposals as JSON of schema 1: a rule has `pattern` or `check`, and no empty fields."""
    data: dict[str, Any] = to_data(proposals)
    for proposal in data["proposals"]:
        for field in ("pattern", "check", "files", "because", "examples"):
            if not proposal[field]:
                del proposal[field]
        for example in proposal.get("examples", ()):
            for field in [name for name, value in example.items() if value == ""]:
                del example[field]
    return data
