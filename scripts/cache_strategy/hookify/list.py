"""The rules of a project, with their state."""

from pathlib import Path

from cache_strategy.hookify.find import config_folder
from cache_strategy.hookify.masking import shown
from cache_strategy.hookify.rule_files import RuleFile, read_rule_file, rule_paths, shown_path, stem_of
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.proposal import RuleState
from cache_strategy.rules._trust import is_foreign


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
