#!/usr/bin/env python3
"""
What `lint` costs beside parsing, ruff and semgrep: python bench/lint_times.py FOLDER [--times N] [--ruff FILE] [--semgrep FILE]

Processor time (own and of child processes) and wall time of whole processes over all Python files below FOLDER, in turns:
the least that any linter can do (`ast.parse` and one walk of each tree), `lint` in one process, on every processor, and
once more when nothing has changed; ruff with its default rules and no cache; semgrep with one rule, offline. None of the
other two has these rules: they are here for their speed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = """
import ast, os, sys, warnings
warnings.simplefilter("ignore")
lines = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            lines += data.count(b"\\n")
            try:
                tree = ast.parse(data)
            except (SyntaxError, ValueError, RecursionError):
                continue
            for node in ast.walk(tree):
                pass
print(lines)
"""
RULE = """
rules:
  - id: lru-cache-on-method
    languages: [python]
    severity: WARNING
    message: memoised method
    pattern: |
      class $C(...):
          ...
          @functools.lru_cache(...)
          def $M(self, ...): ...
"""


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Processor seconds, wall seconds and output of a process and its children."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} failed: {done.stderr[-500:]}")
    return cpu, time.monotonic() - began, done.stdout


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--times", type=int, default=3)
    arguments.add_argument("--ruff", default="ruff")
    arguments.add_argument("--semgrep", default="")
    asked = arguments.parse_args()
    folder = str(asked.folder.resolve())
    lint = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); "
            "from cache_strategy.cli import main; sys.exit(main())", "lint", folder, "--json"]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "XDG_CACHE_HOME": scratch, "HOME": scratch}
        rule = Path(scratch) / "rule.yaml"
        rule.write_text(RULE)
        candidates = {
            "ast.parse and one walk": [sys.executable, "-I", "-c", REFERENCE, folder],
            "lint, one process": [*lint, "--no-cache", "--jobs", "1"],
            "lint, every processor": [*lint, "--no-cache"],
            "lint, nothing has changed": lint,
            "ruff check": [asked.ruff, "check", "--no-cache", "--isolated", "--exit-zero", "--quiet", folder],
        }
        if asked.semgrep:
            candidates["semgrep, one rule"] = [
                asked.semgrep, "scan", "--config", str(rule), "--metrics", "off", "--disable-version-check", "--quiet", "--no-git-ignore", folder,
            ]  # fmt: skip
        subprocess.run(lint, env=environment, capture_output=True)
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
        lines = ""
        for _ in range(asked.times):
            for name, command in candidates.items():
                cpu, wall, output = measured(command, environment)
                rows[name].append((cpu, wall))
                lines = output.strip() if name.startswith("ast") else lines
    reference = statistics.median(cpu for cpu, _ in rows["ast.parse and one walk"])
    print(f"{int(lines):,} lines, medians of {asked.times}")
    print("| | CPU | wall | CPU : parse and walk |\n|---|---|---|---|")
    for name, pairs in rows.items():
        cpu, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"| {name} | {cpu:.1f} s | {wall:.1f} s | {cpu / reference:.2f} |")


if __name__ == "__main__":
    main()
