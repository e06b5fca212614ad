"""
Python syntax trees as small tuples: what the evaluation needs, as plain data that `marshal` carries between processes.

Expressions, the line second where there is one:

    ("name", line, id)                      ("attr", line, base, name)      ("item", line, base, index)
    ("call", line, callee, args, ((name or "" for **, value), …))           ("const", value)  ("none",)
    ("seq", list|tuple|set|slice, items)    ("dict", line, keys or None for **, values)
    ("op", line, sign, items)               ("text", line, parts)           ("cond", test, this, that)
    ("comp", line, kind, elements, ((target, iterable, conditions), …))     ("lambda", line, index)
    ("bind", line, name, value)  ("star", value)  ("await", value)  ("yield", line, value)

Statements; ("def" | "class", line, index) point into the module's lists:

    ("let", line, targets, value)           ("declare", line, target, annotation, value or None)
    ("aug", line, target, value)            ("do" | "return" | "raise", line, value)       ("del", line, targets)
    ("if" | "while", line, test, body, orelse)              ("for", line, target, iterable, body, orelse)
    ("with", line, ((value, target or None), …), body)      ("try", line, body, handlers, orelse, final)
    ("import", line, name, dotted)  ("from", line, base, level, name, as_name)  ("global", names)
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
_KINDS: dict[type, str] = {
    ast.List: "list", ast.Tuple: "tuple", ast.Set: "set", ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict",
    ast.GeneratorExp: "generator",
}  # fmt: skip


def lower(tree: ast.Module) -> Node:
    """
    (functions, classes, body): the whole module.

    A function is (name, qualname, line, class index, outer function index, parameters, decorators, annotation of the
    result, flags (1 async, 2 generator), marshalled body, names it binds on self), a parameter (name, annotation,
    default, kind: 0 positional, 1 *args, 2 keyword only, 3 **kwargs), a class (name, qualname, line, outer function
    index, bases, keywords, decorators, attributes (name, value, annotation, line), methods and classes (name, index),
    statements). No index is -1.
    """
    lowering = _Lowering()
    body = lowering.statements(tree.body)
    return (tuple(lowering.functions), tuple(lowering.classes), marshal.dumps(body))


def line_of(node: Node) -> int:
    return node[1] if len(node) > 1 and isinstance(node[1], int) else 0


class _Lowering:
    """The functions and classes of one module so far; `around` are those that are being read, from the outside in."""

    def __init__(self) -> None:
        self.functions: list[Node] = []
        self.classes: list[Node] = []
        self.around: list[tuple[str, int]] = []
        self.names: list[str] = []
        self.yields = 0

    def statements(self, nodes: Iterable[ast.stmt]) -> Node:
        made: list[Node] = []
        for node in nodes:
            handler = _STATEMENTS.get(type(node))
            result = None if handler is None else handler(self, node)
            if result:
                if isinstance(result[0], tuple):
                    made.extend(result)
                else:
                    made.append(result)
        return tuple(made)

    def expression(self, node: ast.expr) -> Node:
        handler = _EXPRESSIONS.get(type(node))
        return NONE if handler is None else handler(self, node)

    def each(self, nodes: Iterable[ast.expr]) -> Node:
        return tuple([self.expression(node) for node in nodes])

    def optional(self, node: ast.expr | None) -> Node | None:
        return None if node is None else self.expression(node)

    def keywords(self, nodes: list[ast.keyword]) -> Node:
        return tuple([(k.arg or "", self.expression(k.value)) for k in nodes])

    def outer(self) -> int:
        return next((index for kind, index in reversed(self.around) if kind == "def"), -1)

    # --- statements

    def function(self, node: Any) -> Node:
        index = len(self.functions)
        self.functions.append(NONE)
        owner = self.around[-1][1] if self.around and self.around[-1][0] == "class" else -1
        outer = self.outer()
        qualname = ".".join([*self.names, node.name])
        decorators = self.each(node.decorator_list)
        parameters = self.parameters(node.args)
        returns = self.annotation(node.returns)
        outer_yields, self.yields = self.yields, 0
        body = self.inside("def", index, node)
        flags = isinstance(node, ast.AsyncFunctionDef) * 1 + (self.yields > 0) * 2
        self.yields = outer_yields
        self.functions[index] = (
            node.name, qualname, node.lineno, owner, outer, parameters, decorators, returns, flags, marshal.dumps(body),
            tuple(sorted(_self_stores(body))),
        )  # fmt: skip
        return ("def", node.lineno, index)

    def inside(self, kind: str, index: int, node: Any) -> Node:
        self.around.append((kind, index))
        self.names.append(node.name)
        body = self.statements(node.body)
        self.names.pop()
        self.around.pop()
        return body

    def lambda_(self, node: ast.Lambda) -> Node:
        index = len(self.functions)
        self.functions.append(NONE)
        outer = self.outer()
        parameters = self.parameters(node.args)
        self.around.append(("def", index))
        body = (("return", node.lineno, self.expression(node.body)),)
        self.around.pop()
        qualname = ".".join([*self.names, LAMBDA])
        self.functions[index] = (
            LAMBDA, qualname, node.lineno, -1, outer, parameters, (), None, 0, marshal.dumps(body), ()
        )  # fmt: skip
        return ("lambda", node.lineno, index)

    def parameters(self, arguments: ast.arguments) -> Node:
        positional = arguments.posonlyargs + arguments.args
        defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
        made = [(argument, default, 0) for argument, default in zip(positional, defaults, strict=True)]
        if arguments.vararg:
            made.append((arguments.vararg, None, 1))
        made += [(a, d, 2) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
        if arguments.kwarg:
            made.append((arguments.kwarg, None, 3))
        return tuple((a.arg, self.annotation(a.annotation), self.optional(d), kind) for a, d, kind in made)

    def annotation(self, node: ast.expr | None) -> Node | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value.strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
        if isinstance(node, ast.Subscript):
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            made = tuple(self.annotation(item) or NONE for item in items)
            index = made[0] if len(made) == 1 else ("seq", "tuple", made)
            return ("item", node.lineno, self.expression(node.value), index)
        return self.optional(node)

    def class_(self, node: ast.ClassDef) -> Node:
        index = len(self.classes)
        self.classes.append(NONE)
        outer = self.outer()
        qualname = ".".join([*self.names, node.name])
        bases, keywords = self.each(node.bases), self.keywords(node.keywords)
        decorators = self.each(node.decorator_list)
        body = self.inside("class", index, node)
        members: tuple[list[Node], list[Node], list[Node]] = ([], [], [])
        self.members(body, *members)
        self.classes[index] = (
            node.name, qualname, node.lineno, outer, bases, keywords, decorators, *map(tuple, members), body,
        )  # fmt: skip
        return ("class", node.lineno, index)

    def members(self, body: Node, attributes: list[Node], methods: list[Node], classes: list[Node]) -> None:
        for statement in body:
            kind = statement[0]
            if kind == "let":
                names = [target[2] for target in statement[2] if target[0] == "name"]
                attributes.extend((name, statement[3], None, statement[1]) for name in names)
            elif kind == "declare" and statement[2][0] == "name":
                attributes.append((statement[2][2], statement[4], statement[3], statement[1]))
            elif kind == "def":
                methods.append((self.functions[statement[2]][0], statement[2]))
            elif kind == "class":
                classes.append((self.classes[statement[2]][0], statement[2]))
            elif kind == "if":
                self.members(statement[3] + statement[4], attributes, methods, classes)
            elif kind == "try":
                self.members(statement[2], attributes, methods, classes)

    def import_(self, node: ast.Import) -> Node:
        made = []
        for alias in node.names:
            first = alias.name.partition(".")[0]
            made.append(("import", node.lineno, alias.asname or first, alias.name if alias.asname else first))
            if not alias.asname and first != alias.name:
                made.append(("import", node.lineno, "", alias.name))
        return tuple(made)

    def try_(self, node: Any) -> Node:
        handlers = tuple(self.statements(handler.body) for handler in node.handlers)
        body, orelse = self.statements(node.body), self.statements(node.orelse)
        return ("try", node.lineno, body, handlers, orelse, self.statements(node.finalbody))

    def match(self, node: ast.Match) -> Node:
        orelse: Node = ()
        for case in reversed(node.cases):
            test = NONE if case.guard is None else self.expression(case.guard)
            orelse = (("if", node.lineno, test, self.statements(case.body), orelse),)
        return (("do", node.lineno, self.expression(node.subject)), *orelse)

    # --- expressions

    def binary(self, node: ast.BinOp) -> Node:
        sign = _SIGNS.get(type(node.op), "")
        items: list[Node] = []
        current: ast.expr = node
        # a chain of the same sign leans left and may be thousands deep
        while isinstance(current, ast.BinOp) and _SIGNS.get(type(current.op), "") == sign:
            items.append(self.expression(current.right))
            current = current.left
        items.append(self.expression(current))
        items.reverse()
        return ("op", node.lineno, sign, tuple(items))

    def unary(self, node: ast.UnaryOp) -> Node:
        inner = self.expression(node.operand)
        if isinstance(node.op, ast.USub) and inner[0] == "const" and isinstance(inner[1], int | float):
            return ("const", -inner[1])
        return ("op", node.lineno, _SIGNS.get(type(node.op), ""), (inner,))

    def compare(self, node: ast.Compare) -> Node:
        sign = _SIGNS.get(type(node.ops[0]), "<") if len(node.ops) == 1 else "<"
        return ("op", node.lineno, sign, self.each([node.left, *node.comparators]))

    def comprehension(self, node: Any) -> Node:
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        made = self.each(elements)
        loops = tuple(
            (self.expression(g.target), self.expression(g.iter), self.each(g.ifs)) for g in node.generators
        )
        return ("comp", node.lineno, _KINDS[type(node)], made, loops)

    def yield_(self, node: Any) -> Node:
        self.yields += 1
        return ("yield", node.lineno, self.optional(node.value) or NONE)


def _constant(lowering: _Lowering, node: ast.Constant) -> Node:
    value = node.value
    if isinstance(value, str):
        if len(value) > _LONGEST_STRING:
            return ("const", "")
        try:
            value.encode()
        except UnicodeEncodeError:
            return ("const", "")
        return ("const", value)
    is_small = isinstance(value, int) and -(2**62) < value < 2**62
    return ("const", value if value is None or is_small or isinstance(value, float) else 0)


def _self_stores(body: Node) -> set[str]:
    found: set[str] = set()
    queue = list(body)
    while queue:
        node = queue.pop()
        targets: Iterable[Node] = ()
        if node[0] == "let":
            targets = node[2]
        elif node[0] in ("declare", "aug"):
            targets = (node[2],)
        else:
            for part in node[2:]:
                if isinstance(part, tuple) and part and isinstance(part[0], tuple):
                    queue.extend(p for p in part if p and isinstance(p[0], str))
        for target in targets:
            if target[0] == "attr" and target[2][0] == "name" and target[2][2] == "self":
                found.add(target[3])
    return found


_STATEMENTS: dict[type, Callable[[_Lowering, Any], Node | None]] = {
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), _Lowering.function),
    **dict.fromkeys((ast.Try, ast.TryStar), _Lowering.try_),
    **dict.fromkeys(
        (ast.For, ast.AsyncFor),
        lambda m, n: (
            "for", n.lineno, m.expression(n.target), m.expression(n.iter), m.statements(n.body), m.statements(n.orelse)
        ),
    ),
    **dict.fromkeys(
        (ast.With, ast.AsyncWith),
        lambda m, n: (
            "with", n.lineno, tuple((m.expression(i.context_expr), m.optional(i.optional_vars)) for i in n.items),
            m.statements(n.body),
        ),
    ),
    **dict.fromkeys((ast.Global, ast.Nonlocal), lambda m, n: ("global", tuple(n.names))),
    ast.ClassDef: _Lowering.class_,
    ast.Import: _Lowering.import_,
    ast.ImportFrom: lambda m, n: tuple(
        ("from", n.lineno, n.module or "", n.level, alias.name, alias.asname or alias.name) for alias in n.names
    ),
    ast.Match: _Lowering.match,
    ast.Assign: lambda m, n: ("let", n.lineno, m.each(n.targets), m.expression(n.value)),
    ast.AnnAssign: lambda m, n: (
        "declare", n.lineno, m.expression(n.target), m.annotation(n.annotation), m.optional(n.value)
    ),
    ast.AugAssign: lambda m, n: ("aug", n.lineno, m.expression(n.target), m.expression(n.value)),
    ast.Expr: lambda m, n: None if isinstance(n.value, ast.Constant) else ("do", n.lineno, m.expression(n.value)),
    ast.Assert: lambda m, n: ("do", n.lineno, m.expression(n.test)),
    ast.Return: lambda m, n: ("return", n.lineno, m.optional(n.value)),
    ast.Raise: lambda m, n: ("raise", n.lineno, m.optional(n.exc)),
    ast.Delete: lambda m, n: ("del", n.lineno, m.each(n.targets)),
    ast.If: lambda m, n: ("if", n.lineno, m.expression(n.test), m.statements(n.body), m.statements(n.orelse)),
    ast.While: lambda m, n: ("while", n.lineno, m.expression(n.test), m.statements(n.body), m.statements(n.orelse)),
}  # fmt: skip
_EXPRESSIONS: dict[type, Callable[[_Lowering, Any], Node]] = {
    **dict.fromkeys((ast.List, ast.Tuple, ast.Set), lambda m, n: ("seq", _KINDS[type(n)], m.each(n.elts))),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), _Lowering.comprehension),
    **dict.fromkeys((ast.Yield, ast.YieldFrom), _Lowering.yield_),
    ast.Name: lambda m, n: ("name", n.lineno, n.id),
    ast.Constant: _constant,
    ast.Attribute: lambda m, n: ("attr", n.lineno, m.expression(n.value), n.attr),
    ast.Call: lambda m, n: ("call", n.lineno, m.expression(n.func), m.each(n.args), m.keywords(n.keywords)),
    ast.Subscript: lambda m, n: ("item", n.lineno, m.expression(n.value), m.expression(n.slice)),
    ast.Dict: lambda m, n: ("dict", n.lineno, tuple([m.optional(k) for k in n.keys]), m.each(n.values)),
    ast.BinOp: _Lowering.binary,
    ast.BoolOp: lambda m, n: ("op", n.lineno, _SIGNS[type(n.op)], m.each(n.values)),
    ast.UnaryOp: _Lowering.unary,
    ast.Compare: _Lowering.compare,
    ast.IfExp: lambda m, n: ("cond", m.expression(n.test), m.expression(n.body), m.expression(n.orelse)),
    ast.Lambda: _Lowering.lambda_,
    ast.JoinedStr: lambda m, n: ("text", n.lineno, m.each(n.values)),
    ast.FormattedValue: lambda m, n: m.expression(n.value),
    ast.Await: lambda m, n: ("await", m.expression(n.value)),
    ast.Starred: lambda m, n: ("star", m.expression(n.value)),
    ast.NamedExpr: lambda m, n: ("bind", n.lineno, n.target.id, m.expression(n.value)),
    ast.Slice: lambda m, n: ("seq", "slice", m.each([p for p in (n.lower, n.upper, n.step) if p is not None])),
}  # fmt: skip
