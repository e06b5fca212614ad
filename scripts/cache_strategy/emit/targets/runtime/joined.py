"""The files of the runtime as one module, for plain functions or for coroutines."""

import ast
from pathlib import Path

FILES = Path(__file__).parent / "files"
PARTS = ("values", "wire", "link", "watching", "runtime")


def joined() -> str:
    """One module that needs none of the others."""
    texts = {name: (FILES / f"{name}.py").read_text(encoding="utf-8") for name in PARTS}
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    bodies = []
    for name in PARTS:
        tree = ast.parse(texts[name])
        lines = texts[name].splitlines()
        end = 0
        for node in tree.body:
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
            elif not isinstance(node, ast.ImportFrom | ast.Expr):
                break
            end = node.end_lineno or 0
        bodies.append("\n".join(lines[end:]).strip())
    head = ast.get_docstring(ast.parse(texts["runtime"]), clean=False)
    names.pop("__future__")
    imports = [f"import {module}" for module in sorted(modules)]
    imports += [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    return (
        f'"""{head}"""\n\nfrom __future__ import annotations\n\n'
        + "\n".join(imports)
        + "\n\n\n"
        + "\n\n\n".join(bodies)
        + "\n"
    )
