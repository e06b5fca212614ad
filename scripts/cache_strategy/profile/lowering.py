"""
Python syntax trees as small tuples: what the evaluation needs, in plain data that travels between processes.

A tree of `ast` nodes is slow to move from a worker to its parent and large in memory. What is kept here is
a tenth of it, made of str, int, bytes and tuples, so that `marshal` carries it.

Expressions, the line second where there is one:

    ("name", line, id)                       ("attr", line, base, name)
    ("call", line, callee, args, keywords)   keywords: ((name or "", value), …), "" for **value
    ("const", value)                         ("item", line, base, index)
    ("seq", kind, items)                     kind: list, tuple, set
    ("dict", line, keys, values)             a key None is **value
    ("op", line, sign, items)                arithmetic, boolean and comparison
    ("text", line, parts)                    f-string
    ("comp", line, kind, elements, ((target, iterable, conditions), …))
    ("lambda", line, index)                  ("star", value)
    ("cond", test, this, that)               ("bind", line, name, value)
    ("await", value)  ("yield", line, value) ("none",)

Statements:

    ("let", line, targets, value)            ("declare", line, target, annotation, value or None)
    ("aug", line, target, value)             ("do", line, value)         ("return", line, value or None)
    ("if", line, test, body, orelse)         ("for", line, target, iterable, body, orelse)
    ("while", line, test, body, orelse)      ("with", line, ((value, target or None), …), body)
    ("try", line, body, handlers, orelse, final)                         ("raise", line, value or None)
    ("def", line, index)  ("class", line, index)                         indexes into the module's lists
    ("import", line, name, dotted)           ("from", line, base, level, name, as_name)
    ("del", line, targets)                   ("global", names)
"""

import ast
import marshal
from collections.abc import Callable, Iterable
from typing import Any

Node = tuple[Any, ...]
NONE: Node = ("none",)
LAMBDA = "<lambda>"

# A longer string is data, not a query, a path or a name.
_LONGEST_STRING = 20_000
_SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Mod: "%", ast.BitOr: "|", ast.BitAnd: "&", ast.Eq: "==", ast.In: "in", ast.Is: "is",
    ast.NotEq: "!=", ast.And: "and", ast.Or: "or", ast.Not: "not", ast.Invert: "~",
}  # fmt: skip


class Lowered:
    """The functions, classes and statements of one module, as plain tuples; filled by `lower`."""

    def __init__(self) -> None:
        self.functions: list[Node | None] = []
        self.classes: list[Node | None] = []
        self.around: list[tuple[str, int]] = []
        self.names: list[str] = []
        self.yields: int = 0


def lower(tree: ast.Module) -> Node:
    """
    (functions, classes, body): the whole module.

    A function is (name, qualname, line, end, class index or -1, outer function index or -1, parameters,
    decorators, annotation of the result or None, flags, body as marshalled statements, names it binds on self).
    A parameter is (name, annotation or None, default or None, kind): kind 0 positional, 1 *args, 2 keyword
    only, 3 **kwargs. Flags: 1 async, 2 generator.
    A class is (name, qualname, line, outer class index or -1, outer function index or -1, bases, keywords,
    decorators, attributes, methods, classes, statements): attributes are (name, value or None, annotation or
    None, line), methods and classes are (name, index).
    """
    lowered = Lowered()
    body = _statements(tree.body, lowered)
    return (tuple(lowered.functions), tuple(lowered.classes), marshal.dumps(body))


def _statements(nodes: Iterable[ast.stmt], lowered: Lowered) -> Node:
    made: list[Node] = []
    for node in nodes:
        handler = _STATEMENTS.get(type(node))
        if handler is not None:
            result = handler(node, lowered)
            if result is not None:
                if result and isinstance(result[0], tuple):
                    made.extend(result)
                else:
                    made.append(result)
    return tuple(made)


