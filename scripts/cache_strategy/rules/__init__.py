"""
The safety rules: one file per rule, standard library only, the same answer for hook, linter and transcripts.

Doors: `check_text` for a file, `check_change` for a file as it is and as it will be, `check_command` for a
shell command, `explain` for a rule's page.
"""

from __future__ import annotations

from cache_strategy.rules._base import REGISTER, Finding, in_order, keyword_found
from cache_strategy.siblings import load_siblings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._base import Rule

COMMAND_PATH = "<command>"


def rules_of(kind: str) -> "list[Rule]":
    """The rules of one kind (`code` or `commands`), in name order."""
    modules = load_siblings("cache_strategy.rules." + kind)
    return [module.rule for module in modules]


def check_command(command: str, cwd: str = "") -> "list[Finding]":
    """What a shell command would do to a cache; places are lines and columns of the command itself."""
    lowered = command.lower()
    __import__("cache_strategy.rules.commands")
    rules = [rule for rule in rules_of("commands") if keyword_found(rule, lowered)]
    if not rules:
        return []
    from cache_strategy.rules._shell import comments_of, invocations
    from cache_strategy.rules._suppress import suppress_command

    runs = invocations(command)
    found = [
        finding._replace(path=COMMAND_PATH)
        for rule in rules
        for run in runs
        for visitor in rule.command_visitors
        for finding in visitor(run)
    ]
    return in_order(suppress_command(found, comments_of(command)))


def check_change(before: "str | None", after: str, path: str) -> "list[Finding]":
    """What a change brings or takes away: findings of `after` that `before` did not have, by place in `after`."""
    return []


def all_rules() -> "list[Rule]":
    """Every rule, in code order."""
    for kind in ("code", "commands"):
        __import__("cache_strategy.rules." + kind)
        load_siblings("cache_strategy.rules." + kind)
    return sorted(REGISTER.values(), key=lambda rule: rule.code)
