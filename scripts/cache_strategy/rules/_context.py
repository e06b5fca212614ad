"""
Where Python code reads the current user: `current_user`, `request.user`, the login session, `g.user`, a JWT.

Names are resolved through the imports of the file, so that SQLAlchemy's `session` is not Flask's.
"""

from __future__ import annotations

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.module import FUNCTIONS
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Union

    from cache_strategy.rules._index import IndexedModule

    Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]

# A name that carries a user: a parameter, a variable, an attribute or a word of a key.
USER_WORD = regex(
    r"(?:^|[_\W\d])(?:users?|uid|username|accounts?|members?|owner|viewer|author|identity|principal|customer|"
    r"session|login|email|token|profile|auth|cookie|me)(?:[_\W\d]|ids?$|pk$|$)",
    patterns.I,
)
_HOLDERS = frozenset(("request", "req"))
_REQUEST_PARTS = frozenset("user session auth authorization current_user user_id".split())
_GLOBAL_PARTS = regex(r"(?:^|_)(?:user|identity|principal|viewer|login|jwt|auth)(?:_|id|$)")
_CURRENT = frozenset(("current_user", "current_identity"))
_CURRENT_CALLS = frozenset(
    "get_current_user get_current_user_id get_jwt_identity get_jwt get_jwt_claims current_user_id "
    "get_user".split()
)
_READING = (ast.Name, ast.Attribute, ast.Call)
_LOGGERS = regex(r"(?:^|\.)(?:log|logger|logging|_logger|LOG|LOGGER)$")


def reads_of_user(
    node: ast.AST, module: "IndexedModule", *, own: "Iterable[str]" = ()
) -> "Iterator[tuple[ast.AST, str]]":
    """
    (place, text as written) of every read of the current user below `node`, in source order.

    `own` are names whose reads do not count, because the caller knows them to be part of the key. Arguments of
    logging calls do not count: they do not reach the answer.
    """
    skipped = frozenset(own)
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, ast.Call) and _is_logging(current):
            continue
        text = _user_read(current, module, skipped) if isinstance(current, _READING) else ""
        if text:
            yield current, text
            continue
        if isinstance(current, (ast.Name, ast.Constant)):
            continue
        if current is not node and isinstance(current, FUNCTIONS):
            stack.extend(reversed(current.body))
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(current))))


def _is_logging(call: ast.Call) -> bool:
    callee = call.func
    return isinstance(callee, ast.Attribute) and bool(_LOGGERS.search(text_of(callee.value)))


def _user_read(node: ast.AST, module: "IndexedModule", own: "frozenset[str]") -> str:
    """The text of the read when `node` is one, else ""."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load) or node.id in own:
            return ""
        if node.id in _CURRENT and not module.is_local(node.id, node):
            return node.id
        if (
            node.id in module.imports
            and module.imports[node.id] == "flask.session"
            and not _is_written(node, module)
        ):
            return node.id
        return ""
    if isinstance(node, ast.Attribute):
        return _attribute_read(node, module, own)
    if isinstance(node, ast.Call):
        name = qualified_name(node.func, module) or text_of(node.func)
        last = name.rpartition(".")[2]
        if last in _CURRENT_CALLS and (last != "get_user" or name.startswith("django.contrib.auth")):
            return text_of(node.func) + "()"
        if name == "flask.g.get" and node.args and isinstance(node.args[0], ast.Constant):
            word = str(node.args[0].value)
            return 'g.get("' + word + '")' if _GLOBAL_PARTS.search(word) else ""
    return ""


def _attribute_read(node: ast.Attribute, module: "IndexedModule", own: "frozenset[str]") -> str:
    if not isinstance(node.ctx, ast.Load):
        return ""
    base = node.value
    if node.attr in _REQUEST_PARTS:
        holder = base
        if isinstance(holder, ast.Attribute) and holder.attr in ("state", "context"):
            holder = holder.value
        last = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
        root = text_of(holder).partition(".")[0]
        if last in _HOLDERS and root not in own and last not in own and not _is_written(node, module):
            return text_of(node)
        if text_of(base) == "info.context" and root not in own:
            return text_of(node)
    if not isinstance(base, ast.Name) or base.id in own:
        return ""
    name = qualified_name(node, module)
    if _GLOBAL_PARTS.search(node.attr) and name in ("flask.g." + node.attr, "quart.g." + node.attr):
        return text_of(node)
    if name in ("flask.session", "flask_login.current_user") and not _is_written(node, module):
        return text_of(node)
    return ""


def _is_written(node: ast.AST, module: "IndexedModule") -> bool:
    """Whether the object is only stored into: `session["seen"] = 1`."""
    holder = module.parent(node)
    return isinstance(holder, (ast.Subscript, ast.Attribute)) and not isinstance(holder.ctx, ast.Load)


class UserReaders:
    """Which functions of a file read the current user, themselves or through functions of the same file."""

    def __init__(self, module: "IndexedModule") -> None:
        self.module = module
        self.by_name: "dict[str, list[Function]]" = {}
        for node in module.functions:
            self.by_name.setdefault(node.name, []).append(node)
        self._known: "dict[ast.AST, str]" = {}

    def callee(self, call: ast.Call) -> "Function | None":
        """The function of this file that a call reaches: a plain name, or a method of the same class."""
        target = call.func
        if isinstance(target, ast.Name):
            found = [f for f in self.by_name.get(target.id, ()) if not _in_class(f, self.module)]
            return found[0] if len(found) == 1 and target.id not in self.module.imports else None
        if (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id in ("self", "cls")
        ):
            around = [scope for scope in self.module.enclosing(call) if isinstance(scope, ast.ClassDef)]
            for function in self.by_name.get(target.attr, ()):
                if around and self.module.parent(function) is around[0]:
                    return function
        return None

    def read_in(self, function: "Function") -> str:
        """The read of the user that a function does, itself or through callees; "" where there is none."""
        if function not in self._known:
            self._known[function] = ""
            self._known[function] = next((text for _, text in self.reads(function)), "")
        return self._known[function]

    def reads(self, node: ast.AST, own: "Iterable[str]" = ()) -> "Iterator[tuple[ast.AST, str]]":
        """Reads below `node`, and calls of functions of this file that read the user."""
        body = list(node.body) if isinstance(node, FUNCTIONS) else [node]
        for part in body:
            yield from reads_of_user(part, self.module, own=own)
            for call in self.module.calls_below(part):
                function = self.callee(call)
                known = any(isinstance(value, ast.Name) and value.id in own for value in call.args)
                if function is not None and function is not node and not known:
                    inner = self.read_in(function)
                    # A method's reads through an object that is part of the key are part of the key.
                    if inner and not (inner.startswith(("self.", "cls.")) and inner.partition(".")[0] in own):
                        yield call, f"{inner} in {function.name}()"


def _in_class(function: ast.AST, module: "IndexedModule") -> bool:
    return isinstance(module.parent(function), ast.ClassDef)


def parameters_of(function: "Function") -> "list[str]":
    """The names of all parameters."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    return [argument.arg for argument in every]
