"""Calls: of functions of the repository, of other packages, of methods of values."""

from dataclasses import replace

from cache_strategy.profile import (
    abstraction,
    attributes,
    builtin_calls,
    call_arguments,
    external_calls,
    library,
)
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments, given
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

# Work handed to another process.
TASK_CALLS = frozenset(
    """delay apply_async enqueue enqueue_call enqueue_in enqueue_at send_task send_with_options defer
    queue_task""".split()
)
# A method name that more classes than this define says nothing about the object.
_MOST_GUESSES = 2
MOST_UNKNOWN = 20
PARTIAL = "functools.partial()"
_SHORTEST_GUESSED_NAME = 5


def call(frame: Frame, node: Node, arguments: Arguments | None = None) -> Values:
    callee = node[2]
    if callee[0] == "attr" and _is_super(callee[2]):
        return _call_super(frame, callee[3], call_arguments.evaluate_arguments(frame, node))
    values = attributes.base(frame, callee[2] if callee[0] == "attr" else callee)
    passed = call_arguments.evaluate_arguments(frame, node) if arguments is None else arguments
    if callee[0] == "attr":
        found = join(*(call_method(frame, receiver, callee[3], passed) for receiver in values))
        return UNKNOWN if values <= NONE_VALUE else found
    return join(*(call_value(frame, value, passed) for value in values)) if values else UNKNOWN


def call_value(frame: Frame, value: Value, arguments: Arguments) -> Values:
    if isinstance(value, FunctionRef):
        return invoke(frame, value.index, value.receiver, arguments)
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


def _call_partial(frame: Frame, value: Made, arguments: Arguments) -> Values:
    named = {name for name, _ in arguments.keywords}
    keywords = (*(k for k in value.keywords if k[0] not in named), *arguments.keywords)
    whole = Arguments((*value.args[1:], *arguments.positional), keywords, arguments.node)
    return join(*(call_value(frame, inner, whole) for inner in value.arg(0))) or UNKNOWN


