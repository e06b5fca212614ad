#!/usr/bin/env python3
"""
Can any bytes on standard input break the guard? Random events through the hook's own door, and a sample of them as whole processes.

Usage:
    python bench/guard_fuzz.py [--count 100000] [--processes 300] [--seed 1] [--python PYTHON]

Of every payload: exit code 0, and nothing or one JSON object on standard output. Payloads are events of every kind with fields
left out, of other types, huge or not UTF-8, halves of them, foreign paths, and noise. Each may be about a file of a small project
with an index and settings. Prints what was seen and every payload that broke a rule; exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import gc
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GUARD = ROOT / "hooks" / "guard.py"
WORDS = [
    "cache", "cache.delete(f'product:{x}')", "@cache.memoize(3600)\n", "def f(x):\n    ", "class A(B):\n", "Product.objects.update(a=1)\n",
    "redis-cli FLUSHALL", "sed -i s/a/b/ shop/stock.py", "cat > a.py <<'E'\n", "E\n", "$(", "`", "'", '"', "\\", "\0", "\ud800", "é", "\u2028", "{" * 40,
    "lru_cache", "current_user", "../../etc/passwd", "/dev/zero", "allow[", "# cache-safety: allow[x] y", "\r\n", "\t", "x" * 3000, "(" * 300, "proxy_cache", "vary",
    "return request.user\n", "if x:\n", "[tool.cache-strategy]\noff = [", "import redis\n", "\ufeff", "async def g():\n", "lambda: ", "%s" * 9,
]  # fmt: skip
EVENTS = [
    "PreToolUse",
    "PostToolUse",
    "Stop",
    "SessionStart",
    "UserPromptSubmit",
    "SubagentStop",
    "SessionEnd",
    "",
    None,
    7,
]
TOOLS = ["Write", "Edit", "MultiEdit", "NotebookEdit", "Bash", "Read", "Agent", "", None, 3]
KEYS = "file_path notebook_path content old_string new_string replace_all edits command new_source cell_id edit_mode cell_type".split()
STOCK = "from django.core.cache import cache\nfrom shop.models import Product\n\n\ndef a(x):\n    Product.objects.update(n=x)\n    cache.delete(f'product:{x}')\n\n\ndef b(x):\n    Product.objects.update(m=x)\n    cache.delete(f'product:{x}')\n\n\ndef c(x):\n    return cache.get(f'product:{x}')\n"


def value(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = chance.randrange(12 if depth < 3 else 8)
    if kind < 3:
        return text(chance)
    if kind < 8:
        return [None, True, False, 0, -1, 10**30, 1.5, ""][chance.randrange(8)]
    if kind < 10:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {text(chance)[:20]: value(chance, depth + 1) for _ in range(chance.randrange(4))}


def text(chance: random.Random) -> str:
    return "".join(chance.choice(WORDS) for _ in range(chance.choice((0, 1, 2, 3, 8, 30))))


def event(chance: random.Random, project: Path) -> dict[str, Any]:
    """An event that is nearly right."""
    paths = [str(project / "shop" / "stock.py"), "shop/stock.py", str(project / "new.py"), "/etc/passwd.py", "../x.py", str(project / "nginx.conf"), "x.ipynb", "", "\0.py", "a" * 5000 + ".py", str(project / "pyproject.toml")]  # fmt: skip
    given: dict[str, Any] = {key: text(chance) for key in KEYS if chance.random() < 0.6}
    given["file_path"] = chance.choice(paths)
    if chance.random() < 0.5:
        given["old_string"], given["new_string"] = chance.choice(STOCK.split("\n")), text(chance)
    if chance.random() < 0.2:
        given["edits"] = [
            {"old_string": chance.choice(STOCK.split("\n")), "new_string": text(chance)} for _ in range(3)
        ]
    found: dict[str, Any] = {
        "session_id": chance.choice(["s1", "s2", "../../s", "", None]),
        "cwd": str(project) if chance.random() < 0.8 else text(chance),
        "hook_event_name": chance.choice(EVENTS[:5] * 3 + EVENTS),
        "tool_name": chance.choice(TOOLS[:5] * 3 + TOOLS),
        "tool_input": given,
        "tool_response": {"originalFile": chance.choice([STOCK, None, "", text(chance)])},
        "stop_hook_active": chance.choice([True, False, None, "x"]),
    }
    for key in list(found):
        if chance.random() < 0.05:
            del found[key]
        elif chance.random() < 0.05:
            found[key] = value(chance)
    for key in list(given):
        if chance.random() < 0.05:
            given[key] = value(chance)
    return found


def payload(chance: random.Random, project: Path) -> bytes:
    """One input: mostly an event, else a half of one, one that is not UTF-8, any JSON, noise."""
    kind = chance.randrange(20)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return json.dumps(value(chance)).encode()
    raw = json.dumps(event(chance, project), ensure_ascii=chance.random() < 0.7).encode(
        "utf-8", "surrogatepass"
    )
    if kind == 2:
        return raw[: chance.randrange(len(raw))]
    if kind == 3:
        at = chance.randrange(len(raw))
        return raw[:at] + chance.randbytes(4) + raw[at + 4 :]
    if kind == 4 and chance.random() < 0.05:
        return raw.replace(b'"tool_input"', b'"pad": "' + b"cache " * 200_000 + b'", "tool_input"')
    return raw


def prepared(folder: Path) -> tuple[Path, dict[str, str]]:
    """A project with an index, and the environment of the hook."""
    project, data = folder / "project", folder / "data"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "stock.py").write_text(STOCK)
    (project / "pyproject.toml").write_text('[tool.cache-strategy]\noff = ["weak-key"]\nwrong = 1\n')
    sys.path.insert(0, str(ROOT / "scripts"))
    from cache_strategy.rules.index.build import refresh

    refresh(str(project), str(data))
    home = str(folder / "home")
    return project, {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "CLAUDE_PROJECT_DIR": str(project),
        "CLAUDE_PLUGIN_DATA": str(data),
    }


def in_process(raw: bytes, judge: Any) -> str:
    """What the hook's door prints for an input."""
    written = io.StringIO()
    kept = sys.stdin, sys.stdout
    sys.stdin, sys.stdout = io.TextIOWrapper(io.BytesIO(raw)), written
    try:
        judge.main()
    finally:
        sys.stdin, sys.stdout = kept
    return written.getvalue()


