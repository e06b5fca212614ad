"""
What one Python file says about the caches of its project: `Fact` by `Fact`.

| kind | name | detail |
|---|---|---|
| set, get, del | the shape of a key | |
| cached | a function that is cached | the seconds it lives, "" for ever or unknown |
| clear | a function that invalidates, or a cached function that is invalidated by name | |
| write | a model that a function changes | what the function invalidates, "" for nothing |
| read | a model that a cached function reads | the function |
| listen | a model whose changes a listener hears | |
| decide | a function that is called where rights are decided | |
| class | a class | its bases, and after `|` what guards it |
| guard | a blueprint whose requests are all guarded, a view that the routes guard | by what |
| shows | a template that shows the user | the expression |
| extends | a template | what it extends or includes |
| entry, depends | what the contract says: `contract.py` | |
| allow | a rule | the reason |
"""

from __future__ import annotations

from cache_strategy.rules._base import is_test
from cache_strategy.rules._caches import caching_decorator, invalidation, mentions_cache
from cache_strategy.rules._index import IndexedModule
from cache_strategy.rules._keys import each_key, key_argument, key_expressions, names_of
from cache_strategy.rules._lifetimes import lifetime_of
from cache_strategy.rules._suppress import MARK, allows_in
from cache_strategy.rules.code.cached_permission import RIGHT
from cache_strategy.rules.index.models import read_models, written_models
from cache_strategy.rules.index.shapes import shape_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.module import Unreadable, parse
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex
from cache_strategy.syntax.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Function, Iterator, NamedTuple

    class Fact(NamedTuple):
        kind: str
        name: str
        line: int
        where: str
        detail: str
else:
    # `where` is the qualified name of the function or class that says it.
    Fact = record(__name__, "Fact", "kind name line where detail")

GUARD = regex(
    r"login_required|permission_required|require[sd]?_auth|auth(?:entication)?_required|roles?_(?:required|accepted)|jwt_required|"
    r"requires?_(?:login|role|admin|scope)|user_passes_test|(?:staff_member|admin|superuser|token)_required",
    patterns.I,
)
GUARDED_BASE = regex(
    r"LoginRequired|PermissionRequired|UserPassesTest|AccessMixin|Authenticated|Protected", patterns.I
)
DECIDES = frozenset(
    "has_permission has_object_permission test_func check_permissions check_object_permissions".split()
)
_DEEPEST = 4
_OPEN = regex(r"AllowAny|ReadOnly|\[\s*\]|\(\s*\)")
_LISTENS = regex(r"(?:^|\.)(?:receiver|listens_for|connect|connect_via|listen)$")


def facts_of(text: str, path: str) -> "list[Fact]":
    """The facts of a file; none for test code, migrations and what this Python cannot read."""
    try:
        module = IndexedModule(parse(text, path))
    except Unreadable:
        return []
    return [] if is_test(module) or is_one_off(path) else facts_of_module(module)


def is_one_off(path: str) -> bool:
    """Whether a file is run by hand or once: a migration, a management command, a script, seeds."""
    return bool(
        patterns.search(
            r"(?:^|/)(?:migrations?|alembic|commands|scripts?|bin|fixtures?|seeds?|factories|tests?|conftest)(?:/|\.py$|_)",
            path,
        )
    )


def facts_of_module(module: "IndexedModule") -> "list[Fact]":
    found = [*_allows(module), *_classes(module), *_routes(module)]
    for function in module.functions:
        found += _of_function(function, module)
    return found


def invalidations_of(function: "Function", module: "IndexedModule") -> "list[str]":
    """What a function invalidates: the shapes of the keys that it deletes, and the names of the helpers that it calls."""
    return sorted(set(_invalidated(function, module, {function}, 0)))


