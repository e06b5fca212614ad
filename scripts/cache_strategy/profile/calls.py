"""Calls: of functions of the repository, of other packages, of methods of values."""

from typing import TYPE_CHECKING

from cache_strategy.profile import (
    abstraction,
    attributes,
    builtin_calls,
    call_arguments,
    external_calls,
    library,
)
from cache_strategy.profile.frameworks._base import Arguments
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NONE_VALUE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Method,
    ModuleRef,
    Query,
    Unknown,
    Value,
    Values,
    join,
    one,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

# Work handed to another process.
TASK_CALLS = frozenset(
    {"delay", "apply_async", "enqueue", "enqueue_call", "enqueue_in", "enqueue_at", "send_task", "send_with_options",
     "defer", "queue_task"}
)  # fmt: skip
# A method name that more classes than this define says nothing about the object.
_MOST_GUESSES = 2
MOST_UNKNOWN = 20
PARTIAL = "functools.partial()"
_SHORTEST_GUESSED_NAME = 5


def call(frame: "Frame", node: Node) -> Values:
    """A call expression."""
    callee = node[2]
    if callee[0] == "attr":
        if _is_super(callee[2]):
            return _call_super(frame, callee[3], call_arguments.evaluate_arguments(frame, node))
        receivers = attributes.base(frame, callee[2])
        arguments = call_arguments.evaluate_arguments(frame, node)
        found: Values = NOTHING
        for receiver in receivers:
            found = join(found, call_method(frame, receiver, callee[3], arguments))
        nowhere = receivers <= NONE_VALUE
        return UNKNOWN if nowhere else found
    values = attributes.base(frame, callee)
    arguments = call_arguments.evaluate_arguments(frame, node)
    found = NOTHING
    for value in values:
        found = join(found, call_value(frame, value, arguments))
    return found if values else UNKNOWN


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
        return external_calls.call_path(frame, value.path, None, arguments)
    if isinstance(value, Method):
        return call_method(frame, value.receiver, value.name, arguments)
    if isinstance(value, Instance):
        return call_method(frame, value, "__call__", arguments)
    if isinstance(value, Made):
        if value.path == PARTIAL:
            return _call_partial(frame, value, arguments)
        return external_calls.call_path(frame, value.path, value, arguments)
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
    if isinstance(receiver, Constant) and receiver.value is None:
        return NOTHING
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
        return external_calls.call_path(
            frame, analysis.canonical(f"{receiver.path}.{name}"), receiver, arguments
        )
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
            found = join(found, external_calls.call_path(frame, value.path, receiver, arguments))
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
        return external_calls.call_path(frame, f"{bound}.{name}", receiver, arguments)
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
        if external_calls.is_structural(frame, path + "()"):
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
    if len(frame.facts.unknown) < MOST_UNKNOWN:
        text = source_of(node[2]) if node[0] == "call" else source_of(node)
        if text != "…":
            frame.facts.unknown.add(text)


def _call_on_function(frame: "Frame", receiver: FunctionRef, name: str, arguments: Arguments) -> Values:
    function = frame.analysis.program.functions[receiver.index]
    if name in TASK_CALLS:
        frame.facts.side_effects.add(f"task {function.qualname}")
        return UNKNOWN
    if name in ("__wrapped__", "__call__", "uncached", "call", "original", "func", "run"):
        return call_value(frame, receiver, arguments)
    return UNKNOWN


def invoke(
    frame: "Frame",
    function: FunctionInfo,
    receiver: "ClassRef | Instance | Made | None",
    positional: list[Values],
    keywords: list[tuple[str, Values]],
    node: Node,
) -> Values:
    """Calls a function of the repository: evaluates it for these arguments and notes the edge."""
    given = call_arguments.assign_parameters(function, receiver is not None, positional, keywords)
    bound = {name: abstraction.abstract(values) for name, values in given.items()}
    context = frame.analysis.context(function, receiver, bound)
    frame.edge(context, node, call_arguments.arguments_of(given))
    decoration = frame.analysis.decoration(function)
    for index in decoration.contexts:
        frame.edge(frame.analysis.contexts[index], node)
    return call_arguments.substituted(context, given)


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


def run_callbacks(frame: "Frame", arguments: Arguments) -> None:
    """Functions that are given to something else are taken to be called by it."""
    for values in (*arguments.positional, *(v for _, v in arguments.keywords)):
        for value in values:
            if isinstance(value, FunctionRef):
                function = frame.analysis.program.functions[value.index]
                if not frame.analysis.program.modules[function.module].is_test:
                    invoke(frame, function, value.receiver, [], [], arguments.node)
