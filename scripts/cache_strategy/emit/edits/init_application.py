"""Adds a call where the application is put together: at the end of its factory, or after a module-level instance."""

import libcst as cst

from cache_strategy.emit.edits._base import (
    CannotEdit,
    Edit,
    Example,
    InFunction,
    code_of,
    dotted,
    edit_function,
    parse,
)


class _InFactory(InFunction):
    def __init__(self, qualname: str, call: str) -> None:
        super().__init__(qualname)
        self.call = call

    def edit_function(self, function: cst.FunctionDef) -> cst.FunctionDef:
        edited = self.with_call(function.body)
        if edited is None:
            raise CannotEdit(
                f"{self.qualname}: does not end in `return app`; call {self.call}(app) in it by hand."
            )
        return function.with_changes(body=edited)

    def with_call(self, block: cst.BaseSuite) -> cst.BaseSuite | None:
        """The block with the call before its last `return app`; a final `with` is looked into. None without one."""
        body = list(block.body)
        at = next((i for i in reversed(range(len(body))) if _returned_name(body[i])), None)
        if at is None:
            last = body[-1] if body else None
            inner = self.with_call(last.body) if isinstance(last, cst.With) else None
            if inner is None or not isinstance(last, cst.With):
                return None
            return block.with_changes(body=[*body[:-1], last.with_changes(body=inner)])
        statement = f"{self.call}({_returned_name(body[at])})"
        if any(code_of(node) == statement for node in body):
            return block
        line = cst.ensure_type(cst.parse_statement(statement), cst.SimpleStatementLine)
        if at and isinstance(body[at - 1], cst.FunctionDef | cst.ClassDef):
            line = line.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
        body.insert(at, line)
        return block.with_changes(body=body)


def _returned_name(node: cst.CSTNode) -> str:
    if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Return):
        value = node.body[0].value
        return dotted(value) if isinstance(value, cst.Name) else ""
    return ""


def apply(source: str, *, call: str, factory: str = "", instance: str = "") -> str:
    """`call(app)` before the factory's last `return app` (also in a final `with`), or after the assignment of a module-level `instance`."""
    if factory:
        return edit_function(source, _InFactory(factory, call))
    tree = parse(source, instance)
    statement = f"{call}({instance})"
    if any(code_of(node) == statement for node in tree.body):
        return source
    for position, node in enumerate(tree.body, 1):
        first = node.body[0] if isinstance(node, cst.SimpleStatementLine) else None
        if isinstance(first, cst.Assign) and instance in [dotted(item.target) for item in first.targets]:
            added = cst.parse_statement(statement, config=tree.config_for_parsing)
            return tree.with_changes(body=[*tree.body[:position], added, *tree.body[position:]]).code
    raise CannotEdit(
        f"{instance}: is not assigned in this file; call {call}({instance}) where the application is made."
    )


edit = Edit(
    __name__,
    apply,
    Example(
        before="def create_app():\n    app = Flask(__name__)\n    db.init_app(app)\n\n    return app\n",
        after="def create_app():\n    app = Flask(__name__)\n    db.init_app(app)\n    caches.init_app(app)\n\n    return app\n",
        arguments={"call": "caches.init_app", "factory": "create_app"},
    ),
)