def _invalidated(
    function: "Function", module: "IndexedModule", seen: "set[ast.AST]", depth: int
) -> "Iterator[str]":
    names = names_of(function, module)
    places: "list[ast.AST]" = [*function.decorator_list]
    for node in places + [c for s in function.body for c in module.calls_below(s)]:
        text = invalidation(node, module)
        if not text and isinstance(node, ast.Call) and "commit" in text_of(node.func):
            given = [part for part in node.args if isinstance(part, (ast.Name, ast.Attribute))]
            text = next(filter(None, (invalidation(part, module) for part in given)), "")
        if text:
            key = key_argument(node) if isinstance(node, ast.Call) else None
            shape = shape_of(key, names) if key is not None else ""
            yield (
                shape
                or (text_of(key).rpartition(".")[2] if "memoized" in text else "")
                or text.rpartition(".")[2]
            )
            continue
        callee = module.readers.callee(node) if isinstance(node, ast.Call) else None
        if callee is not None and callee not in seen and depth < _DEEPEST:
            seen.add(callee)
            if next(_invalidated(callee, module, seen, depth + 1), ""):
                yield callee.name


def _of_function(function: "Function", module: "IndexedModule") -> "Iterator[Fact]":
    where = module.qualname(function)

    def fact(kind: str, name: str, place: "ast.AST", detail: str = "") -> Fact:
        return Fact(kind, name, getattr(place, "lineno", 1), where, detail)

    cached, stores = None, False
    if mentions_cache(function, module):
        cached = caching_decorator(function, module)
        names = names_of(function, module)
        removes = False
        rows = []
        for role, place, expression in key_expressions(function, module):
            removes = removes or role == "remove"
            resolved = names.resolve(expression) if isinstance(expression, ast.Name) else expression
            shapes = [shape_of(one, names) for one in each_key(resolved)]
            rows += [(role, place, shape) for shape in shapes if shape]
        for role, place, shape in rows:
            kind = {"store": "set", "read": "get", "remove": "del"}.get(role, "" if removes else "get")
            stores = stores or kind == "set"
            if kind:
                yield fact(kind, shape, place)
    cleared = invalidations_of(function, module)
    if cleared:
        yield fact("clear", function.name, function)
        for name in cleared:
            if name.isidentifier():
                yield fact("clear", name, function)
    if cached is not None:
        given = lifetime_of(cached.decorator.node) if isinstance(cached.decorator.node, ast.Call) else None
        yield fact("cached", function.name, function, seconds_of(given, module))
    if cached is not None or stores:
        for model in sorted(read_models(function, module)):
            yield fact("read", model, function, function.name)
    for model, place in written_models(function, module).items():
        yield fact("write", model, place, " ".join(name.replace(" ", "_") for name in cleared))
    yield from (fact("listen", model, function) for model in _heard(function, module))
    if decides(function, module):
        for name in sorted({text_of(c.func).rpartition(".")[2] for c in module.calls_below(function)} - {""}):
            yield fact("decide", name, function)


def decides(function: "Function", module: "IndexedModule") -> bool:
    """Whether a function's answer lets somebody do something."""
    named = RIGHT.search(function.name) and not function.name.startswith(("get_", "set_", "add_", "remove_"))
    return function.name in DECIDES or bool(named)


def seconds_of(value: "ast.AST | None", module: "IndexedModule") -> str:
    """A lifetime as whole seconds, "" where it is none or cannot be told."""
    if isinstance(value, ast.Name) and value.id in module.bindings:
        value = module.bindings[value.id]
    if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)):
        return str(int(value.value))
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Mult, ast.Add)):
        left, right = seconds_of(value.left, module), seconds_of(value.right, module)
        if left and right:
            return str(int(left) * int(right) if isinstance(value.op, ast.Mult) else int(left) + int(right))
    if isinstance(value, ast.Call) and text_of(value.func).endswith("timedelta"):
        units = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604800}
        parts = [(units.get(k.arg or "", 0), seconds_of(k.value, module)) for k in value.keywords]
        if parts and all(unit and number for unit, number in parts):
            return str(sum(unit * int(number) for unit, number in parts))
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "total_seconds"
    ):
        return seconds_of(value.func.value, module)
    return ""


