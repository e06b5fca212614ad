"""The wiring of `lint`: what is asked for, to findings, to an exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.cli import invalid_contract, line
from cache_strategy.cli.settings import with_settings
from cache_strategy.model.errors import CacheStrategyError

if TYPE_CHECKING:
    from cache_strategy.lint import LintResult


def run_lint(
    paths: Sequence[Path],
    *,
    kind: str,
    diff: str,
    stdin_name: str,
    baseline: Path | None,
    write: bool,
    jobs: int,
    keep: bool,
    others: bool | None,
) -> bool:
    """Prints what is found, in the format `kind`; whether there is anything."""
    from cache_strategy.lint import read_baseline, render, without_known, write_baseline

    if write and baseline is None:
        raise CacheStrategyError("--write-baseline: no file to write; add --baseline FILE.")
    asked = list(paths) or [Path()]
    root = line.lint_root_of(asked, kind)
    result = _found(
        asked,
        root,
        diff=diff,
        stdin_name=stdin_name,
        jobs=jobs,
        kept=_cache_folder() if keep else None,
        others=others,
    )
    result = with_settings(result, root)
    if baseline is not None and write:
        write_baseline(baseline, result)
        _say(f"{baseline}: {len(result.findings)} findings are known from now on.")
        return False
    if baseline is not None:
        known = read_baseline(baseline)
        result, fixed = without_known(result, known)
        waiting = known.total() - len(fixed)
        _say(f"{baseline}: {waiting} known findings left out, {len(fixed)} fixed.")
        for name, path, row in fixed:
            _say(f"fixed: {path}: {name}: {row}")
        if fixed:
            _say("Take them out of the baseline: --write-baseline")
    sys.stdout.write(render(result, kind))
    for note in result.notes:
        _say(note)
    return bool(result.findings)


def _found(
    asked: list[Path],
    root: Path,
    *,
    diff: str,
    stdin_name: str,
    jobs: int,
    kept: Path | None,
    others: bool | None,
) -> "LintResult":
    from cache_strategy.lint import lint, lint_patch, lint_text

    if asked == [Path("-")]:
        data = sys.stdin.buffer.read()
        return lint_text(data, stdin_name, diff=diff or None, root=root, kept=kept, others=others)
    if diff == "-":
        return lint_patch(sys.stdin.buffer.read(), paths=asked, root=root, kept=kept, others=others)
    if diff.endswith((".diff", ".patch")) and Path(diff).is_file():
        return lint_patch(Path(diff).read_bytes(), paths=asked, root=root, kept=kept, others=others)
    if root != Path.cwd():
        asked = [root]
    result = lint(asked, diff=diff or None, root=root, jobs=jobs, kept=kept, others=others)
    return invalid_contract.with_contracts_checked(result, asked, root)


def _cache_folder() -> Path:
    """Where results are kept: the plugin's data, else the user's cache folder; never the repository."""
    given = os.environ.get("CLAUDE_PLUGIN_DATA")
    if given:
        return Path(given) / "lint"
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "cache-strategy" / "lint"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