def _function(node: Any, lowered: Lowered) -> Node:
    index = len(lowered.functions)
    lowered.functions.append(None)
    class_index = lowered.around[-1][1] if lowered.around and lowered.around[-1][0] == "class" else -1
    outer = next((i for kind, i in reversed(lowered.around) if kind == "def"), -1)
    qualname = ".".join([*lowered.names, node.name])
    decorators = tuple(_expression(d, lowered) for d in node.decorator_list)
    parameters = _parameters(node.args, lowered)
    returns = _annotation(node.returns, lowered)
    lowered.around.append(("def", index))
    lowered.names.append(node.name)
    outer_yields, lowered.yields = lowered.yields, 0
    body = _statements(node.body, lowered)
    flags = isinstance(node, ast.AsyncFunctionDef) * 1 + (lowered.yields > 0) * 2
    lowered.yields = outer_yields
    lowered.names.pop()
    lowered.around.pop()
    stores = tuple(sorted(_self_stores(body)))
    lowered.functions[index] = (
        node.name, qualname, node.lineno, node.end_lineno or node.lineno, class_index, outer, parameters,
        decorators, returns, flags, marshal.dumps(body), stores,
    )  # fmt: skip
    return ("def", node.lineno, index)


def _self_stores(body: Node) -> set[str]:
    found: set[str] = set()
    queue = list(body)
    while queue:
        node = queue.pop()
        kind = node[0]
        if kind == "let":
            targets: Iterable[Node] = node[2]
        elif kind in ("declare", "aug"):
            targets = (node[2],)
        else:
            targets = ()
            for part in node[2:]:
                if isinstance(part, tuple) and part and isinstance(part[0], tuple):
                    queue.extend(p for p in part if p and isinstance(p[0], str))
        for target in targets:
            if target[0] == "attr" and target[2][0] == "name" and target[2][2] == "self":
                found.add(target[3])
    return found


def _parameters(arguments: ast.arguments, lowered: Lowered) -> Node:
    positional = arguments.posonlyargs + arguments.args
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults.extend(arguments.defaults)
    made = []
    for argument, default in zip(positional, defaults, strict=True):
        made.append(_parameter(argument, default, 0, lowered))
    if arguments.vararg:
        made.append(_parameter(arguments.vararg, None, 1, lowered))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        made.append(_parameter(argument, default, 2, lowered))
    if arguments.kwarg:
        made.append(_parameter(arguments.kwarg, None, 3, lowered))
    return tuple(made)


def _parameter(argument: ast.arg, default: ast.expr | None, kind: int, lowered: Lowered) -> Node:
    value = None if default is None else _expression(default, lowered)
    return (argument.arg, _annotation(argument.annotation, lowered), value, kind)


def _annotation(node: ast.expr | None, lowered: Lowered) -> Node | None:
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    if isinstance(node, ast.Subscript):
        inner = node.slice
        items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        made = tuple(_annotation(item, lowered) or NONE for item in items)
        index = made[0] if len(made) == 1 else ("seq", "tuple", made)
        return ("item", node.lineno, _expression(node.value, lowered), index)
    return _expression(node, lowered)


def _class(node: ast.ClassDef, lowered: Lowered) -> Node:
    index = len(lowered.classes)
    lowered.classes.append(None)
    outer_class = lowered.around[-1][1] if lowered.around and lowered.around[-1][0] == "class" else -1
    outer_function = next((i for kind, i in reversed(lowered.around) if kind == "def"), -1)
    qualname = ".".join([*lowered.names, node.name])
    bases = tuple(_expression(b, lowered) for b in node.bases)
    keywords = tuple((k.arg or "", _expression(k.value, lowered)) for k in node.keywords)
    decorators = tuple(_expression(d, lowered) for d in node.decorator_list)
    lowered.around.append(("class", index))
    lowered.names.append(node.name)
    body = _statements(node.body, lowered)
    lowered.names.pop()
    lowered.around.pop()
    attributes: list[Node] = []
    methods: list[Node] = []
    classes: list[Node] = []
    _class_members(body, lowered, attributes, methods, classes)
    lowered.classes[index] = (
        node.name, qualname, node.lineno, outer_class, outer_function, bases, keywords, decorators,
        tuple(attributes), tuple(methods), tuple(classes), body,
    )  # fmt: skip
    return ("class", node.lineno, index)


