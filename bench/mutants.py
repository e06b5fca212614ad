"""
How many faults in the patch its own tests, or the proof, find: one generated thing is taken away at a time.

Taken away are each dependency, watched table and column, tag, part of a key, Vary name and Cache-Control of the generated
entries, each call of a writer, and a Django application's place among INSTALLED_APPS. Columns by which no entry knows rows
stay: without them kept statements depend on more rows than they have to, and nothing is wrong. Usage, with both servers:

    python tests/servers.py -- python bench/mutants.py [REPOSITORY] [--contract proposed] [--prove]

REPOSITORY is the example application unless named; its pytest, or its `manage.py test`, must run as it stands.
`proposed` makes the contract anew.
With --prove the mutants that the generated tests do not find are run through `cache-strategy verify` too.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLI = (sys.executable, "-m", "cache_strategy")
SUITE = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
DJANGO = ("manage.py", "test", "--failfast")
LISTS = ("depends_on", "tags", "vary", "columns")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", nargs="?", type=Path, default=ROOT / "tests/apps/flask_shop")
    parser.add_argument("--contract", choices=("own", "proposed"), default="own")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the repository's tests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder) / "repository"
        shutil.copytree(options.repository, repo)
        return report(repo, options)


def report(repo: Path, options: argparse.Namespace) -> int:
    is_django = (repo / "manage.py").exists()
    suite = (options.python, *(DJANGO if is_django else SUITE))
    if options.contract == "proposed":
        (repo / "cache-strategy.yaml").unlink(missing_ok=True)
    for verb in (("run", "."), ("emit", "--apply", ".")):
        run(CLI + verb, repo, check=True)
    (tests,) = repo.rglob("test_caches.py")
    place = tests.relative_to(repo)
    command = (*suite, ".".join(place.with_suffix("").parts) if is_django else str(place))
    assert run(command, repo) == 0, "the generated tests fail without any fault"
    found = survived = 0
    for file in [
        *repo.rglob("caching/entries.py"),
        *(p for p in repo.rglob("*.py") if "caching" not in p.parts),
    ]:
        whole = file.read_text(encoding="utf-8")
        for what, mutant in mutants(whole, file.name == "entries.py" and file.parent.name == "caching"):
            file.write_text(mutant, encoding="utf-8")
            is_found = run(command, repo) != 0 or (
                options.prove and run((*CLI, "verify", ".", "--", *suite), repo) != 0
            )
            found, survived = found + is_found, survived + (not is_found)
            if not is_found:
                print(f"not found: {file.relative_to(repo)}: {what}", flush=True)
            file.write_text(whole, encoding="utf-8")
    print(f"{found} of {found + survived} found ({found / max(1, found + survived):.1%})")
    return int(bool(survived))


def run(command: tuple[str, ...], repo: Path, check: bool = False) -> int:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=repo, env=env, capture_output=True, check=check).returncode


def mutants(source: str, entries: bool) -> Iterator[tuple[str, str]]:
    """What is taken away, and the source without it."""
    for node in ast.walk(ast.parse(source)):
        if not entries:
            code = ast.unparse(node) if isinstance(node, ast.Expr) else ""
            if code.startswith("caches.") and ".invalidate(" in code:
                yield code, replaced(source, node, "pass")
            elif isinstance(node, ast.List) and (
                gone := [e for e in node.elts if "CachingConfig" in ast.unparse(e)]
            ):
                rest = ast.List([e for e in node.elts if e not in gone], ast.Load())
                yield ast.unparse(gone[0]), replaced(source, node, ast.unparse(rest))
        elif isinstance(node, ast.keyword) and node.arg in LISTS and isinstance(node.value, ast.Tuple):
            for item in node.value.elts:
                if node.arg == "columns" and f"{ast.literal_eval(item)}:" not in source:
                    continue
                rest = ast.Tuple([e for e in node.value.elts if e is not item], ast.Load())
                yield f"{node.arg} {ast.unparse(item)}", replaced(source, node.value, ast.unparse(rest))
        elif isinstance(node, ast.keyword) and node.arg == "cache_control":
            yield f"cache_control {ast.unparse(node.value)}", replaced(source, node.value, '""')
        elif isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            for key in node.keys:
                pairs = [(k, v) for k, v in zip(node.keys, node.values, strict=True) if k is not key]
                rest = ast.Dict([k for k, _ in pairs], [v for _, v in pairs])
                yield f"item {ast.unparse(key)}", replaced(source, node, ast.unparse(rest))


def replaced(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    piece = ast.get_source_segment(source, node) or ""
    lines = source.splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    return source[:start] + text + source[start + len(piece) :]


if __name__ == "__main__":
    sys.exit(main())