def _heard(function: "Function", module: "IndexedModule") -> "Iterator[str]":
    """The models whose changes the framework tells a function: a receiver's sender, a listener's target, a model's own save."""
    for decorator in decorators_of(function, module):
        if _LISTENS.search(decorator.name or decorator.text):
            given = [decorator.keywords.get("sender"), *decorator.args[:2], *decorator.args[1:2]]
            told = [text_of(part).rpartition(".")[2] for part in given if part is not None]
            yield from (name for name in dict.fromkeys(told) if name[:1].isupper())
            if decorator.keywords.get("sender") is None and "listen" not in decorator.last:
                yield "*"
    holder = module.parent(function)
    if isinstance(holder, ast.ClassDef) and function.name in ("save", "delete", "save_model", "after_commit"):
        yield holder.name


def _classes(module: "IndexedModule") -> "Iterator[Fact]":
    for node in module.nodes:
        if isinstance(node, ast.ClassDef):
            bases = " ".join(filter(None, (text_of(base).rpartition(".")[2] for base in node.bases)))
            yield Fact(
                "class",
                node.name,
                node.lineno,
                module.qualname(node),
                bases + "|" + guard_of_class(node, module),
            )
        elif isinstance(node, ast.Call) and _LISTENS.search(text_of(node.func)):
            # post_save.connect(handler, sender=Model), event.listen(Model, "after_update", handler)
            for part in [*node.args[:1], *(k.value for k in node.keywords if k.arg == "sender")]:
                name = text_of(part).rpartition(".")[2]
                if name[:1].isupper():
                    yield Fact("listen", name, node.lineno, "", "")


def guard_of_class(node: "ast.ClassDef", module: "IndexedModule") -> str:
    """What lets only some people see what a class answers, by its own lines; "open" where it says everybody may."""
    for base in node.bases:
        if GUARDED_BASE.search(text_of(base)):
            return text_of(base)
    for decorator in node.decorator_list:
        for part in module.below(decorator):
            text = text_of(part)
            if text and GUARD.search(text):
                return text
    for statement in node.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            name = text_of(statement.targets[0])
            value = ast.unparse(statement.value)
            if name in ("permission_classes", "login_required", "permission_required", "decorators"):
                if name == "permission_classes" and _OPEN.search(value):
                    return "open"
                if (
                    name == "permission_classes"
                    or (name == "decorators" and GUARD.search(value))
                    or value == "True"
                ):
                    return name
                if name == "permission_required" and value not in ("None", "''"):
                    return name
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name in (
            "dispatch",
            "test_func",
        ):
            if statement.name == "test_func":
                return "test_func"
            for decorator in statement.decorator_list:
                for part in module.below(decorator):
                    if GUARD.search(text_of(part)):
                        return text_of(part)
    return ""


def _routes(module: "IndexedModule") -> "Iterator[Fact]":
    """`login_required(View.as_view())` in the routes; `@bp.before_request @login_required` before all of a blueprint."""
    for function in module.functions:
        texts = [decorator.text for decorator in decorators_of(function, module)]
        before = [text for text in texts if text.endswith(".before_request")]
        if before and (
            any(GUARD.search(text) for text in texts)
            or patterns.search(
                r"is_authenticated|login_manager\.unauthorized|current_user\.is_", module.source(function)
            )
        ):
            yield Fact("guard", before[0].rpartition(".")[0], function.lineno, function.name, function.name)
    if not module.path.endswith("urls.py"):
        return
    for node in module.calls_below(module.tree):
        if GUARD.search(text_of(node.func)) and node.args:
            inner = node.args[0].func if isinstance(node.args[0], ast.Call) else node.args[0]
            view = text_of(inner).replace(".as_view", "").rpartition(".")[2]
            if view:
                yield Fact("guard", view, node.lineno, "", text_of(node.func))


def _allows(module: "IndexedModule") -> "Iterator[Fact]":
    if MARK not in module.text:
        return
    for number, line in enumerate(module.text.split("\n"), start=1):
        allowed = allows_in(line) if MARK in line else None
        for name in sorted(allowed[0]) if allowed and allowed[1] else ():
            yield Fact("allow", name, number, "", allowed[1])  # type: ignore[index]  # matched, by the test before