def wrong(output: str) -> bool:
    """Whether an answer is neither nothing nor one JSON object."""
    try:
        return output != "" and not isinstance(json.loads(output), dict)
    except ValueError:
        return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    told: collections.Counter[str] = collections.Counter()
    broken: list[str] = []
    failures: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        project, environment = prepared(Path(folder))
        os.environ.update(environment)
        os.chdir(project)
        sys.path.insert(0, str(ROOT / "hooks"))
        import afterwards
        import judge

        # Neither other processes nor a nicer one from inside of the bulk.
        afterwards.work = lambda *_: None
        judge.told_before = lambda raw: False
        began, slowest = time.process_time(), 0.0
        for number in range(given.count):
            raw = payload(chance, project)
            start = time.process_time()
            try:
                output = in_process(raw, judge)
            except BaseException as error:
                broken.append(f"{type(error).__name__}: {error}: {raw[:300]!r}")
                continue
            slowest = max(slowest, time.process_time() - start)
            told["silent" if not output else "failed inside" if "guard failed" in output else "answered"] += 1
            if "guard failed" in output:
                failures[
                    re.sub(r"\d+|char .*?\)", "#", output[output.find("(") : output.find(") and let")])[:60]
                ] += 1
            if wrong(output):
                broken.append(f"{output[:200]}: {raw[:300]!r}")
            if number % 2000 == 0:
                gc.enable()
                gc.collect()
        print(
            f"{given.count} in one process: {dict(told)}, {time.process_time() - began:.0f} s CPU, slowest {slowest:.2f} s"
        )
        for failure, count in failures.most_common(10):
            print(f"  failed inside {count} times: {failure}")
        codes: collections.Counter[str] = collections.Counter()
        for _ in range(given.processes):
            raw = payload(chance, project)
            done = subprocess.run([given.python, "-I", "-S", str(GUARD)], input=raw, capture_output=True, env=environment, cwd=project, timeout=60)  # fmt: skip
            codes[f"exit {done.returncode}"] += 1
            if done.returncode or done.stderr or wrong(done.stdout.decode("utf-8", "replace")):
                broken.append(f"process: {done!r}"[:600])
        print(f"{given.processes} processes of {given.python}: {dict(codes)}")
    for each in broken[:20]:
        print("BROKEN", each)
    print(f"{len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
