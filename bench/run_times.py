#!/usr/bin/env python3
"""
How long `cache-strategy run` takes on a repository, cold and warm, beside the least that reading it can cost.

Usage:
    python bench/run_times.py REPOSITORY... [--times N]

The repository is copied first; nothing is written into it. Each figure is the median of N new processes, with the fastest
and the slowest:

    cold       the program's own modules are not compiled yet, and the copy has no .cache-strategy/
    warm       the same again: compiled modules, evidence and contract of the run before
    start      `cache-strategy --help`, what every verb pays before it begins
    reference  a process that reads every Python file, parses it with `ast` and walks the tree once

The ratios are warm, less start, to reference (less the start of Python), from the same minutes on the same machine: compare
those between machines, not the seconds. Exit codes: 0 done, 1 a run failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv", "venv", "node_modules", "__pycache__", ".cache-strategy", "site-packages")
REFERENCE = """
import ast, sys
for name in sys.stdin.read().split("\\0"):
    try:
        tree = ast.parse(open(name, "rb").read())
    except (SyntaxError, ValueError):
        continue
    for node in ast.walk(tree):
        pass
"""


class Failed(Exception):
    """A run ended with another exit code than 0; the message is its last line."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Times of cache-strategy run, cold and warm.")
    parser.add_argument("repositories", nargs="+", type=Path, metavar="REPOSITORY")
    parser.add_argument("--times", type=int, default=5, metavar="N", help="processes per figure (default 5)")
    options = parser.parse_args(arguments)
    missing = [path for path in options.repositories if not path.is_dir()]
    if missing or options.times < 1:
        print(f"{missing[0]}: is no folder." if missing else "--times: at least 1.", file=sys.stderr)
        return 2
    print("| repository | files | lines | cold | warm | start | reference | warm : reference |")
    print("|---|---|---|---|---|---|---|---|")
    for repository in options.repositories:
        try:
            print(row_of(repository, options.times), flush=True)
        except Failed as failed:
            print(f"{repository}: {failed}", file=sys.stderr)
            return 1
    return 0


def row_of(repository: Path, times: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory(prefix="run-times-") as folder:
        copy = Path(folder) / repository.resolve().name
        shutil.copytree(repository, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        files = sorted(copy.rglob("*.py"))
        lines = sum(file.read_bytes().count(b"\n") for file in files if file.is_file())
        ours = ("-m", "cache_strategy", "run", str(copy))
        cold = [cold_time(copy, Path(folder) / f"compiled{n}", ours) for n in range(times)]
        compiled = Path(folder) / "compiled"
        seconds(ours, compiled)
        warm = [seconds(ours, compiled) for _ in range(times)]
        start = [seconds(("-m", "cache_strategy", "--help"), compiled) for _ in range(times)]
        names = "\0".join(map(str, files))
        reference = [seconds(("-c", REFERENCE), compiled, names) for _ in range(times)]
        nothing = [seconds(("-c", "pass"), compiled) for _ in range(times)]
    least = statistics.median(reference) - statistics.median(nothing)
    ratio = (statistics.median(warm) - statistics.median(start)) / max(least, 1e-6)
    figures = " | ".join(spread(values) for values in (cold, warm, start, reference))
    return f"| {copy.name} | {len(files):,} | {lines:,} | {figures} | {ratio:.1f} |"


def cold_time(copy: Path, compiled: Path, command: tuple[str, ...]) -> float:
    shutil.rmtree(copy / ".cache-strategy", ignore_errors=True)
    return seconds(command, compiled)


def seconds(command: tuple[str, ...], compiled: Path, given: str = "") -> float:
    """The wall time of a new process of this Python."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "scripts"),
        "PYTHONPYCACHEPREFIX": str(compiled),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], input=given, env=environment, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["failed without a word"])[-1])
    return took


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
