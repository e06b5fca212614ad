#!/usr/bin/env python3
"""
What one hook call costs: whole processes of the guard beside `python3 -c pass`, and beside the hookify plugin's PreToolUse hook.

Usage:
    python bench/guard_times.py [--hookify FOLDER] [--rounds N] [--python /usr/bin/python3]

FOLDER is the hookify plugin (the one with hooks/pretooluse.py), with one rule that matches nothing. Calls: three that have nothing to do
with caching, and edits of a file of 2,000 lines in which every function has to do with caching, one of them stopped. Per row the
medians of N rounds in which everybody ran once in random order: processor time, and the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GUARD = ROOT / "hooks" / "guard.py"
HEAD = "from shop.extensions import cache, db\nfrom shop.models import Item\n\n\n"
PART = """\
@cache.memoize(timeout={seconds})
def get_{n}(item_id):
    row = db.session.get(Item, item_id)
    return row.to_dict() if row else None


def rename_{n}(item_id, name):
    item = db.session.get(Item, item_id)
    item.name = name
    db.session.commit()
    cache.delete_memoized(get_{n}, item_id)


"""
LONG = HEAD + "".join(PART.format(n=n, seconds=300 + n) for n in range(154))
RULE = "---\nname: no-rm\nenabled: true\nevent: all\naction: block\npattern: rm\\s+-rf\\s+/\n---\nNo.\n"


def calls(project: Path) -> dict[str, dict[str, Any]]:
    """Name to event."""
    base = {"session_id": "s", "cwd": str(project), "hook_event_name": "PreToolUse"}
    shop = str(project / "shop.py")
    plain = "def totals():\n" + "".join(f"    total_{n} = price_{n} * amount_{n}\n" for n in range(2000))

    def edit(old: str, new: str) -> dict[str, Any]:
        return {
            **base,
            "tool_name": "Edit",
            "tool_input": {"file_path": shop, "old_string": old, "new_string": new},
        }

    def write(text: str) -> dict[str, Any]:
        return {
            **base,
            "tool_name": "Write",
            "tool_input": {"file_path": str(project / "new.py"), "content": text},
        }

    return {
        "Bash, nothing of caching": {**base, "tool_name": "Bash", "tool_input": {"command": "ls -la src && git status"}},
        "Edit, nothing of caching": {**base, "tool_name": "Edit", "tool_input": {"file_path": str(project / "a.py"), "old_string": "x", "new_string": "y"}},
        "Write of 2,000 lines, nothing of caching": write(plain),
        "2,000 lines of caching, Edit in a cached function": edit("def get_50(item_id):\n    row", "def get_50(item_id):\n    # one\n    row"),
        "2,000 lines of caching, Edit of a writer": edit("def rename_50(item_id, name):\n", "def rename_50(item_id, name):\n    name = name.strip()\n"),
        "2,000 lines of caching, Edit that is stopped": edit("    cache.delete_memoized(get_50, item_id)\n", ""),
        "2,000 lines of caching, Write of a new file": write(LONG),
    }  # fmt: skip


def main() -> None:
    """Prints one row per call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hookify", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--python", default="/usr/bin/python3")
    given = parser.parse_args()
    names = ["pass", "pass -I -S", "guard", *(["hookify"] if given.hookify else [])]
    print("| call | " + " | ".join(names) + " | guard : pass | guard : pass -I -S | hookify : pass |")
    print("|---" * (len(names) + 4) + "|")
    with tempfile.TemporaryDirectory() as folder:
        project, data = Path(folder) / "project", Path(folder) / "data"
        (project / ".claude").mkdir(parents=True)
        (project / "shop.py").write_text(LONG)
        rule = project / ".claude" / "hookify.no-rm.local.md"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "CLAUDE_PROJECT_DIR": str(project),
            "CLAUDE_PLUGIN_DATA": str(data),
        }
        subprocess.run(
            [sys.executable, str(ROOT / "hooks" / "refresh.py"), str(project), str(data)], check=True
        )
        for name, event in calls(project).items():
            print(f"| {name} | {row(given, project, event, environment, rule)} |", flush=True)


def row(
    given: argparse.Namespace, project: Path, event: dict[str, Any], environment: dict[str, str], rule: Path
) -> str:
    """The medians of one row."""
    sides = {
        "pass": [given.python, "-c", "pass"],
        "alone": [given.python, "-I", "-S", "-c", "pass"],
        "guard": [given.python, "-I", "-S", str(GUARD)],
    }
    if given.hookify:
        sides["hookify"] = [given.python, str(given.hookify / "hooks" / "pretooluse.py")]
        environment = {**environment, "CLAUDE_PLUGIN_ROOT": str(given.hookify.resolve())}
    raw = json.dumps(event).encode()
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(given.rounds + 2):
        for name in random.sample(list(sides), len(sides)):
            if name == "hookify":
                rule.write_text(RULE)
            cost = timed(sides[name], raw, environment, project)
            rule.unlink(missing_ok=True)
            if turn >= 2:
                seen[name].append(cost)

    def ratio(over: str, under: str) -> str:
        pairs = zip(seen.get(over, ()), seen[under], strict=False)
        found = [one / other for one, other in pairs]
        return f"{statistics.median(found):.2f}" if found else ""

    medians = [f"{statistics.median(costs) * 1000:.1f} ms" for costs in seen.values()]
    return " | ".join([*medians, ratio("guard", "pass"), ratio("guard", "alone"), ratio("hookify", "pass")])


def timed(command: list[str], raw: bytes, environment: dict[str, str], cwd: Path) -> float:
    """Processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, input=raw, capture_output=True, env=environment, cwd=cwd, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert b"failed" not in done.stdout, done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
