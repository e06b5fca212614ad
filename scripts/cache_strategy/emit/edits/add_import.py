"""Adds `from package import name [as alias]` below the imports that are there."""

import libcst as cst

from cache_strategy.emit.edits._base import Edit, Example, dotted, parse


def apply(source: str, *, module: str, name: str, alias: str = "") -> str:
    """The import after the last one at the head of the file; before the first statement where there is none."""
    tree = parse(source, module)
    statement = f"from {module} import {name}" + (f" as {alias}" if alias else "")
    body = list(tree.body)
    last, first = -1, 0
    for position, node in enumerate(body):
        if not isinstance(node, cst.SimpleStatementLine):
            continue
        small = node.body[0]
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString) and position == 0:
            first = 1
        if isinstance(small, cst.ImportFrom) and _is_same(small, module, name, alias):
            return source
        if isinstance(small, cst.Import | cst.ImportFrom) and (
            last == position - 1 or last < 0 or _near(body, last, position)
        ):
            last = position
    line = cst.parse_statement(statement, config=tree.config_for_parsing)
    at = last + 1 if last >= 0 else first
    body.insert(at, line)
    return tree.with_changes(body=body).code


def _near(body: list[cst.SimpleStatementLine | cst.BaseCompoundStatement], last: int, position: int) -> bool:
    """Only docstrings, assignments of dunder names and guarded imports lie between: still the head of the file."""
    for node in body[last + 1 : position]:
        if isinstance(node, cst.Try | cst.If):
            continue
        if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Assign):
            target = dotted(node.body[0].targets[0].target)
            if target.startswith("__"):
                continue
        return False
    return True


def _is_same(node: cst.ImportFrom, module: str, name: str, alias: str) -> bool:
    if isinstance(node.names, cst.ImportStar):
        return False
    written = "." * len(node.relative) + (dotted(node.module) if node.module else "")
    return written == module and any(
        dotted(item.name) == name and (dotted(item.asname.name) if item.asname else "") == alias
        for item in node.names
    )


edit = Edit(
    __name__,
    apply,
    Example(
        before='"""Accounts."""\n\nimport os\n\nfrom shop.models import User  # the row\n\n\ndef f():\n    return 1\n',
        after=(
            '"""Accounts."""\n\nimport os\n\nfrom shop.models import User  # the row\n'
            "from shop.caching import entries as caches\n\n\ndef f():\n    return 1\n"
        ),
        arguments={"module": "shop.caching", "name": "entries", "alias": "caches"},
    ),
)
