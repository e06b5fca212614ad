"""The guard's settings in `lint`: the same file, read by the same lines, as in the hook."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cache_strategy.lint import LintResult


def with_settings(result: "LintResult", root: Path) -> "LintResult":
    """The findings as the settings of the project around `root` want them told; a wrong setting is a note with its line."""
    from cache_strategy.rules import all_rules
    from cache_strategy.rules.settings import read_settings, unknown_rules

    project = next((at for at in (root, *root.parents) if (at / "pyproject.toml").exists()), root)
    settings = read_settings(str(project))
    if not settings.settings and not settings.problems:
        return result
    below = root.relative_to(project).as_posix()
    prefix = "" if below == "." else f"{below}/"
    places: dict[str, None] = {}
    kept, lines = [], []
    for finding, line in zip(result.findings, result.lines, strict=True):
        left_out = settings.leaves_out(prefix + finding.path)
        told, dropped = settings.applied([finding])
        if left_out is None and told:
            kept += told
            lines.append(line)
        else:
            places[left_out.place if left_out else dropped[0][1].place] = None
    names = [name for rule in all_rules() for name in (rule.name, rule.code)]
    notes = [*result.notes, *settings.problems, *unknown_rules(settings, names)]
    if places:
        count = len(result.findings) - len(kept)
        notes.append(f"{count} finding{'s' * (count > 1)} left out by {', '.join(places)}.")
    return dataclasses.replace(result, findings=tuple(kept), lines=tuple(lines), notes=tuple(notes))
