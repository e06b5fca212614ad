"""Adds a statement after every commit in a function: an invalidation that the code itself carries out."""

from collections.abc import Sequence

import libcst as cst

from cache_strategy.emit.edits._base import (
    CannotEdit,
    Edit,
    Example,
    InFunction,
    code_of,
    dotted,
    edit_function,
)


class _AfterCommit(cst.CSTTransformer):
    """Works on one statement list at a time; nested functions are their own and are left alone."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.commits = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> bool:
        if ".commit()" in code_of(node):
            raise CannotEdit("a commit stands on the line of its `if`; put it on a line of its own.")
        return False

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        return updated_node.with_changes(body=self.with_calls(updated_node.body))

    def with_calls(self, body: Sequence[cst.BaseStatement]) -> list[cst.BaseStatement]:
        result: list[cst.BaseStatement] = []
        wanted = self.statement.strip()
        for position, node in enumerate(body):
            result.append(node)
            if not _is_commit(node):
                continue
            self.commits += 1
            follower = body[position + 1] if position + 1 < len(body) else None
            if follower is None or code_of(follower) != wanted:
                result.append(cst.parse_statement(wanted))
        return result


def _is_commit(node: cst.BaseStatement) -> bool:
    if not isinstance(node, cst.SimpleStatementLine) or not isinstance(node.body[0], cst.Expr):
        return False
    call = node.body[0].value
    return isinstance(call, cst.Call) and dotted(call.func).endswith(".commit")


class _InFunction(InFunction):
    def __init__(self, qualname: str, statement: str) -> None:
        super().__init__(qualname)
        self.inner = _AfterCommit(statement)

    def edit_function(self, function: cst.FunctionDef) -> cst.FunctionDef:
        body = function.body.visit(self.inner)
        if self.inner.commits == 0:
            raise CannotEdit(
                f"{self.qualname}: has no commit of its own; the call must stand after one. Put it there by hand."
            )
        return function.with_changes(body=body)


def apply(source: str, *, qualname: str, statement: str) -> str:
    """`statement` after each `….commit()` of the function. Raises CannotEdit where it has none."""
    return edit_function(source, _InFunction(qualname, statement))


edit = Edit(
    __name__,
    apply,
    Example(
        before="def update(user_id, data):\n    user = load(user_id)\n    user.name = data\n    db.session.commit()\n    return user\n",
        after=(
            "def update(user_id, data):\n    user = load(user_id)\n    user.name = data\n    db.session.commit()\n"
            "    caches.user_profile.invalidate(user_id=user_id)\n    return user\n"
        ),
        arguments={"qualname": "update", "statement": "caches.user_profile.invalidate(user_id=user_id)"},
    ),
)