def _class_members(
    body: Node, lowered: Lowered, attributes: list[Node], methods: list[Node], classes: list[Node]
) -> None:
    for statement in body:
        kind = statement[0]
        if kind == "let":
            for target in statement[2]:
                if target[0] == "name":
                    attributes.append((target[2], statement[3], None, statement[1]))
        elif kind == "declare" and statement[2][0] == "name":
            attributes.append((statement[2][2], statement[4], statement[3], statement[1]))
        elif kind == "def":
            function = lowered.functions[statement[2]]
            methods.append((function[0] if function else "", statement[2]))
        elif kind == "class":
            inner = lowered.classes[statement[2]]
            classes.append((inner[0] if inner else "", statement[2]))
        elif kind == "if":
            _class_members(statement[3], lowered, attributes, methods, classes)
            _class_members(statement[4], lowered, attributes, methods, classes)
        elif kind == "try":
            _class_members(statement[2], lowered, attributes, methods, classes)


def _import(node: ast.Import, lowered: Lowered) -> Node:
    made = []
    for alias in node.names:
        if alias.asname:
            made.append(("import", node.lineno, alias.asname, alias.name))
        else:
            made.append(("import", node.lineno, alias.name.split(".")[0], alias.name.split(".")[0]))
            if "." in alias.name:
                made.append(("import", node.lineno, "", alias.name))
    return tuple(made)


def _import_from(node: ast.ImportFrom, lowered: Lowered) -> Node:
    return tuple(
        ("from", node.lineno, node.module or "", node.level, alias.name, alias.asname or alias.name)
        for alias in node.names
    )


def _let(node: ast.Assign, lowered: Lowered) -> Node:
    targets = tuple(_expression(t, lowered) for t in node.targets)
    return ("let", node.lineno, targets, _expression(node.value, lowered))


def _declare(node: ast.AnnAssign, lowered: Lowered) -> Node:
    value = None if node.value is None else _expression(node.value, lowered)
    target = _expression(node.target, lowered)
    return ("declare", node.lineno, target, _annotation(node.annotation, lowered), value)


def _do(node: ast.Expr, lowered: Lowered) -> Node | None:
    if isinstance(node.value, ast.Constant):
        return None
    return ("do", node.lineno, _expression(node.value, lowered))


def _return(node: ast.Return, lowered: Lowered) -> Node:
    return ("return", node.lineno, None if node.value is None else _expression(node.value, lowered))


def _if(node: ast.If, lowered: Lowered) -> Node:
    test = _expression(node.test, lowered)
    return ("if", node.lineno, test, _statements(node.body, lowered), _statements(node.orelse, lowered))


def _for(node: Any, lowered: Lowered) -> Node:
    return (
        "for", node.lineno, _expression(node.target, lowered), _expression(node.iter, lowered),
        _statements(node.body, lowered), _statements(node.orelse, lowered),
    )  # fmt: skip


def _while(node: ast.While, lowered: Lowered) -> Node:
    test = _expression(node.test, lowered)
    return ("while", node.lineno, test, _statements(node.body, lowered), _statements(node.orelse, lowered))


def _with(node: Any, lowered: Lowered) -> Node:
    items = tuple(
        (
            _expression(item.context_expr, lowered),
            None if item.optional_vars is None else _expression(item.optional_vars, lowered),
        )
        for item in node.items
    )
    return ("with", node.lineno, items, _statements(node.body, lowered))


def _try(node: Any, lowered: Lowered) -> Node:
    handlers = tuple(_statements(handler.body, lowered) for handler in node.handlers)
    return (
        "try", node.lineno, _statements(node.body, lowered), handlers,
        _statements(node.orelse, lowered), _statements(node.finalbody, lowered),
    )  # fmt: skip


def _raise(node: ast.Raise, lowered: Lowered) -> Node:
    return ("raise", node.lineno, None if node.exc is None else _expression(node.exc, lowered))


def _aug(node: ast.AugAssign, lowered: Lowered) -> Node:
    return ("aug", node.lineno, _expression(node.target, lowered), _expression(node.value, lowered))


def _assert(node: ast.Assert, lowered: Lowered) -> Node:
    return ("do", node.lineno, _expression(node.test, lowered))


def _del(node: ast.Delete, lowered: Lowered) -> Node:
    return ("del", node.lineno, tuple(_expression(t, lowered) for t in node.targets))


