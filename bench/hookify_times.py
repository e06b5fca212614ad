#!/usr/bin/env python3
"""
What one hook call costs with rules of the user: this plugin's guard beside the hookify plugin, whole processes.

Usage:
    python bench/hookify_times.py HOOKIFY [--rules 0,1,10,50] [--rounds N] [--python /usr/bin/python3]

HOOKIFY is the folder of the hookify plugin (the one with hooks/pretooluse.py). Half of the rules are about commands, half about
files; one matches the calls called stopped. Per row: the medians of N rounds in which each side ran once, in random order, processor time of the
process (user and system) and wall time, and the median of the paired ratios. "pass" is `python3 -I -S -c pass`, the least that
any Python hook costs. hookify runs a second time after each call; that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

GUARD = Path(__file__).resolve().parents[1] / "hooks" / "guard.py"
WORDS = "deploy terraform kubectl vagrant ansible heroku rsync mkfs shutdown wipefs".split()


def main() -> None:
    """Prints one row per number of rules and event."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hookify", type=Path)
    parser.add_argument("--rules", default="0,1,10,50")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--python", default="/usr/bin/python3")
    given = parser.parse_args()
    print("| rules, call | pass | guard | hookify | guard : hookify, CPU | wall | guard : pass |")
    print("|---|---|---|---|---|---|---|")
    for count in map(int, given.rules.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder) / "project"
            write_rules(project, count)
            for name, event in events(project).items():
                if "stopped" in name and count < 2:
                    continue
                print(f"| {count}, {name} | {row(given, project, json.dumps(event).encode())} |", flush=True)


def write_rules(project: Path, count: int) -> None:
    """Rules as people write them."""
    (project / ".claude").mkdir(parents=True)
    for number in range(count):
        word = f"{WORDS[number % len(WORDS)]}{number}"
        pattern = rf"{word}\s+(?:--force|-f)\b|no-{word}-please"
        event = "bash" if number % 2 else "file"
        text = f"---\nname: r{number}\nenabled: true\nevent: {event}\naction: block\npattern: {pattern}\n---\n\nAsk.\n"
        (project / ".claude" / f"hookify.r{number:03d}.local.md").write_text(text)


def events(project: Path) -> dict[str, dict[str, object]]:
    """The calls: a command and 2,000 lines, each passing and stopped (hookify does not look into what Write writes)."""
    base = {"session_id": "s", "cwd": str(project), "hook_event_name": "PreToolUse"}
    lines = "".join(f"    total_{n} = price_{n} * amount_{n}\n" for n in range(2000))
    write = {"file_path": str(project / "new.py"), "content": f"def totals():\n{lines}"}
    edit = {
        "file_path": write["file_path"],
        "old_string": "x",
        "new_string": f"{lines}# {WORDS[0]}0 --force\n",
    }
    return {
        "Bash": {**base, "tool_name": "Bash", "tool_input": {"command": "ls -la src && git status"}},
        "Bash, stopped": {**base, "tool_name": "Bash", "tool_input": {"command": f"{WORDS[1]}1 --force"}},
        "Write of 2,000 lines": {**base, "tool_name": "Write", "tool_input": write},
        "Edit of 2,000 lines, stopped": {**base, "tool_name": "Edit", "tool_input": edit},
    }


def row(given: argparse.Namespace, project: Path, event: bytes) -> str:
    """The medians of one row."""
    sides = {
        "pass": [given.python, "-I", "-S", "-c", "pass"],
        "guard": [given.python, "-I", "-S", str(GUARD)],
        "hookify": [given.python, str(given.hookify / "hooks" / "pretooluse.py")],
    }
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    data = project.parent / "data"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent),
        "CLAUDE_PROJECT_DIR": str(project),
        "CLAUDE_PLUGIN_DATA": str(data),
        "CLAUDE_PLUGIN_ROOT": str(given.hookify.resolve()),
    }
    for turn in range(given.rounds + 2):
        for name in random.sample(list(sides), len(sides)):
            cost = timed(sides[name], event, environment, project)
            if turn >= 2:
                seen[name].append(cost)

    def ratio(over: str, under: str, which: int) -> str:
        pairs = zip(seen[over], seen[under], strict=True)
        return f"{statistics.median(o[which] / u[which] for o, u in pairs):.2f}"

    medians = [
        f"{statistics.median(c for c, _ in seen[n]) * 1000:.0f} ms, {statistics.median(w for _, w in seen[n]) * 1000:.0f} ms wall"
        for n in sides
    ]
    ratios = [ratio("guard", "hookify", 0), ratio("guard", "hookify", 1), ratio("guard", "pass", 0)]
    return " | ".join([*medians, *ratios])


def timed(command: list[str], event: bytes, environment: dict[str, str], cwd: Path) -> tuple[float, float]:
    """(processor seconds, wall seconds) of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, input=event, capture_output=True, env=environment, cwd=cwd, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert b"rror" not in done.stdout, done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


if __name__ == "__main__":
    main()
