"""The rules at hand: their state, and what each makes of one event."""

import json
from pathlib import Path
from typing import Any

from cache_strategy.hookify.find import config_folder
from cache_strategy.hookify.masking import plain, shown
from cache_strategy.hookify.rule_files import RuleFile, read_rule_file, rule_paths, shown_path, stem_of
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import RuleState, RuleTrial
from cache_strategy.rules._hookify_plugin import hookify_fires
from cache_strategy.rules._trust import is_foreign
from cache_strategy.rules.pattern import evaluate, load_files, why_silent


def list_rules(project: Path) -> tuple[RuleState, ...]:
    """
    Every rule file of a project in name order, broken ones too.

    Raises:
        CacheStrategyError: the project is no folder.
    """
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project whose rules are listed.")
    return tuple(_state(read_rule_file(path), project) for path in rule_paths(project))


def _state(rule: RuleFile, project: Path) -> RuleState:
    path, stem = shown_path(rule.path, project), stem_of(rule.path)
    if rule.problem:
        return RuleState(name=stem, path=path, enabled=False, event="", action="", what=rule.problem)
    config = config_folder()
    waits = rule.path.parent != config and is_foreign(str(rule.path), str(config))
    events = rule.fields.get("event") or "all"
    return RuleState(
        name=shown(rule.text("name") or stem, 80),
        path=path,
        enabled=rule.parsed.enabled and not waits,
        event=shown(", ".join(map(str, events)) if isinstance(events, list) else str(events), 40),
        action=shown(rule.text("action") or "warn", 20),
        what="came with the repository, not approved: " * waits + _what(rule),
    )


def _what(rule: RuleFile) -> str:
    if rule.text("check"):
        return f"check {shown(rule.text('check'), 60)}"
    conditions = rule.conditions()
    if conditions:
        parts = (
            f"{c.get('field', '')} {c.get('operator', 'regex_match')} {c.get('pattern', '')}"
            for c in conditions
        )
        return shown(" and ".join(parts), 200)
    return shown(rule.text("pattern"), 200) or "nothing"


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