def _match(node: ast.Match, lowered: Lowered) -> Node:
    made: list[Node] = [("do", node.lineno, _expression(node.subject, lowered))]
    orelse: Node = ()
    for case in reversed(node.cases):
        test = NONE if case.guard is None else _expression(case.guard, lowered)
        orelse = (("if", node.lineno, test, _statements(case.body, lowered), orelse),)
    made.extend(orelse)
    return tuple(made)


def _global(node: Any, lowered: Lowered) -> Node:
    return ("global", tuple(node.names))


_STATEMENTS: dict[type, Callable[[Any, Lowered], Node | None]] = {
    ast.FunctionDef: _function, ast.AsyncFunctionDef: _function, ast.ClassDef: _class, ast.Import: _import,
    ast.ImportFrom: _import_from, ast.Assign: _let, ast.AnnAssign: _declare, ast.Expr: _do, ast.Return: _return,
    ast.If: _if, ast.For: _for, ast.AsyncFor: _for, ast.While: _while, ast.With: _with, ast.AsyncWith: _with,
    ast.Try: _try, ast.Raise: _raise, ast.AugAssign: _aug, ast.Assert: _assert, ast.Delete: _del,
    ast.Match: _match, ast.Global: _global, ast.Nonlocal: _global,
}  # fmt: skip
if hasattr(ast, "TryStar"):
    _STATEMENTS[ast.TryStar] = _try


def _expression(node: ast.expr, lowered: Lowered) -> Node:
    handler = _EXPRESSIONS.get(type(node))
    return NONE if handler is None else handler(node, lowered)


def _name(node: ast.Name, lowered: Lowered) -> Node:
    return ("name", node.lineno, node.id)


def _constant(node: ast.Constant, lowered: Lowered) -> Node:
    value = node.value
    if isinstance(value, str):
        if len(value) > _LONGEST_STRING:
            return ("const", "")
        try:
            value.encode()
        except UnicodeEncodeError:
            return ("const", "")
        return ("const", value)
    if (
        value is None
        or isinstance(value, bool | float)
        or (isinstance(value, int) and -(2**62) < value < 2**62)
    ):
        return ("const", value)
    return ("const", 0)


def _attribute(node: ast.Attribute, lowered: Lowered) -> Node:
    return ("attr", node.lineno, _expression(node.value, lowered), node.attr)


def _call(node: ast.Call, lowered: Lowered) -> Node:
    return (
        "call",
        node.lineno,
        _expression(node.func, lowered),
        tuple([_expression(a, lowered) for a in node.args]),
        tuple([(k.arg or "", _expression(k.value, lowered)) for k in node.keywords]),
    )


def _subscript(node: ast.Subscript, lowered: Lowered) -> Node:
    return ("item", node.lineno, _expression(node.value, lowered), _expression(node.slice, lowered))


def _sequence(node: Any, lowered: Lowered) -> Node:
    kind = {ast.List: "list", ast.Tuple: "tuple"}.get(type(node), "set")
    return ("seq", kind, tuple([_expression(e, lowered) for e in node.elts]))


def _dict(node: ast.Dict, lowered: Lowered) -> Node:
    keys = tuple([None if k is None else _expression(k, lowered) for k in node.keys])
    return ("dict", node.lineno, keys, tuple([_expression(v, lowered) for v in node.values]))


def _binary(node: ast.BinOp, lowered: Lowered) -> Node:
    sign = _SIGNS.get(type(node.op), "")
    items: list[Node] = []
    current: ast.expr = node
    # a chain of the same sign leans left and may be thousands deep
    while isinstance(current, ast.BinOp) and _SIGNS.get(type(current.op), "") == sign:
        items.append(_expression(current.right, lowered))
        current = current.left
    items.append(_expression(current, lowered))
    items.reverse()
    return ("op", node.lineno, sign, tuple(items))


def _boolean(node: ast.BoolOp, lowered: Lowered) -> Node:
    return ("op", node.lineno, _SIGNS[type(node.op)], tuple([_expression(v, lowered) for v in node.values]))


