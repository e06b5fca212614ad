"""The probe runs on the application's Python, which may be old and has nothing of ours."""

import ast
import sys
from pathlib import Path

import pytest

from cache_strategy.record import probe

FILES = sorted(Path(probe.__file__).parent.rglob("*.py"))
WATCHED = {"flask", "sqlalchemy"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_python_3_8_and_imports_a_watched_library_only_once_it_is_there(file):
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
    at_the_top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or (top in WATCHED and node not in at_the_top)
