"""Runs the statements of a function on sets of values instead of values, and notes what it touches."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cache_strategy.model.evidence import UNKNOWN_TABLE, ContextRead, WriterHow
from cache_strategy.profile import (
    annotations,
    attributes,
    calls,
    clauses,
    decorating,
    narrowing,
    request_methods,
    sql,
)
from cache_strategy.profile.facts import Call, Context, Facts
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import Node, line_of
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.program import FunctionInfo, ModuleInfo
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NONE_VALUE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Clause,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Page,
    Parts,
    Plain,
    Query,
    RowKey,
    Values,
    depth,
    join,
    many,
    one,
    text_of,
)

if TYPE_CHECKING:
    from cache_strategy.profile.facts import Decoration

_BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)
# A dictionary with more literal keys than this is a table of data.
_MOST_FIELDS = 40


class Frame:
    """
    One evaluation: of a function, of a decorator, of a name of a module.

    `env` maps local names to values, `outer` is the function around (for closures), `owner` the class in whose
    body the expressions stand, -1 outside of one; what stands there from `line` on is not bound yet.
    """

    __slots__ = (
        "analysis", "asked", "context", "env", "facts", "function", "globals", "line", "loops", "module", "outer", "owner", "place", "receiver",
    )  # fmt: skip

    def __init__(
        self,
        analysis: Analysis,
        module: ModuleInfo,
        function: FunctionInfo | None,
        receiver: "ClassRef | Instance | Made | None",
        env: dict[str, Values],
        facts: Facts,
        outer: int = -1,
        owner: int = -1,
        context: Context | None = None,
    ) -> None:
        self.analysis = analysis
        self.module = module
        self.place = module.path
        self.function = function
        self.receiver = receiver
        self.env = env
        self.facts = facts
        self.outer = outer
        self.owner = owner
        self.line = 0
        self.context = context
        self.loops = 0
        self.globals: frozenset[str] = frozenset()
        self.asked: request_methods.Asked = ("", "")

    # --- what plugins note

    def note_context(self, kind: str, name: str, node: Node) -> ContextRead:
        """The answer depends on something besides the arguments; `node` is how the code reads it."""
        found = ContextRead(
            kind=kind, name=name, expression=source_of(node), path=self.place, line=line_of(node)
        )
        self.facts.context.add(found)
        return found

    def note_read(self, tables: Iterable[str], node: Node, key: RowKey | None = None) -> None:
        line = line_of(node)
        for table in tables:
            self.facts.reads.add((table, key if key is not None and key.table == table else None))
            self.facts.queries.add((line, table, self.loops > 0))

    def note_write(self, table: str, how: WriterHow, node: Node) -> None:
        self.facts.writes.add((table or UNKNOWN_TABLE, how, line_of(node)))

    # --- parameters and scopes

    def bind_parameters(self, bound: dict[str, Values]) -> None:
        """Gives each parameter what is known of it: from the call, its annotation, its default."""
        function = self.function
        if function is None:
            return
        self.asked = request_methods.asked_of(self.receiver, bound)
        parameters = function.parameters
        start = 0
        if self.receiver is not None and parameters and parameters[0][3] == 0:
            self.env[parameters[0][0]] = one(self.receiver)
            start = 1
        for name, annotation, _, kind in parameters[start:]:
            given = bound.get(name, NOTHING)
            if kind == 1:
                self.env[name] = many(given or one(Argument(name)))
                continue
            if kind == 3:
                known = frozenset(v for v in given if isinstance(v, Mapping))
                self.env[name] = known or one(Mapping((), given or one(Argument(name))))
                continue
            values = given or one(Argument(name)) | (self.analysis.ask("parameter", self, name) or NOTHING)
            if annotation is not None:
                values = join(values, self.annotated(annotation) - UNKNOWN)
            self.env[name] = values

    def annotated(self, node: Node) -> Values:
        return annotations.values_of(self, node)

    def publish_scope(self) -> None:
        if self.function is not None:
            self.analysis.memory.cannot_repeat()
            scope = self.analysis.scopes.setdefault(self.function.index, {})
            for name, values in self.env.items():
                scope[name] = join(scope.get(name, NOTHING), values)

    def name(self, name: str) -> Values:
        found = self.env.get(name)
        if found is not None:
            return found
        info = self.analysis.classes[self.owner] if self.owner >= 0 else None
        if info is not None and name in info.attributes and not info.attributes[name][2] >= self.line > 0:
            return self.analysis.class_attribute(self.owner, name)
        if info is not None and name in info.methods:
            return one(FunctionRef(info.methods[name]))
        outer = self.outer
        if outer >= 0:
            self.analysis.memory.cannot_repeat()
        while outer >= 0:
            scope = self.analysis.scopes.get(outer)
            if scope is not None and name in scope:
                return scope[name]
            outer = self.analysis.functions[outer].outer
        found = self.analysis.global_value(self.module, name)
        if found is not None:
            return found
        if name == "__name__":
            return one(Constant(self.module.name))
        if name in _BUILTINS:
            return one(External("builtins." + name))
        return UNKNOWN

    # --- statements

    def run(self, statements: Node) -> bool:
        for statement in statements:
            handler = _STATEMENTS.get(statement[0])
            if handler is not None and handler(self, statement):
                return True
        return False

    def _let(self, node: Node) -> None:
        values = self.expression(node[3])
        for target in node[2]:
            self.assign(target, values, node[3], node)

    def _declare(self, node: Node) -> None:
        values = NOTHING if node[4] is None else self.expression(node[4])
        if node[3] is not None:
            annotated = self.annotated(node[3]) - UNKNOWN
            values = join(values - UNKNOWN, annotated) or UNKNOWN
        if node[4] is not None or node[2][0] == "name":
            self.assign(node[2], values or UNKNOWN, node[4] or node[2], node)

    def _aug(self, node: Node) -> None:
        values = self.expression(node[3])
        if node[2][0] == "name":
            self.env[node[2][2]] = join(self.name(node[2][2]), _grown(values))
        else:
            self.expression(node[2])
            self.assign(node[2], values, node[3], node)

    def _do(self, node: Node) -> None:
        self.expression(node[2])

    def _return(self, node: Node) -> bool:
        values = NONE_VALUE if node[2] is None else self.expression(node[2])
        if self.context is not None:
            for value in values:
                if isinstance(value, Query) and value.verb == "select" and not self.of_query():
                    calls.run_query(self, value, node)
            self.context.returns = join(self.context.returns, values)
        return True

    def of_query(self) -> bool:
        """Whether this is the method of a query class, whose first argument is the query: what it returns runs later."""
        first = self.function.parameters[:1] if self.function is not None else ()
        return any(isinstance(v, Query) for name, *_ in first for v in self.env.get(name, NOTHING))

    def _if(self, node: Node) -> bool:
        self.expression(node[2])
        holds = self.holds(node[2])
        if holds is not None:
            return self.run(node[3] if holds else node[4])
        before = self.env
        self.env = before | narrowing.narrowed(self, node[2])
        left = self.run(node[3])
        this = self.env
        self.env = dict(before)
        other_left = self.run(node[4])
        if left and other_left:
            return True
        if left:
            return False
        self.env = this if other_left else _merged(this, self.env)
        return False

    def holds(self, test: Node) -> bool | None:
        """Whether a condition holds in the request at hand; None where that does not decide it."""
        return request_methods.holds(test, self.asked) if any(self.asked) else None

    def _for(self, node: Node) -> bool:
        items = self.iterate(self.expression(node[3]), node[3])
        before = dict(self.env)
        self.loops += 1
        for _ in range(2):
            start = dict(self.env)
            self.assign(node[2], items, node[3], node)
            self.run(node[4])
            self.env = _merged(start, self.env)
            if self.env == start:
                break
        self.loops -= 1
        self.env = _merged(before, self.env)
        self.run(node[5])
        return False

    def _while(self, node: Node) -> bool:
        before = dict(self.env)
        self.loops += 1
        for _ in range(2):
            self.expression(node[2])
            self.run(node[3])
        self.loops -= 1
        self.env = _merged(before, self.env)
        self.run(node[4])
        return False

    def _with(self, node: Node) -> bool:
        for value, target in node[2]:
            entered = calls.enter(self, self.expression(value), node)
            if target is not None:
                self.assign(target, entered, value, node)
        return self.run(node[3])

    def _try(self, node: Node) -> bool:
        before = dict(self.env)
        left = self.run(node[2])
        if not left:
            left = self.run(node[4])
        after = self.env
        raised = _merged(before, after)
        ends = [] if left else [after]
        for handler in node[3]:
            self.env = dict(raised)
            if not self.run(handler):
                ends.append(self.env)
        self.env = dict(raised) if not ends else ends[0]
        for end in ends[1:]:
            self.env = _merged(self.env, end)
        return self.run(node[5]) or not ends

    def _raise(self, node: Node) -> bool:
        if node[2] is not None:
            self.expression(node[2])
        return True

    def _def(self, node: Node) -> None:
        function = self.analysis.functions[self.module.first_function + node[2]]
        self.env[function.name] = one(FunctionRef(function.index))
        self.publish_scope()
        self.analysis.decoration(function)

    def _class(self, node: Node) -> None:
        info = self.analysis.classes[self.module.first_class + node[2]]
        self.env[info.name] = one(ClassRef(info.index))
        for decorator in info.decorators:
            decorating.decorate_class(self, info.index, decorator)
        for statement in info.body:
            if statement[0] == "class":
                self._class(statement)

    def _import(self, node: Node) -> None:
        if node[2]:
            self.env[node[2]] = self.analysis.imported(node[3], self.module)

    def _from(self, node: Node) -> None:
        self.env[node[5]] = self.analysis.imported_from(node[2], node[3], node[4], self.module)

    def _global(self, node: Node) -> None:
        self.globals |= frozenset(node[1])

    def _del(self, node: Node) -> None:
        for target in node[2]:
            if target[0] in ("item", "attr"):
                attributes.delete(self, target)

    # --- assignment

    def assign(self, target: Node, values: Values, source: Node, statement: Node) -> None:
        kind = target[0]
        if kind == "name":
            self.env[target[2]] = values
            if target[2] in self.globals:
                self.analysis.store(("module", self.module.index), target[2], values)
        elif kind == "attr":
            attributes.store(self, target, values)
        elif kind == "item":
            attributes.store_item(self, target, values)
        elif kind == "star":
            self.assign(target[1], many(self.iterate(values, source)), source, statement)
        elif kind == "seq":
            if source[0] == "seq" and len(source[2]) == len(target[2]):
                for part, value in zip(target[2], source[2], strict=True):
                    self.assign(part, self.expression(value), value, statement)
                return
            items = self.iterate(values, source)
            pieces = _pieces(values, len(target[2]))
            for position, part in enumerate(target[2]):
                self.assign(part, items if pieces is None else pieces[position], source, statement)

    # --- expressions

    def expression(self, node: Node) -> Values:
        return _EXPRESSIONS[node[0]](self, node)

    def _name_of(self, node: Node) -> Values:
        return attributes.touched(self, self.name(node[2]), node)

    def _attribute(self, node: Node) -> Values:
        return attributes.touched(
            self, attributes.get(self, attributes.base(self, node[2]), node[3], node), node
        )

    def _call(self, node: Node) -> Values:
        return calls.call(self, node)

    def _const(self, node: Node) -> Values:
        return one(Constant(node[1]))

    def _item(self, node: Node) -> Values:
        return attributes.item(self, node)

    def _seq(self, node: Node) -> Values:
        if node[1] == "tuple":
            parts = [self.expression(item) for item in node[2]]
            if len(parts) <= _MOST_FIELDS and not any(item[0] == "star" for item in node[2]):
                made = Parts(tuple(parts))
                return one(made) if depth(one(made)) < 5 else UNKNOWN
            return many(join(*parts))
        items: Values = NOTHING
        for item in node[2]:
            if item[0] == "star":
                items = join(items, self.iterate(self.expression(item[1]), item))
            else:
                items = join(items, self.expression(item))
        return many(items)

    def _dict(self, node: Node) -> Values:
        fields: dict[str, Values] = {}
        rest: Values = NOTHING
        for key, value in zip(node[2], node[3], strict=True):
            values = self.expression(value)
            if key is None:
                for inner in values:
                    if isinstance(inner, Mapping):
                        fields.update(inner.fields)
                        rest = join(rest, inner.rest)
                    elif not isinstance(inner, Constant):
                        rest = join(rest, PLAIN if isinstance(inner, Plain) else UNKNOWN)
            elif key[0] == "const" and isinstance(key[1], str) and len(fields) < _MOST_FIELDS:
                fields[key[1]] = values
            else:
                self.expression(key)
                rest = join(rest, values)
        return one(Mapping(tuple(fields.items()), rest))

    def _op(self, node: Node) -> Values:
        sign = node[2]
        parts = []
        for item in node[3]:
            parts.append(self.expression(item))
            if sign in ("and", "or") and self.holds(item) is (sign == "or"):
                return join(*parts)
        if any(isinstance(v, Clause) for part in parts for v in part):
            return clauses.combine(self, node, parts)
        if sign in ("and", "or"):
            return join(*parts)
        if sign in ("==", "in", "is", "!=", "not", "<"):
            for part in parts:
                self.consume(part, node)
            return PLAIN
        if sign == "%" and len(parts) == 2 and any(isinstance(v, Constant) for v in parts[0]):
            return PLAIN
        if sign == "+":
            texts = [text_of(part) for part in parts]
            if None not in texts:
                return one(Constant("".join(map(str, texts))))
            if any(texts):
                return _sql_with_gaps(texts)
        if any(isinstance(v, Many | Query | Mapping | Parts) for part in parts for v in part):
            return join(*(_grown(part) for part in parts))
        if any(
            isinstance(v, Made) or (sign == "|" and isinstance(v, ClassRef)) for part in parts for v in part
        ):
            return join(*parts)
        return PLAIN

    def consume(self, values: Values, node: Node) -> None:
        for value in values:
            if isinstance(value, Query):
                calls.run_query(self, value, node)

    def _text(self, node: Node) -> Values:
        parts = [self.expression(part) for part in node[2]]
        texts = [text_of(part) for part in parts]
        return one(Constant("".join(map(str, texts)))) if None not in texts else _sql_with_gaps(texts)

    def _comp(self, node: Node) -> Values:
        before = self.env
        self.env = dict(before)
        entered = 0
        for target, iterable, conditions in node[4]:
            items = self.iterate(self.expression(iterable), iterable)
            self.loops += 1
            entered += 1
            self.assign(target, items, iterable, node)
            for condition in conditions:
                self.expression(condition)
        results = [self.expression(element) for element in node[3]]
        self.loops -= entered
        self.env = before
        if node[2] == "dict":
            return one(Mapping((), results[1]))
        return many(results[0], lazy=node[2] == "generator")

    def _lambda(self, node: Node) -> Values:
        self.publish_scope()
        return one(FunctionRef(self.module.first_function + node[2]))

    def _cond(self, node: Node) -> Values:
        self.expression(node[1])
        holds = self.holds(node[1])
        if holds is not None:
            return self.expression(node[2] if holds else node[3])
        return join(self.expression(node[2]), self.expression(node[3]))

    def _bind(self, node: Node) -> Values:
        values = self.expression(node[3])
        self.env[node[2]] = values
        return values

    def _await(self, node: Node) -> Values:
        return self.expression(node[1])

    def _yield(self, node: Node) -> Values:
        values = self.expression(node[2])
        if self.context is not None:
            self.context.yields = join(self.context.yields, values)
        return UNKNOWN

    def _star(self, node: Node) -> Values:
        return self.iterate(self.expression(node[1]), node)

    def _nothing(self, node: Node) -> Values:
        return NONE_VALUE

    # --- iteration and calls, for the plugins too

    def iterate(self, values: Values, node: Node) -> Values:
        found: Values = NOTHING
        for value in values:
            if isinstance(value, Many | Page):
                found = join(found, value.items)
            elif isinstance(value, Parts):
                found = join(found, *value.parts)
            elif isinstance(value, Mapping):
                found = join(found, PLAIN)
            elif isinstance(value, Query):
                found = join(found, calls.run_query(self, value, node))
            elif isinstance(value, Constant | Plain):
                if not isinstance(value, Constant) or value.value is not None:
                    found = join(found, PLAIN)
            elif isinstance(value, Instance):
                found = join(found, attributes.call_if_defined(self, value, "__iter__", node))
            else:
                found = join(found, UNKNOWN)
        return found

    def invoke(
        self, function: int, receiver: "ClassRef | Instance | Made | None", arguments: Arguments
    ) -> Values:
        return calls.invoke(self, function, receiver, arguments)

    def edge(self, context: Context, node: Node, arguments: tuple[tuple[str, str], ...] = ()) -> None:
        self.facts.calls.add(Call(context.index, line_of(node), self.loops > 0, arguments))

    def within(self, module: ModuleInfo, facts: Facts, outer: int) -> "Frame":
        """A frame for expressions that stand in another module, at its top level or in the function `outer`."""
        return Frame(self.analysis, module, None, None, {}, facts, outer=outer)

    def decorate(self, function: FunctionInfo, node: Node, found: "Decoration") -> None:
        decorating.decorate(self, function, node, found)


def _sql_with_gaps(texts: list[str | None]) -> Values:
    """A text of which only some parts are known: kept where it is SQL, whose tables may stand in what is known."""
    whole = "".join(f" {sql.PLACEHOLDER} " if text is None else text for text in texts)
    return one(Constant(whole)) if sql.looks_like_sql(whole) else PLAIN


def _grown(values: Values) -> Values:
    return frozenset(Plain() if isinstance(v, Constant) else v for v in values)


def _merged(one_env: dict[str, Values], other: dict[str, Values]) -> dict[str, Values]:
    if one_env is other:
        return one_env
    merged = dict(one_env)
    for name, values in other.items():
        known = merged.get(name)
        if known is None:
            merged[name] = values
        elif known is not values and known != values:
            merged[name] = join(known, values)
    return merged


def _pieces(values: Values, count: int) -> list[Values] | None:
    pieces: list[Values] = [NOTHING] * count
    for value in values:
        if not isinstance(value, Parts) or len(value.parts) != count:
            return None
        for position in range(count):
            pieces[position] = join(pieces[position], value.parts[position])
    return pieces


_STATEMENTS: dict[str, Callable[[Frame, Node], Any]] = {
    "let": Frame._let, "declare": Frame._declare, "aug": Frame._aug, "do": Frame._do, "return": Frame._return,
    "if": Frame._if, "for": Frame._for, "while": Frame._while, "with": Frame._with, "try": Frame._try,
    "raise": Frame._raise, "def": Frame._def, "class": Frame._class, "import": Frame._import,
    "from": Frame._from, "del": Frame._del, "global": Frame._global,
}  # fmt: skip
_EXPRESSIONS: dict[str, Callable[[Frame, Node], Values]] = {
    "name": Frame._name_of, "attr": Frame._attribute, "call": Frame._call, "const": Frame._const,
    "item": Frame._item, "seq": Frame._seq, "dict": Frame._dict, "op": Frame._op, "text": Frame._text,
    "comp": Frame._comp, "lambda": Frame._lambda, "cond": Frame._cond, "bind": Frame._bind,
    "await": Frame._await, "yield": Frame._yield, "star": Frame._star, "none": Frame._nothing,
}  # fmt: skip
