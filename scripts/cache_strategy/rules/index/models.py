"""
Which models a function writes and reads, by class name; tables of SQL text as "table NAME", the writes of an API client as
"api CLASS".

What cannot be told (a row that came as a parameter without an annotation) is left out: the rules that ask must not guess.
"""

from __future__ import annotations

from cache_strategy.rules._caches import invalidation
from cache_strategy.rules._keys import names_of
from cache_strategy.rules._writes import write_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._keys import Names
    from cache_strategy.rules._types import Function, Iterator

_CLASS = regex(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*$")
_SQL_TABLE = regex(
    r"\s*(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM|REPLACE\s+INTO|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)\s+[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(\w+)",
    patterns.I,
)
_ROW_CALLS = frozenset("save asave delete adelete save_base soft_delete".split())
_SESSION_CALLS = frozenset("add merge delete".split())
_NO_MODEL = regex(
    r"(?:Form|Serializer|Schema|Error|Exception|Client|Service|Manager|Admin|Mixin|Middleware|Handler|View|Response|Request|Q|F)$"
)
_API = regex(r"(?:^|\.)self$")
_DEEPEST = 5


def written_models(function: "Function", module: "IndexedModule") -> "dict[str, ast.AST]":
    """The models that a function changes, each with the place of the first change."""
    found: "dict[str, ast.AST]" = {}
    names = names_of(function, module)
    own = next((s.name for s in module.enclosing(function) if isinstance(s, ast.ClassDef)), "")
    for statement in function.body:
        for call in module.calls_below(statement):
            if not invalidation(call, module) and write_of(call, module):
                for model in _models_of_write(call, names, own):
                    found.setdefault(model, call)
    if any(text_of(c.func).endswith((".commit", ".flush")) for c in module.calls_below(function)):
        for place, model in _assigned_rows(function, names):
            found.setdefault(model, place)
    return found


def read_models(function: "Function", module: "IndexedModule") -> "set[str]":
    """The classes that a function names where rows are asked for."""
    found = set()
    for node in module.below(function):
        if isinstance(node, ast.Name) and _CLASS.match(node.id) and not _NO_MODEL.search(node.id):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 5000:
            found.update(
                "table " + t
                for t in patterns.findall(r"\b(?:FROM|JOIN)\s+[\"`\[]?(\w+)", node.value, patterns.I)
            )
    return found


def _models_of_write(call: ast.Call, names: "Names", own: str) -> "Iterator[str]":
    callee = call.func
    assert isinstance(callee, ast.Attribute)
    holder = text_of(callee.value)
    if callee.attr in ("post", "put", "patch") or (
        callee.attr == "delete" and _API.search(holder) and call.args
    ):
        if _API.search(holder) and own:
            yield "api " + own
        return
    if callee.attr in ("execute", "executemany", "execute_sql", "scalar"):
        yield from _of_statement(call.args[0], names)
        return
    if callee.attr in _SESSION_CALLS and call.args and not _model(callee.value, names, 0):
        given = [_model(call.args[0], names, 0)]
    elif callee.attr in _ROW_CALLS and isinstance(callee.value, ast.Name):
        given = [_model(callee.value, names, 0)]
    else:
        given = [_model(callee.value, names, 0)]
    yield from filter(None, given)


def _of_statement(statement: "ast.expr", names: "Names") -> "Iterator[str]":
    statement = names.resolve(statement)
    if isinstance(statement, ast.Call) and text_of(statement.func).endswith("text") and statement.args:
        statement = names.resolve(statement.args[0])
    if isinstance(statement, ast.JoinedStr) and statement.values:
        statement = statement.values[0]
    if isinstance(statement, ast.Constant) and isinstance(statement.value, str):
        match = _SQL_TABLE.match(statement.value)
        if match:
            yield "table " + match[1]
    elif isinstance(statement, ast.Call):
        model = _model(statement, names, 0)
        if model:
            yield model


def _assigned_rows(function: "Function", names: "Names") -> "Iterator[tuple[ast.AST, str]]":
    """`row.name = value` of rows whose model is known."""
    for node in names.module.below(function):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
        ):
            model = _model(node.value, names, 0)
            if model:
                yield node, model


def _model(node: "ast.AST | None", names: "Names", depth: int) -> str:
    """The class of the rows that an expression stands for: a class's manager, a query, a row; "" where it is not known."""
    if depth > _DEEPEST or node is None:
        return ""
    if isinstance(node, (ast.Await, ast.Subscript, ast.Starred)):
        return _model(node.value, names, depth + 1)
    if isinstance(node, ast.Name):
        return _model_of_name(node.id, names, depth)
    if isinstance(node, ast.Attribute):
        # `row.owner` is a row of something else; `Order.objects`, `Order.query` are orders.
        inner = node.value
        return _class_name(inner) or (
            ""
            if isinstance(inner, ast.Name) and not names.values.get(inner.id)
            else _of_query(inner, names, depth)
        )
    if isinstance(node, ast.Call):
        callee = node.func
        if isinstance(callee, ast.Attribute):
            found = _model(callee.value, names, depth + 1) if not isinstance(callee.value, ast.Name) else ""
            found = (
                found
                or _class_name(callee.value)
                or (
                    _model_of_name(callee.value.id, names, depth)
                    if isinstance(callee.value, ast.Name)
                    else ""
                )
            )
            if found:
                return found
        elif _class_name(callee):
            return _class_name(callee)
        return _class_name(node.args[0]) if node.args else ""
    return ""


def _of_query(node: "ast.AST", names: "Names", depth: int) -> str:
    return _model(node, names, depth + 1) if isinstance(node, ast.Call) else ""


def _class_name(node: "ast.AST | None") -> str:
    name = node.id if isinstance(node, ast.Name) else ""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id.islower():
        name = node.attr  # models.Order
    return name if _CLASS.match(name) and not _NO_MODEL.search(name) else ""


def _model_of_name(name: str, names: "Names", depth: int) -> str:
    if _CLASS.match(name) and not _NO_MODEL.search(name):
        return name
    if name in names.parameters:
        for argument in ast.walk(names.function.args):
            if isinstance(argument, ast.arg) and argument.arg == name:
                return _class_name(argument.annotation)
        return ""
    found = {_model(value, names, depth + 1) for value in names.values.get(name, ())}
    return found.pop() if len(found) == 1 else ""
