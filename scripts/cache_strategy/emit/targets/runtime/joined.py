"""
The files of the runtime as one module, for plain functions or for coroutines.

There is one text for both: `wire.py` and `wire_async.py` differ in how they wait, and whatever calls what waits there
waits too. So the coroutines are found, not listed, and get their `async` and `await`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FILES = Path(__file__).parent / "files"
PARTS = (
    "values",
    "keys",
    "records",
    "wire",
    "protocol",
    "address",
    "lua",
    "link",
    "turns",
    "watching",
    "computing",
    "runtime",
)
WIRE = PARTS.index("wire")
CALLBACK = "compute"
LINE = 88  # ruff's own, where a project sets none
EXAMPLES = re.compile(
    r"^    (def|user_profile|cache|with)(?= get_user|\.get_or|\.invalidate| user_profile)", re.M
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def joined(is_async: bool = False) -> str:
    """One module that needs none of the others."""
    texts = [(FILES / f"{name}.py").read_text(encoding="utf-8") for name in PARTS]
    if is_async:
        texts[WIRE] = (FILES / "wire_async.py").read_text(encoding="utf-8")
        texts = _awaiting(texts)
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    bodies = []
    for text in texts:
        tree = ast.parse(text)
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in imports:
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif not node.level and node.module != "__future__":
                names.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
        body = "\n".join(text.splitlines()[imports[-1].end_lineno :]).strip()
        about = re.sub("^(?=.)", "# ", ast.get_docstring(tree) or "", flags=re.M)
        bodies.append(f"{about}\n\n\n{body}")
    head, _, bodies[-1] = (
        texts[-1].partition("\nfrom __future__")[0],
        bodies[-1],
        bodies[-1].split("\n\n\n", 1)[1],
    )
    return (
        "\n".join([head, "from __future__ import annotations\n", *_imports(modules, names), ""])
        + "\n\n\n".join(bodies)
        + "\n"
    )


def _imports(modules: set[str], names: dict[str, set[str]]) -> Iterator[str]:
    """As linters sort them: the standard library, then others; modules before names."""
    for is_standard in (True, False):
        for module in sorted(modules):
            if (module.split(".")[0] in sys.stdlib_module_names) is is_standard:
                yield f"import {module}"
        for module in sorted(names):
            if (module.split(".")[0] in sys.stdlib_module_names) is is_standard:
                listed = sorted(names[module], key=lambda name: (not name.isupper(), name[0].islower(), name))
                line = f"from {module} import {', '.join(listed)}"
                lines = "".join(f"    {name},\n" for name in listed)
                yield line if len(line) <= LINE else f"from {module} import (\n{lines})"
        yield ""


def _awaiting(texts: list[str]) -> list[str]:
    """The texts with every function that waits, and every call of one, marked as Python wants it."""
    functions = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    waits = {
        CALLBACK,
        "connect",
        *(node.name for node in functions if isinstance(node, ast.AsyncFunctionDef)),
    }
    while True:
        found = {f.name for f in functions if any(_called(call) in waits for call in _calls(f))}
        if found <= waits:
            break
        waits |= found
    return [_marked(text, waits) for text in texts]


def _marked(text: str, waits: set[str]) -> str:
    text = EXAMPLES.sub(
        lambda match: f"    {'async' if match[1] in ('def', 'with') else 'await'} {match[1]}", text
    )
    lines = text.replace("compute: Callable[[], T]", "compute: Callable[[], Awaitable[T]]").splitlines()
    marks = []
    for function in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(function, ast.FunctionDef) and function.name in waits:
            marks.append((function.lineno, function.col_offset, "async "))
            marks += [(c.lineno, c.col_offset, "await ") for c in _calls(function) if _called(c) in waits]
    for line, column, word in sorted(marks, reverse=True):
        lines[line - 1] = lines[line - 1][:column] + word + lines[line - 1][column:]
    return re.sub(r"async def __(enter|exit)__", r"async def __a\1__", "\n".join(lines)) + "\n"


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls in a function's own body, not in those of functions within it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, Function | ast.Lambda):
            yield from _calls(node)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))
