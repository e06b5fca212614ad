"""Tries one event on the rules at hand and says of each why it speaks or not, and what the hookify plugin would do."""

import json
from pathlib import Path
from typing import Any

from cache_strategy.hookify.find import config_folder
from cache_strategy.hookify.masking import plain, shown
from cache_strategy.hookify.rule_files import read_rule_file, rule_paths, shown_path
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import RuleTrial
from cache_strategy.rules._hookify_plugin import hookify_fires
from cache_strategy.rules.pattern import evaluate, load_files, why_silent


def try_event(event: dict[str, Any], project: Path) -> tuple[RuleTrial, ...]:
    """
    What each rule of a project and of the user makes of a hook event, in the order in which they answer.

    Raises:
        CacheStrategyError: the project is no folder.
    """
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project whose rules are tried.")
    event = {"cwd": str(project.resolve()), **event}
    paths = rule_paths(project)
    trials = []
    for path, rule in zip(
        paths, load_files([str(path) for path in paths], str(config_folder())), strict=True
    ):
        fired = evaluate([rule], event)
        trials.append(
            RuleTrial(
                name=shown(rule.name, 80),
                path=shown_path(path, project),
                fires=bool(fired),
                action=fired[0][1] if fired else "",
                because=plain(fired[0][2] if fired else why_silent(rule, event)),
                hookify=hookify_fires(read_rule_file(path).raw, event),
            )
        )
    return tuple(trials)


def event_of(text: str) -> dict[str, Any]:
    """
    A hook event from JSON.

    Raises:
        CacheStrategyError: it is none.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CacheStrategyError(
            f"the event: is not JSON ({error}); give what a hook gets, one object."
        ) from None
    if not isinstance(event, dict):
        raise CacheStrategyError("the event: is no object; give what a hook gets, with hook_event_name.")
    return event
