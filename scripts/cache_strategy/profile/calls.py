"""Calls: of functions of the repository, of other packages, of methods of values."""

from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, builtin_calls, library
from cache_strategy.profile.facts import Context
from cache_strategy.profile.frameworks._base import Arguments
from cache_strategy.profile.lowering import Node, source_of
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.values import (
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
    Method,
    ModuleRef,
    Query,
    RowKey,
    Unknown,
    Value,
    Values,
    join,
    one,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Decoration
    from cache_strategy.profile.evaluation import Frame

# Work handed to another process.
_TASK_CALLS = frozenset(
    {"delay", "apply_async", "enqueue", "enqueue_call", "enqueue_in", "enqueue_at", "send_task", "send_with_options",
     "defer", "queue_task"}
)  # fmt: skip
# A method name that more classes than this define says nothing about the object.
_MOST_GUESSES = 2
_MOST_UNKNOWN = 20
PARTIAL = "functools.partial()"
_SHORTEST_GUESSED_NAME = 5
# What is given to these is called later, if at all, and not by the caller.
_REGISTERING = frozenset(
    {"add_command", "register", "connect", "on", "subscribe", "init_app", "errorhandler", "register_error_handler",
     "context_processor", "add_url_rule", "before_request", "after_request", "teardown_request", "listen",
     "add_template_filter", "add_template_global", "shell_context_processor", "add_task", "task", "command", "group",
     "add_middleware", "add_event_handler", "signal", "register_blueprint", "add_periodic_task", "add_job"}
)  # fmt: skip


def call(frame: "Frame", node: Node) -> Values:
    """A call expression."""
    callee = node[2]
    if callee[0] == "attr":
        if _is_super(callee[2]):
            return _call_super(frame, callee[3], evaluate_arguments(frame, node))
        receivers = attributes.base(frame, callee[2])
        arguments = evaluate_arguments(frame, node)
        found: Values = NOTHING
        for receiver in receivers:
            found = join(found, call_method(frame, receiver, callee[3], arguments))
        return found if receivers else UNKNOWN
    values = attributes.base(frame, callee)
    arguments = evaluate_arguments(frame, node)
    found = NOTHING
    for value in values:
        found = join(found, call_value(frame, value, arguments))
    return found if values else UNKNOWN


def evaluate_arguments(frame: "Frame", node: Node) -> Arguments:
    """The arguments of a call, evaluated in order; `**mapping` becomes keywords where its names are known."""
    positional: list[Values] = []
    for argument in node[3]:
        if argument[0] == "star":
            values = frame.expression(argument[1])
            parts = next((v.parts for v in values if hasattr(v, "parts")), None)
            positional.extend(parts if parts is not None else [frame.iterate(values, argument)])
        else:
            positional.append(frame.expression(argument))
    keywords: list[tuple[str, Values]] = []
    for name, value in node[4]:
        values = frame.expression(value)
        if name:
            keywords.append((name, values))
            continue
        for inner in values:
            if isinstance(inner, Mapping):
                keywords.extend(inner.fields)
                if inner.rest:
                    keywords.append(("", inner.rest))
            else:
                keywords.append(("", UNKNOWN))
    return Arguments(tuple(positional), tuple(keywords), node)


def call_value(frame: "Frame", value: Value, arguments: Arguments) -> Values:
    """Calls a value: a function, a class, something of another package."""
    if isinstance(value, FunctionRef):
        function = frame.analysis.program.functions[value.index]
        return invoke(
            frame,
            function,
            value.receiver,
            list(arguments.positional),
            list(arguments.keywords),
            arguments.node,
        )
    if isinstance(value, ClassRef):
        return construct(frame, value, arguments)
    if isinstance(value, External):
        return call_path(frame, value.path, None, arguments)
    if isinstance(value, Method):
        return call_method(frame, value.receiver, value.name, arguments)
    if isinstance(value, Instance):
        return call_method(frame, value, "__call__", arguments)
    if isinstance(value, Made):
        if value.path == PARTIAL:
            return _call_partial(frame, value, arguments)
        return call_path(frame, value.path, value, arguments)
    run_callbacks(frame, arguments)
    if isinstance(value, Unknown):
        note_unknown(frame, arguments.node)
    return UNKNOWN


def _call_partial(frame: "Frame", value: Made, arguments: Arguments) -> Values:
    """Calls what `functools.partial` was given, with the arguments it was given first."""
    named = {name for name, _ in arguments.keywords}
    keywords = (*(k for k in value.keywords if k[0] not in named), *arguments.keywords)
    whole = Arguments((*value.args[1:], *arguments.positional), keywords, arguments.node)
    found: Values = NOTHING
    for inner in value.args[0] if value.args else NOTHING:
        found = join(found, call_value(frame, inner, whole))
    return found or UNKNOWN


def call_method(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values:
    """`receiver.name(arguments)`."""
    analysis = frame.analysis
    if name == "_get_current_object":
        return one(receiver)
    if isinstance(receiver, Instance | ClassRef):
        return _call_member(frame, receiver, name, arguments)
    if isinstance(receiver, Made) and receiver.owner >= 0:
        member = analysis.member(receiver.owner, name)
        if member is not None and member[0] == "method":
            function = analysis.program.functions[member[1]]
            return invoke(
                frame,
                function,
                receiver,
                list(arguments.positional),
                list(arguments.keywords),
                arguments.node,
            )
    if isinstance(receiver, ModuleRef):
        found: Values = NOTHING
        for value in analysis.module_attribute(analysis.program.modules[receiver.index], name):
            found = join(found, call_value(frame, value, arguments))
        return found or UNKNOWN
    answer = _ask_orms(frame, receiver, name, arguments)
    if answer is not None:
        return answer
    if isinstance(receiver, External | Made):
        if isinstance(receiver, External) and receiver.path.startswith("~"):
            found = NOTHING
            for value in attributes.get(frame, one(receiver), name, arguments.node):
                found = join(found, call_value(frame, value, arguments))
            return found
        return call_path(frame, analysis.canonical(f"{receiver.path}.{name}"), receiver, arguments)
    if isinstance(receiver, Argument | Unknown):
        return _call_unresolved(frame, receiver, name, arguments)
    if isinstance(receiver, FunctionRef):
        return _call_on_function(frame, receiver, name, arguments)
    run_callbacks(frame, arguments)
    return builtin_calls.method(frame, receiver, name, arguments)


def _ask_orms(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    for orm in frame.analysis.orms:
        if orm.method is not None:
            answer = orm.method(frame, receiver, name, arguments)
            if answer is not None:
                return answer
    return None


def _call_member(frame: "Frame", receiver: Instance | ClassRef, name: str, arguments: Arguments) -> Values:
    analysis = frame.analysis
    member = analysis.member(receiver.index, name)
    if member is not None and member[0] == "method":
        function = analysis.program.functions[member[1]]
        binding = analysis.binding(function)
        if binding != "property":
            bound: Instance | ClassRef | None = receiver
            positional = list(arguments.positional)
            if binding == "static":
                bound = None
            elif binding == "class":
                bound = ClassRef(receiver.index)
            elif isinstance(receiver, ClassRef):
                # Class.method(object, …)
                bound = None
                if positional:
                    chosen = [v for v in positional[0] if isinstance(v, Instance)]
                    if chosen:
                        bound = chosen[0]
                        positional = positional[1:]
            return invoke(frame, function, bound, positional, list(arguments.keywords), arguments.node)
    answer = _ask_orms(frame, receiver, name, arguments)
    if answer is not None:
        return answer
    values = attributes.get(
        frame, one(receiver), name, arguments.node[2] if arguments.node[0] == "call" else arguments.node
    )
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Method) and value.receiver == receiver:
            found = join(found, UNKNOWN)
        elif isinstance(value, External):
            found = join(found, call_path(frame, value.path, receiver, arguments))
        else:
            found = join(found, call_value(frame, value, arguments))
    return found or UNKNOWN


def _is_super(node: Node) -> bool:
    return bool(node[0] == "call" and node[2][0] == "name" and node[2][2] == "super")


def _call_super(frame: "Frame", name: str, arguments: Arguments) -> Values:
    receiver = frame.receiver
    function = frame.function
    if receiver is None or function is None or function.owner < 0:
        return UNKNOWN
    index = receiver.owner if isinstance(receiver, Made) else receiver.index
    if index < 0:
        return UNKNOWN
    classes, externals = frame.analysis.mro(index)
    after = classes[classes.index(function.owner) + 1 :] if function.owner in classes else []
    for ancestor in after:
        found = frame.analysis.program.classes[ancestor].methods.get(name)
        if found is not None:
            method = frame.analysis.program.functions[found]
            return invoke(
                frame, method, receiver, list(arguments.positional), list(arguments.keywords), arguments.node
            )
    if name == "__init__":
        run_callbacks(frame, arguments)
        return PLAIN
    answer = _ask_orms(frame, receiver, name, arguments)
    if answer is not None:
        return answer
    for path in externals:
        bound = path if path.endswith("()") else path + "()"
        return call_path(frame, f"{bound}.{name}", receiver, arguments)
    return UNKNOWN


def construct(frame: "Frame", value: ClassRef, arguments: Arguments) -> Values:
    """`Class(arguments)`."""
    analysis = frame.analysis
    for orm in analysis.orms:
        if orm.method is not None:
            answer = orm.method(frame, value, "()", arguments)
            if answer is not None:
                break
    made: Instance | Made = Instance(value.index, value.index in analysis.mapped)
    for path in analysis.mro(value.index)[1]:
        if is_structural(frame, path + "()"):
            place = (frame.module.path, arguments.line)
            made = Made(path + "()", place, arguments.positional, arguments.keywords, value.index)
            break
    member = analysis.member(value.index, "__init__")
    if member is not None and member[0] == "method":
        function = analysis.program.functions[member[1]]
        invoke(frame, function, made, list(arguments.positional), list(arguments.keywords), arguments.node)
    else:
        run_callbacks(frame, arguments)
    return one(made)


def is_structural(frame: "Frame", path: str) -> bool:
    """Whether a framework or an ORM wants to know what an object of this path was made of."""
    known = frame.analysis.structures
    if path not in known:
        spelled = frame.analysis.canonical(path)
        known[path] = any(
            spelled in plugin.structural or spelled.startswith(plugin.structural_prefixes or ("\0",))
            for plugin in frame.analysis.plugins
        )
    return known[path]


def call_path(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values:
    """A call into another package, by its path."""
    analysis = frame.analysis
    path = analysis.canonical(path)
    for framework in analysis.frameworks:
        if framework.call is not None:
            answer = framework.call(frame, path, receiver, arguments)
            if answer is not None:
                return answer
    for orm in analysis.orms:
        if orm.call is not None:
            answer = orm.call(frame, path, receiver, arguments)
            if answer is not None:
                return answer
    if path + "()" == PARTIAL or is_structural(frame, path + "()"):
        place = (frame.module.path, arguments.line)
        return one(Made(path + "()", place, arguments.positional, arguments.keywords))
    if path.startswith("builtins."):
        return builtin_calls.builtin(frame, path[9:], arguments)
    if path.rpartition(".")[2] not in _REGISTERING:
        run_callbacks(frame, arguments)
    return _call_library(frame, path, arguments)


def _call_library(frame: "Frame", path: str, arguments: Arguments) -> Values:
    facts = frame.facts
    meaning = attributes.meaning_of(frame, path)
    last = path.rpartition(".")[2]
    result = one(External(path + "()")) if last[:1].isupper() or "." not in path or len(path) > 150 else PLAIN
    if last in _TASK_CALLS:
        facts.side_effects.add(path)
    if meaning is None:
        for values in arguments.positional:
            frame.consume(values, arguments.node)
        if library.is_pure_package(path):
            facts.external_calls.add(path)
            return one(External(path + "()")) if _makes_object(path) else PLAIN
        if len(facts.unknown) < _MOST_UNKNOWN:
            facts.unknown.add(path)
        return one(External(path + "()")) if len(path) < 150 else UNKNOWN
    kind, name = meaning
    if kind == "outside":
        if not last[:1].isupper() or "()" in path:
            facts.outside.add(path)
            if library.is_writing_call(path):
                facts.side_effects.add(path)
        if last[:1].isupper() or last in ("client", "resource", "connect", "from_url", "session"):
            return one(External(path + "()"))
        return PLAIN
    if kind == "side":
        facts.side_effects.add(path)
        return result
    if kind == "files":
        if _opens_for_writing(arguments):
            facts.side_effects.add(path)
        frame.note_context("files", "", arguments.node)
        return one(External(path + "()"))
    if kind != "plain":
        frame.note_context(kind, name or _first_text(arguments), arguments.node)
        return PLAIN
    return result


def _makes_object(path: str) -> bool:
    last = path.rpartition(".")[2]
    return last[:1].isupper() and last not in ("Decimal", "UUID") and len(path) < 150


def _opens_for_writing(arguments: Arguments) -> bool:
    mode = text_of(arguments.get(1, "mode")) or ""
    return any(letter in mode for letter in "wax+")


def _first_text(arguments: Arguments) -> str:
    return text_of(arguments.get(0)) or ""


def _call_unresolved(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values:
    for orm in frame.analysis.orms:
        if orm.unresolved is not None:
            answer = orm.unresolved(frame, receiver, name, arguments)
            if answer is not None:
                return answer
    run_callbacks(frame, arguments)
    for values in arguments.positional:
        frame.consume(values, arguments.node)
    if name in library.DATA_METHODS:
        return UNKNOWN
    if len(name) >= _SHORTEST_GUESSED_NAME and not name.startswith("__"):
        guesses = frame.analysis.methods_named(name)
        if 0 < len(guesses) <= _MOST_GUESSES:
            found: Values = NOTHING
            for index in guesses:
                function = frame.analysis.program.functions[index]
                bound = Instance(function.owner) if frame.analysis.binding(function) == "" else None
                if frame.analysis.binding(function) == "class":
                    found = join(
                        found,
                        invoke(
                            frame,
                            function,
                            ClassRef(function.owner),
                            list(arguments.positional),
                            list(arguments.keywords),
                            arguments.node,
                        ),
                    )
                elif bound is not None:
                    found = join(
                        found,
                        invoke(
                            frame,
                            function,
                            bound,
                            list(arguments.positional),
                            list(arguments.keywords),
                            arguments.node,
                        ),
                    )
            return join(found, UNKNOWN)
    note_unknown(frame, arguments.node)
    return UNKNOWN


def note_unknown(frame: "Frame", node: Node) -> None:
    """A call that could not be resolved and may hide an effect."""
    if len(frame.facts.unknown) < _MOST_UNKNOWN:
        text = source_of(node[2]) if node[0] == "call" else source_of(node)
        if text != "…":
            frame.facts.unknown.add(text)


def _call_on_function(frame: "Frame", receiver: FunctionRef, name: str, arguments: Arguments) -> Values:
    function = frame.analysis.program.functions[receiver.index]
    if name in _TASK_CALLS:
        frame.facts.side_effects.add(f"task {function.qualname}")
        return UNKNOWN
    if name in ("__wrapped__", "__call__", "uncached", "call", "original", "func", "run"):
        return call_value(frame, receiver, arguments)
    return UNKNOWN


def run_callbacks(frame: "Frame", arguments: Arguments) -> None:
    """Functions that are given to something else are taken to be called by it."""
    for values in (*arguments.positional, *(v for _, v in arguments.keywords)):
        for value in values:
            if isinstance(value, FunctionRef):
                function = frame.analysis.program.functions[value.index]
                if not frame.analysis.program.modules[function.module].is_test:
                    invoke(frame, function, value.receiver, [], [], arguments.node)


def invoke(
    frame: "Frame",
    function: FunctionInfo,
    receiver: "ClassRef | Instance | Made | None",
    positional: list[Values],
    keywords: list[tuple[str, Values]],
    node: Node,
) -> Values:
    """Calls a function of the repository: evaluates it for these arguments and notes the edge."""
    from cache_strategy.profile.analysis import abstract

    given = assign_parameters(function, receiver is not None, positional, keywords)
    bound = {name: abstract(values) for name, values in given.items()}
    context = frame.analysis.context(function, receiver, bound)
    frame.edge(context, node, arguments_of(given))
    decoration = frame.analysis.decoration(function)
    for index in decoration.contexts:
        frame.edge(frame.analysis.contexts[index], node)
    return substituted(context, given)


def assign_parameters(
    function: FunctionInfo, bound: bool, positional: list[Values], keywords: list[tuple[str, Values]]
) -> dict[str, Values]:
    """Which parameter gets which argument."""
    parameters = list(function.parameters)
    if bound and parameters and parameters[0][3] == 0:
        parameters = parameters[1:]
    given: dict[str, Values] = {}
    names = [p[0] for p in parameters if p[3] == 0]
    rest = next((p[0] for p in parameters if p[3] == 1), None)
    others = next((p[0] for p in parameters if p[3] == 3), None)
    for position, values in enumerate(positional):
        if position < len(names):
            given[names[position]] = values
        elif rest is not None:
            given[rest] = join(given.get(rest, NOTHING), values)
    known = {p[0] for p in parameters if p[3] in (0, 2)}
    for name, values in keywords:
        if name in known:
            given[name] = values
        elif others is not None:
            given[others] = join(given.get(others, NOTHING), values)
    for name, _, default, kind in parameters:
        if kind in (0, 2) and name not in given and default is not None and default[0] == "const":
            given[name] = one(Constant(default[1]))
    return given


def arguments_of(given: dict[str, Values]) -> tuple[tuple[str, str], ...]:
    """Which parameters of the callee are exactly which arguments of the caller."""
    pairs = []
    for parameter, values in given.items():
        names = [v.name for v in values if isinstance(v, Argument)]
        if len(names) == 1 and all(isinstance(v, Argument) or v == Constant(None) for v in values):
            pairs.append((parameter, names[0]))
    return tuple(sorted(pairs))


def substituted(context: Context, given: dict[str, Values]) -> Values:
    """What the call gives: arguments that the callee returns are those of this call."""
    found: set[Value] = set()
    for value in context.returns:
        if isinstance(value, Argument):
            found.update(given.get(value.name, UNKNOWN))
        else:
            found.add(value)
    return frozenset(found)


def decorate(frame: "Frame", function: FunctionInfo, node: Node, found: "Decoration") -> None:
    """Applies one decorator of a function: wrappers of the repository are followed, others asked of the plugins."""
    found.texts.append("@" + source_of(node))
    called = node[0] == "call"
    callee = node[2] if called else node
    receiver: Value | None = None
    if callee[0] == "attr":
        receivers = attributes.base(frame, callee[2])
        receiver = next((v for v in receivers if isinstance(v, Made | External)), None)
    values = attributes.base(frame, callee)
    arguments = evaluate_arguments(frame, node) if called else None
    for value in values:
        if isinstance(value, FunctionRef | ClassRef):
            _apply(frame, function, value, arguments, node, found)
        elif isinstance(value, External | Made | Unknown | Argument):
            if isinstance(value, External | Made):
                path = frame.analysis.canonical(value.path)
            elif callee[0] == "attr" and value == next(iter(values)):
                path = "?." + callee[3]
            else:
                continue
            found.externals.append((path, source_of(node)))
            for framework in frame.analysis.frameworks:
                if framework.decorated is not None and framework.decorated(
                    frame, function.index, path, receiver, arguments, found
                ):
                    break


def decorate_class(frame: "Frame", index: int, node: Node) -> None:
    """Tells the plugins of a decorator of a class."""
    called = node[0] == "call"
    callee = node[2] if called else node
    receivers = attributes.base(frame, callee[2]) if callee[0] == "attr" else NOTHING
    receiver = next((v for v in receivers if isinstance(v, Made | External)), None)
    arguments = evaluate_arguments(frame, node) if called else None
    for value in attributes.base(frame, callee):
        if isinstance(value, External | Made):
            path = frame.analysis.canonical(value.path)
            for framework in frame.analysis.frameworks:
                if framework.decorated_class is not None and framework.decorated_class(
                    frame, index, path, receiver, arguments
                ):
                    break


def _apply(
    frame: "Frame",
    function: FunctionInfo,
    value: Value,
    arguments: Arguments | None,
    node: Node,
    found: "Decoration",
) -> None:
    # the decorator does not see which function it is given: what that does is added where it is called
    wrapped = Arguments((PLAIN,), (), ("call", node[1] if len(node) > 1 else 0, node, (), ()))
    results = one(value) if arguments is None else call_value(frame, value, arguments)
    for result in results:
        if not isinstance(result, FunctionRef | ClassRef | Instance):
            continue
        for inner in call_value(frame, result, wrapped):
            if isinstance(inner, FunctionRef) and inner.index != function.index:
                wrapper = frame.analysis.program.functions[inner.index]
                context = frame.analysis.context(wrapper, inner.receiver, {})
                text = "@" + source_of(node)
                found.wrappers.append((context.index, text))
                # a wrapper may be decorated itself
                found.wrappers.extend((i, text) for i in frame.analysis.decoration(wrapper).contexts)


def text_of(values: Values) -> str | None:
    """The only text that these values can be."""
    if len(values) == 1:
        value = next(iter(values))
        if isinstance(value, Constant) and isinstance(value.value, str):
            return value.value
    return None


def combine(frame: "Frame", node: Node, parts: list[Values]) -> Values:
    """Operators on SQL expressions: every ORM's expressions are clauses."""
    tables: frozenset[str] = frozenset()
    keys: set[RowKey] = set()
    aggregate = False
    clauses = []
    for part in parts:
        for value in part:
            if isinstance(value, Clause):
                clauses.append(value)
                tables |= value.tables
                aggregate = aggregate or value.aggregate
            elif isinstance(value, Query):
                tables |= value.tables
    sign = node[2]
    if sign in ("and", "&"):
        for clause in clauses:
            keys |= clause.keys
    elif sign == "==" and len(parts) == 2:
        keys |= equality(parts[0], parts[1])
    return one(Clause(tables, frozenset(keys), aggregate))


def equality(left: Values, right: Values) -> set[RowKey]:
    """The row keys of `column == argument`, either way round."""
    keys = set()
    for columns, others in ((left, right), (right, left)):
        for value in columns:
            if isinstance(value, Clause) and value.column is not None:
                names = [v.name for v in others if isinstance(v, Argument)]
                exact = len(names) == 1 and all(isinstance(v, Argument) for v in others)
                if not any(isinstance(v, Clause) for v in others):
                    keys.add(RowKey(value.column[0], value.column[1], names[0] if exact else ""))
    return keys


def run_query(frame: "Frame", query: Query, node: Node) -> Values:
    """Runs a query: its tables are read; gives what one result is."""
    for orm in frame.analysis.orms:
        if orm.name == query.orm and orm.iterate is not None:
            return orm.iterate(frame, query, node)
    return query.entities or UNKNOWN


def enter(frame: "Frame", values: Values, node: Node) -> Values:
    """What `with value as name` binds."""
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Instance):
            member = frame.analysis.member(value.index, "__enter__") or frame.analysis.member(
                value.index, "__aenter__"
            )
            if member is not None and member[0] == "method":
                found = join(
                    found, frame.invoke(frame.analysis.program.functions[member[1]], value, [], [], node)
                )
                continue
        if isinstance(value, Many) and value.lazy:
            # a generator made a context manager
            found = join(found, value.items)
        else:
            found = join(found, one(value))
    return found