def _unary(node: ast.UnaryOp, lowered: Lowered) -> Node:
    inner = _expression(node.operand, lowered)
    if isinstance(node.op, ast.USub) and inner[0] == "const" and isinstance(inner[1], int | float):
        return ("const", -inner[1])
    return ("op", node.lineno, _SIGNS.get(type(node.op), ""), (inner,))


def _compare(node: ast.Compare, lowered: Lowered) -> Node:
    items = [_expression(node.left, lowered)]
    items.extend(_expression(c, lowered) for c in node.comparators)
    sign = _SIGNS.get(type(node.ops[0]), "<") if len(node.ops) == 1 else "<"
    return ("op", node.lineno, sign, tuple(items))


def _conditional(node: ast.IfExp, lowered: Lowered) -> Node:
    return (
        "cond",
        _expression(node.test, lowered),
        _expression(node.body, lowered),
        _expression(node.orelse, lowered),
    )


def _comprehension(node: Any, lowered: Lowered) -> Node:
    kind = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict"}.get(type(node), "generator")
    if isinstance(node, ast.DictComp):
        elements: Node = (_expression(node.key, lowered), _expression(node.value, lowered))
    else:
        elements = (_expression(node.elt, lowered),)
    loops = tuple(
        (
            _expression(g.target, lowered),
            _expression(g.iter, lowered),
            tuple(_expression(i, lowered) for i in g.ifs),
        )
        for g in node.generators
    )
    return ("comp", node.lineno, kind, elements, loops)


def _lambda(node: ast.Lambda, lowered: Lowered) -> Node:
    index = len(lowered.functions)
    lowered.functions.append(None)
    outer = next((i for kind, i in reversed(lowered.around) if kind == "def"), -1)
    parameters = _parameters(node.args, lowered)
    lowered.around.append(("def", index))
    body = (("return", node.lineno, _expression(node.body, lowered)),)
    lowered.around.pop()
    qualname = ".".join([*lowered.names, LAMBDA])
    lowered.functions[index] = (
        LAMBDA, qualname, node.lineno, node.end_lineno or node.lineno, -1, outer, parameters, (), None, 0,
        marshal.dumps(body), (),
    )  # fmt: skip
    return ("lambda", node.lineno, index)


def _text(node: ast.JoinedStr, lowered: Lowered) -> Node:
    return ("text", node.lineno, tuple([_expression(v, lowered) for v in node.values]))


def _formatted(node: ast.FormattedValue, lowered: Lowered) -> Node:
    return _expression(node.value, lowered)


def _yield(node: Any, lowered: Lowered) -> Node:
    lowered.yields += 1
    return ("yield", node.lineno, NONE if node.value is None else _expression(node.value, lowered))


def _await(node: ast.Await, lowered: Lowered) -> Node:
    return ("await", _expression(node.value, lowered))


def _starred(node: ast.Starred, lowered: Lowered) -> Node:
    return ("star", _expression(node.value, lowered))


def _bind(node: ast.NamedExpr, lowered: Lowered) -> Node:
    return ("bind", node.lineno, node.target.id, _expression(node.value, lowered))


def _slice(node: ast.Slice, lowered: Lowered) -> Node:
    parts = [p for p in (node.lower, node.upper, node.step) if p is not None]
    return ("seq", "slice", tuple(_expression(p, lowered) for p in parts))


_EXPRESSIONS: dict[type, Callable[[Any, Lowered], Node]] = {
    ast.Name: _name, ast.Constant: _constant, ast.Attribute: _attribute, ast.Call: _call,
    ast.Subscript: _subscript, ast.List: _sequence, ast.Tuple: _sequence, ast.Set: _sequence, ast.Dict: _dict,
    ast.BinOp: _binary, ast.BoolOp: _boolean, ast.UnaryOp: _unary, ast.Compare: _compare,
    ast.IfExp: _conditional, ast.ListComp: _comprehension, ast.SetComp: _comprehension,
    ast.DictComp: _comprehension, ast.GeneratorExp: _comprehension, ast.Lambda: _lambda, ast.JoinedStr: _text,
    ast.FormattedValue: _formatted, ast.Yield: _yield, ast.YieldFrom: _yield, ast.Await: _await,
    ast.Starred: _starred, ast.NamedExpr: _bind, ast.Slice: _slice,
}  # fmt: skip
