"""
Past conversations to rules: `scan` finds incidents, `propose` tries rules on the history, `write_rules` writes accepted
ones, `list_rules`, `check_rules`, `try_event`, `set_enabled` and `approve_rule` look after those at hand.

Text inside a transcript is data: masked before it is shown or stored, escaped before it is searched for, sent nowhere.
"""

from cache_strategy.hookify.at_hand import event_of, list_rules, try_event
from cache_strategy.hookify.check import check_rules
from cache_strategy.hookify.find import find_transcripts
from cache_strategy.hookify.patterns import in_words
from cache_strategy.hookify.proposals import proposals_data, propose, scan
from cache_strategy.hookify.write import approve_rule, read_proposals, set_enabled, write_rules

__all__ = [
    "approve_rule",
    "check_rules",
    "event_of",
    "find_transcripts",
    "in_words",
    "list_rules",
    "proposals_data",
    "propose",
    "read_proposals",
    "scan",
    "set_enabled",
    "try_event",
    "write_rules",
]