def call_method(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values:
    analysis = frame.analysis
    if name == "_get_current_object":
        return one(receiver)
    if isinstance(receiver, Constant) and receiver.value is None:
        return NOTHING
    if isinstance(receiver, Instance | ClassRef):
        return _call_member(frame, receiver, name, arguments)
    if isinstance(receiver, Made) and receiver.owner >= 0:
        method = analysis.method(receiver.owner, name)
        if method is not None:
            return invoke(frame, method, receiver, arguments)
    if isinstance(receiver, ModuleRef):
        values = analysis.module_attribute(analysis.modules[receiver.index], name)
        return join(*(call_value(frame, value, arguments) for value in values)) or UNKNOWN
    answer: Values | None = analysis.ask("method", frame, receiver, name, arguments)
    if answer is not None:
        return answer
    if isinstance(receiver, External | Made):
        if isinstance(receiver, External) and receiver.path.startswith("~"):
            values = attributes.get(frame, one(receiver), name, arguments.node)
            return join(*(call_value(frame, value, arguments) for value in values))
        return external_calls.call_path(
            frame, analysis.canonical(f"{receiver.path}.{name}"), receiver, arguments
        )
    if isinstance(receiver, Argument | Unknown):
        return _call_unresolved(frame, receiver, name, arguments)
    if isinstance(receiver, FunctionRef):
        return _call_on_function(frame, receiver, name, arguments)
    run_callbacks(frame, arguments)
    return builtin_calls.method(frame, receiver, name, arguments)


def _call_member(frame: Frame, receiver: Instance | ClassRef, name: str, arguments: Arguments) -> Values:
    analysis = frame.analysis
    method = analysis.method(receiver.index, name)
    binding = "property" if method is None else analysis.binding(analysis.functions[method])
    if method is not None and binding != "property":
        bound: Instance | ClassRef | None = receiver
        if binding == "static":
            bound = None
        elif binding == "class":
            bound = ClassRef(receiver.index)
        elif isinstance(receiver, ClassRef):
            # Class.method(object, …)
            bound = next((v for v in arguments.get(0) if isinstance(v, Instance)), None)
            if bound is not None:
                arguments = replace(arguments, positional=arguments.positional[1:])
        return invoke(frame, method, bound, arguments)
    answer: Values | None = analysis.ask("method", frame, receiver, name, arguments)
    if answer is not None:
        return answer
    node = arguments.node
    found: Values = NOTHING
    for value in attributes.get(frame, one(receiver), name, node[2] if node[0] == "call" else node):
        if isinstance(value, Method) and value.receiver == receiver:
            found = join(found, UNKNOWN)
        elif isinstance(value, External):
            found = join(found, external_calls.call_path(frame, value.path, receiver, arguments))
        else:
            found = join(found, call_value(frame, value, arguments))
    return found or UNKNOWN


def _is_super(node: Node) -> bool:
    return bool(node[0] == "call" and node[2][0] == "name" and node[2][2] == "super")


def _call_super(frame: Frame, name: str, arguments: Arguments) -> Values:
    receiver = frame.receiver
    function = frame.function
    if receiver is None and function is not None and function.parameters:
        # the method of a query class: the query is its first argument
        for value in frame.env.get(function.parameters[0][0], NOTHING):
            if isinstance(value, Query):
                return frame.analysis.ask("method", frame, value, f"super().{name}", arguments) or UNKNOWN
    if receiver is None or function is None or function.owner < 0:
        return UNKNOWN
    index = receiver.owner if isinstance(receiver, Made) else receiver.index
    if index < 0:
        return UNKNOWN
    classes, externals = frame.analysis.mro(index)
    after = classes[classes.index(function.owner) + 1 :] if function.owner in classes else []
    for ancestor in after:
        method = frame.analysis.classes[ancestor].methods.get(name)
        if method is not None:
            return invoke(frame, method, receiver, arguments)
    if name == "__init__":
        run_callbacks(frame, arguments)
        return PLAIN
    answer: Values | None = frame.analysis.ask("method", frame, receiver, name, arguments)
    if answer is not None:
        return answer
    for path in externals:
        bound = path if path.endswith("()") else path + "()"
        return external_calls.call_path(frame, f"{bound}.{name}", receiver, arguments)
    return UNKNOWN


def construct(frame: Frame, value: ClassRef, arguments: Arguments) -> Values:
    analysis = frame.analysis
    query: Values | None = analysis.ask("method", frame, value, "()", arguments)
    if query is not None and any(isinstance(v, Query) for v in query):
        return query
    made: Instance | Made = Instance(value.index, value.index in analysis.mapped)
    for path in analysis.mro(value.index)[1] if value.index not in analysis.mapped else ():
        if external_calls.is_structural(frame, path + "()"):
            place = (frame.module.path, arguments.line)
            made = Made(path + "()", place, arguments.positional, arguments.keywords, value.index)
            break
    constructor = analysis.method(value.index, "__init__")
    if constructor is None:
        run_callbacks(frame, arguments)
    else:
        invoke(frame, constructor, made, arguments)
    return one(made)


def _call_unresolved(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values:
    answer: Values | None = frame.analysis.ask("unresolved", frame, receiver, name, arguments)
    if answer is not None:
        return answer
    run_callbacks(frame, arguments)
    for values in arguments.positional:
        frame.consume(values, arguments.node)
    if name in library.DATA_METHODS:
        return UNKNOWN
    guesses = frame.analysis.methods_named(name)
    if (
        len(name) >= _SHORTEST_GUESSED_NAME
        and not name.startswith("__")
        and 0 < len(guesses) <= _MOST_GUESSES
    ):
        for index in guesses:
            function = frame.analysis.functions[index]
            kind = {"": Instance, "class": ClassRef}.get(frame.analysis.binding(function))
            if kind is not None:
                answer = join(answer or UNKNOWN, invoke(frame, index, kind(function.owner), arguments))
        return answer or UNKNOWN
    note_unknown(frame, arguments.node)
    return UNKNOWN


def note_unknown(frame: Frame, node: Node) -> None:
    if len(frame.facts.unknown) < MOST_UNKNOWN:
        text = source_of(node[2]) if node[0] == "call" else source_of(node)
        if text != "…":
            frame.facts.unknown.add(text)


def _call_on_function(frame: Frame, receiver: FunctionRef, name: str, arguments: Arguments) -> Values:
    function = frame.analysis.functions[receiver.index]
    if name in TASK_CALLS:
        frame.facts.side_effects.add(f"task {function.qualname}")
        return UNKNOWN
    if name in ("__wrapped__", "__call__", "uncached", "call", "original", "func", "run"):
        return call_value(frame, receiver, arguments)
    return UNKNOWN


def invoke(
    frame: Frame, index: int, receiver: "ClassRef | Instance | Made | None", arguments: Arguments
) -> Values:
    """Calls a function of the repository: evaluates it for these arguments and notes the edge."""
    function = frame.analysis.functions[index]
    passed = call_arguments.assign_parameters(function, receiver is not None, arguments)
    bound = {name: abstraction.abstract(values) for name, values in passed.items()}
    context = frame.analysis.context(function, receiver, bound)
    frame.edge(context, arguments.node, call_arguments.arguments_of(passed))
    for wrapper in frame.analysis.decoration(function).contexts:
        frame.edge(frame.analysis.contexts[wrapper], arguments.node)
    return call_arguments.substituted(context, passed)


def run_query(frame: Frame, query: Query, node: Node) -> Values:
    for orm in frame.analysis.orms:
        if orm.name == query.orm and orm.iterate is not None:
            return orm.iterate(frame, query, node)
    return query.entities or UNKNOWN


def enter(frame: Frame, values: Values, node: Node) -> Values:
    found: Values = NOTHING
    for value in values:
        if isinstance(value, Instance):
            names = ("__enter__", "__aenter__")
            method = next(
                (m for n in names if (m := frame.analysis.method(value.index, n)) is not None), None
            )
            if method is not None:
                found = join(found, invoke(frame, method, value, given(node)))
                continue
        if isinstance(value, Many) and value.lazy:
            # a generator made a context manager
            found = join(found, value.items)
        else:
            found = join(found, one(value))
    return found


def run_callbacks(frame: Frame, arguments: Arguments) -> None:
    for values in arguments.all():
        for value in values:
            if isinstance(value, FunctionRef):
                module = frame.analysis.functions[value.index].module
                if not frame.analysis.modules[module].is_test:
                    invoke(frame, value.index, value.receiver, given(arguments.node))
