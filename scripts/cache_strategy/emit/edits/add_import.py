"""Adds `from package import name [as alias]` to the imports that are there, where linters sort it."""

import libcst as cst

from cache_strategy.emit.edits._base import Edit, Example, dotted, parse


def apply(source: str, *, module: str, name: str, alias: str = "") -> str:
    """The import among those of its package at the head of the file, else after the last; before the first statement where there is none."""
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
    line = cst.ensure_type(
        cst.parse_statement(statement, config=tree.config_for_parsing), cst.SimpleStatementLine
    )
    at, kind = last + 1 if last >= 0 else first, ""
    for position in range(at - 1, -1, -1):
        imported = _import_at(body, position)
        order = _order(_written(imported), module) if imported is not None else ""
        if not order:
            break
        if order != "after":
            at, kind = position, order
    before = _import_at(body, at - 1) if at and not kind else None
    if before is not None and _order(_written(before), module) == "" and module[0] != ".":
        line = line.with_changes(leading_lines=[cst.EmptyLine()])
    neighbour = body[at] if kind else None
    if isinstance(neighbour, cst.SimpleStatementLine):
        head = neighbour.leading_lines
        if kind == "group":
            line = line.with_changes(leading_lines=[cst.EmptyLine()] if at else [])
            body[at] = neighbour.with_changes(leading_lines=head or [cst.EmptyLine()])
        elif not any(empty.comment for empty in head):
            line = line.with_changes(leading_lines=head)
            body[at] = neighbour.with_changes(leading_lines=[])
    body.insert(at, line)
    return tree.with_changes(body=body).code


def _import_at(
    body: list[cst.SimpleStatementLine | cst.BaseCompoundStatement], position: int
) -> cst.ImportFrom | None:
    node = body[position]
    small = node.body[0] if isinstance(node, cst.SimpleStatementLine) else None
    return small if isinstance(small, cst.ImportFrom) else None


def _order(there: str, module: str) -> str:
    """Whether an import that is there comes after the new one as linters sort them, or is its neighbour; "" for neither."""
    if there.startswith(".") and not module.startswith("."):
        return "group"
    if there.split(".")[0] != module.split(".")[0]:
        return ""
    return "before" if _rank(there) > _rank(module) else "after"


def _rank(module: str) -> tuple[int, str]:
    name = module.lstrip(".")
    return len(name) - len(module), name


def _written(node: cst.ImportFrom) -> str:
    return "." * len(node.relative) + (dotted(node.module) if node.module else "")


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
    return _written(node) == module and any(
        dotted(item.name) == name and (dotted(item.asname.name) if item.asname else "") == alias
        for item in node.names
    )


edit = Edit(
    __name__,
    apply,
    Example(
        before='"""Accounts."""\n\nimport os\n\nfrom shop.models import User  # the row\n\n\ndef f():\n    return 1\n',
        after=(
            '"""Accounts."""\n\nimport os\n\nfrom shop.caching import entries as caches\n'
            "from shop.models import User  # the row\n\n\ndef f():\n    return 1\n"
        ),
        arguments={"module": "shop.caching", "name": "entries", "alias": "caches"},
    ),
)
