"""
Where Python code changes data: ORM sessions, model rows, querysets, SQL text, requests to another service.

Sources: SQLAlchemy 1.4 and 2.0 (`Session`), Django 5 (`Model.save`, `QuerySet`), DB-API 2.0 cursors.
"""

from __future__ import annotations

from cache_strategy.rules._caches import invalidation, is_cache
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.names import qualified_name, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._index import IndexedModule

_ALWAYS = frozenset(
    "bulk_create bulk_update bulk_save_objects bulk_insert_mappings bulk_update_mappings abulk_create "
    "update_or_create aupdate_or_create save asave commit save_base soft_delete insert_one update_one "
    "update_many delete_one insert_many save_model delete_model delete_queryset perform_create "
    "perform_update perform_destroy form_valid".split()
)
_SESSION = frozenset("add add_all merge delete flush commit".split())
_SESSION_NAME = regex(r"(?:^|_|\.)(?:session|db|conn|connection|tx|transaction|uow)$", patterns.I)
_QUERYSET = frozenset("update delete create get_or_create acreate adelete aupdate set add remove".split())
_QUERYSET_PART = frozenset(
    "objects filter exclude all query filter_by where _default_manager _base_manager select_for_update".split()
)
_HTTP = frozenset(("post", "put", "patch"))
_HTTP_CLIENT = regex(
    r"(?:^|_|\.)(?:self|client|requests|http|httpx|api|session|http_session|rest)$", patterns.I
)
_SQL = regex(r"\s*(?:INSERT|UPDATE|DELETE|REPLACE|MERGE|TRUNCATE)\b", patterns.I)
_SQL_BUILDERS = frozenset("insert update delete upsert".split())
_VERB = regex(
    r"(?:^|_)(?:create|update|save|set|insert|add|remove|delete|edit|archive|cancel|merge|store|upsert|approve|reject|accept|"
    r"move|rename|replace|assign|revoke|persist|record)_[a-z]"
)
# Verbs that change how the program runs, not what is stored.
_NO_DATA = regex(
    r"_(?:middlewares?|handlers?|routes?|router|listeners?|filters?|arguments?|headers?|urls?|cookies?|flash|extensions?|"
    r"blueprints?|loggers?|hooks?|context)$"
)
# Not `on_event`: FastAPI's start and stop.
_LISTENERS = regex(r"(?:^|\.)(?:receiver|listens_for|connect|connect_via)$")


def write_of(call: ast.Call, module: "IndexedModule") -> str:
    """The text of a call that changes data, else ""."""
    callee = call.func
    if not isinstance(callee, ast.Attribute) or invalidation(call, module):
        return ""
    name = callee.attr
    is_row = name == "delete" and not call.args and isinstance(callee.value, ast.Name)
    if is_cache(callee.value, module) and not is_row:
        return ""
    holder = text_of(callee.value)
    written = (holder + "." if holder else "...") + name + "()"
    if name in _ALWAYS:
        return written
    if name in _SESSION and holder and _SESSION_NAME.search(holder):
        return written
    if is_row:
        return written
    if name in _QUERYSET and _is_queryset(callee.value):
        return written
    if name in _HTTP and holder and _HTTP_CLIENT.search(holder):
        return written
    if name == "delete" and holder and _HTTP_CLIENT.search(holder) and (call.args or call.keywords):
        return written
    if (
        name in ("execute", "executemany", "execute_sql", "scalar")
        and call.args
        and _is_writing_sql(call.args[0], module)
    ):
        return written
    return ""


def _is_queryset(node: ast.AST) -> bool:
    while isinstance(node, (ast.Attribute, ast.Call)):
        if isinstance(node, ast.Attribute) and node.attr in _QUERYSET_PART:
            return True
        node = node.func if isinstance(node, ast.Call) else node.value
    return False


def _is_writing_sql(node: ast.AST, module: "IndexedModule") -> bool:
    if isinstance(node, ast.Name) and isinstance(
        module.bindings.get(node.id), (ast.Constant, ast.Call, ast.JoinedStr)
    ):
        node = module.bindings[node.id]
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(_SQL.match(node.value))
    if isinstance(node, ast.Call):
        inner = node
        while isinstance(inner, ast.Call):
            last = qualified_name(inner.func, module).rpartition(".")[2] or getattr(inner.func, "attr", "")
            if last in _SQL_BUILDERS:
                return True
            if last == "text" and inner.args:
                return _is_writing_sql(inner.args[0], module)
            if not isinstance(inner.func, ast.Attribute):
                return False
            inner = inner.func.value  # type: ignore[assignment]  # a call on an attribute, by the test before
    return False


def writes_in(function: ast.AST, module: "IndexedModule") -> "Iterator[tuple[ast.AST, str]]":
    """
    (place, text) of every write in a function: its own calls, and calls of functions of the same file that write.

    A function that is called by the framework when a row changes (a signal receiver, an event listener) counts as a
    write itself.
    """
    for decorator in decorators_of(function, module):
        if _LISTENERS.search(decorator.name or decorator.text):
            yield function, "what @" + (decorator.text or decorator.name) + " listens to"
    yield from _called_writes(function, module, {function})


def _called_writes(
    function: ast.AST, module: "IndexedModule", seen: "set[ast.AST]"
) -> "Iterator[tuple[ast.AST, str]]":
    for statement in getattr(function, "body", []):
        for node in module.calls_below(statement):
            text = write_of(node, module)
            if text:
                yield node, text
                continue
            callee = module.readers.callee(node)
            if callee is not None and callee not in seen and not decorators_of(callee, module):
                seen.add(callee)
                for _, inner in _called_writes(callee, module, seen):
                    yield node, f"{inner} in {callee.name}()"
                    break


def named_writes_in(function: ast.AST, module: "IndexedModule") -> "Iterator[tuple[ast.AST, str]]":
    """(place, text) of calls in a function whose names say that they change data: `dao_update_service(...)`."""
    for statement in getattr(function, "body", []):
        for node in module.calls_below(statement):
            if not invalidation(node, module):
                text = text_of(node.func)
                name = text.rpartition(".")[2]
                if _VERB.search(name) and not _NO_DATA.search(name):
                    yield node, text + "()"


def is_listener(function: ast.AST, module: "IndexedModule") -> bool:
    """Whether the framework calls a function when data changes: a receiver, a listener, a model's own save or delete."""
    if any(
        _LISTENERS.search(decorator.name or decorator.text) for decorator in decorators_of(function, module)
    ):
        return True
    name = getattr(function, "name", "")
    if name in ("save", "delete", "save_model", "after_flush", "after_commit"):
        return True
    for node in module.calls_below(module.tree):
        if isinstance(node.func, (ast.Attribute, ast.Name)):
            called = text_of(node.func)
            if called.rpartition(".")[2] in ("connect", "listen", "connect_via") and any(
                text_of(argument).rpartition(".")[2] == name for argument in node.args
            ):
                return True
    return False
