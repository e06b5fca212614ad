#!/usr/bin/env python3
"""
What `profile` costs on a repository, beside `ast.parse` and one walk of the same files, and beside semgrep.

Usage:
    python bench/profile_times.py REPOSITORY... [--times N] [--semgrep COMMAND] [--edited N]

Each repository is copied first. Each figure is processor time, of all processes of a run, without the start of Python and the
imports of the program itself (the median of N runs, in turns):

    reference  a process that reads every Python file, parses it with `ast` and walks the tree once
    cold       nothing is kept of an earlier run
    again      nothing changed since
    comments   a comment was put at the top of some files
    code       a function was added to some files
    semgrep    five rules, every file, without its network calls

Ratios are to the reference, those of second runs to the cold one. Exit codes: 0 done, 1 a run failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv", "venv", "node_modules", "__pycache__", ".cache-strategy", "site-packages")
REFERENCE = """
import ast, sys, time
start = time.process_time()
for name in sys.stdin.read().split("\\0"):
    try:
        tree = ast.parse(open(name, "rb").read())
    except (SyntaxError, ValueError, RecursionError):
        continue
    for node in ast.walk(tree):
        pass
print(time.process_time() - start)
"""
PROFILE = """
import json, resource, sys, time
from pathlib import Path
from cache_strategy.profile import evidence, frameworks, orms, profile
frameworks.load_frameworks(), orms.load_orms()
start = time.process_time()
evidence = profile(Path(sys.argv[1]), kept=Path(sys.argv[2]))
own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu": time.process_time() - start + children.ru_utime + children.ru_stime, "lines": evidence.lines,
                  "files": evidence.files, "wall": evidence.seconds, "mb": max(own.ru_maxrss, children.ru_maxrss) / 1024}))
"""
RULES = {
    "cached-view": "@cache_page(...)\ndef $F(...): ...",
    "memoised": "@functools.lru_cache(...)\ndef $F(...): ...",
    "key-of-user": "cache.set($K, $REQUEST.user, ...)",
    "commit-after": "cache.delete(...)\n...\n$S.commit()",
    "no-timeout": "cache.set($K, $V)",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Processor time of profile, beside the least it can cost.")
    parser.add_argument("repositories", nargs="+", type=Path, metavar="REPOSITORY")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="runs per figure (default 3)")
    parser.add_argument("--edited", type=int, default=3, metavar="N", help="files that change (default 3)")
    parser.add_argument(
        "--semgrep", default=shutil.which("semgrep"), metavar="COMMAND", help="where semgrep is"
    )
    options = parser.parse_args(arguments)
    missing = [path for path in options.repositories if not path.is_dir()]
    if missing:
        print(f"{missing[0]}: is no folder.", file=sys.stderr)
        return 2
    print(
        "| repository | files | lines | reference | cold | ratio | s per million lines | wall | MB | again | comments | code | semgrep |"
    )
    print("|---" * 13 + "|")
    for repository in options.repositories:
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place, repository.resolve().name)
            shutil.copytree(repository, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
            try:
                print(row(copy, Path(place, "kept"), options), flush=True)
            except subprocess.CalledProcessError as error:
                print(f"{repository}: {(error.stderr or 'failed').strip().splitlines()[-1]}", file=sys.stderr)
                return 1
    return 0


def row(repo: Path, kept: Path, options: argparse.Namespace) -> str:
    reference, cold, second, semgrep = [], [], {"again": [], "comments": [], "code": []}, []
    for number in range(options.times):
        reference.append(float(run([sys.executable, "-c", REFERENCE], "\0".join(map(str, files(repo))))))
        shutil.rmtree(kept, ignore_errors=True)
        cold.append(profiled(repo, kept))
        for kind, found in second.items():
            if kind != "again":
                edit(
                    repo,
                    options.edited,
                    "# note\n" if kind == "comments" else "",
                    f"\ndef new_{number}(x):\n    return x.y()\n" if kind == "code" else "",
                )
            found.append(profiled(repo, kept))
    if options.semgrep:
        semgrep.append(searched(repo, options.semgrep))
    one, base = cold[0], statistics.median(reference)
    whole = statistics.median(c["cpu"] for c in cold)
    shares = [f"{statistics.median(c['cpu'] for c in found) / whole:.0%}" for found in second.values()]
    others = f"{semgrep[0]:.1f} s ({semgrep[0] / base:.1f})" if semgrep else "–"
    return (
        f"| {repo.name} | {one['files']:,} | {one['lines']:,} | {base:.2f} s | {whole:.2f} s | {whole / base:.1f} | "
        f"{whole / one['lines'] * 1e6:.0f} | {statistics.median(c['wall'] for c in cold):.1f} s | "
        f"{max(c['mb'] for c in cold):.0f} | {' | '.join(shares)} | {others} |"
    )


def files(repo: Path) -> list[Path]:
    return sorted(path for path in repo.rglob("*.py") if path.is_file())


def edit(repo: Path, count: int, above: str, below: str) -> None:
    candidates = [
        path
        for path in files(repo)
        if path.stat().st_size > 200 and "test" not in str(path.relative_to(repo))
    ]
    for path in candidates[:: max(1, len(candidates) // count)][:count]:
        path.write_bytes(above.encode() + path.read_bytes() + below.encode())


def profiled(repo: Path, kept: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(run([sys.executable, "-c", PROFILE, str(repo), str(kept)]))
    return found


def searched(repo: Path, command: str) -> float:
    """The processor time of semgrep with five rules."""
    import resource

    rules = [
        {"id": k, "pattern": p, "message": k, "languages": ["python"], "severity": "INFO"}
        for k, p in RULES.items()
    ]
    config = repo.parent / "rules.json"
    config.write_text(json.dumps({"rules": rules}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ["scan", "--metrics=off", "--disable-version-check", "--no-git-ignore", "--quiet", "--json"]
    run([command, *options, "--config", str(config), str(repo)])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(command: list[str], text: str | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
