"""Puts an expression in the place of a raw SQL text: the query then reads from a materialized view."""

import libcst as cst

from cache_strategy.emit.edits._base import (
    CannotEdit,
    Edit,
    Example,
    InFunction,
    code_of,
    edit_function,
    parse,
)


class _ReplaceSql(InFunction):
    def __init__(self, qualname: str, sql: str, expression: str, constants: frozenset[str]) -> None:
        super().__init__(qualname)
        self.sql = sql
        self.expression = cst.parse_expression(expression)
        self.code = expression
        self.constants = constants

    def edit_function(self, function: cst.FunctionDef) -> cst.FunctionDef:
        if self.code in code_of(function):
            return function
        replacer = _Replacer(self)
        edited = function.visit(replacer)
        if replacer.count != 1 or not isinstance(edited, cst.FunctionDef):
            raise CannotEdit(
                f"{self.qualname}: the query of the contract stands in it {replacer.count} times; once is right."
            )
        return edited


class _Replacer(cst.CSTTransformer):
    def __init__(self, owner: _ReplaceSql) -> None:
        self.owner = owner
        self.count = 0

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        value = original_node.value
        is_constant = isinstance(value, cst.Name) and value.value in self.owner.constants
        if not (is_constant or _is_sql(value, self.owner.sql)):
            return updated_node
        self.count += 1
        return updated_node.with_changes(value=self.owner.expression)


def _is_sql(node: cst.BaseExpression, sql: str) -> bool:
    """Whether a node is a literal of that query."""
    text = node.evaluated_value if isinstance(node, cst.SimpleString | cst.ConcatenatedString) else None
    return isinstance(text, str) and normal(text) == normal(sql)


def normal(sql: str) -> str:
    """SQL with white space folded and no final semicolon, for comparison."""
    return " ".join(sql.split()).rstrip("; ")


def apply(source: str, *, qualname: str, sql: str, expression: str) -> str:
    """The argument that is `sql` (a literal, or a constant of the module) becomes `expression`."""
    constants = set()
    for node in parse(source, qualname).body:
        if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Assign):
            target = node.body[0].targets[0].target
            if _is_sql(node.body[0].value, sql) and isinstance(target, cst.Name):
                constants.add(target.value)
    return edit_function(source, _ReplaceSql(qualname, sql, expression, frozenset(constants)))


edit = Edit(
    __name__,
    apply,
    Example(
        before='def sales(session):\n    return session.execute(text("""\n        SELECT 1\n    """)).all()\n',
        after="def sales(session):\n    return session.execute(text(caches.sales.query(session))).all()\n",
        arguments={"qualname": "sales", "sql": "SELECT 1", "expression": "caches.sales.query(session)"},
    ),
)
