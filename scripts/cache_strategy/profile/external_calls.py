"""Calls into other packages: what the plugins know of them, what the library table says."""

from cache_strategy.profile import attributes, builtin_calls, calls, library
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import PLAIN, UNKNOWN, External, Made, Value, Values, one, text_of

# What is given to these is called later, if at all, and not by the caller.
_REGISTERING = frozenset(
    """add_command register connect on subscribe init_app errorhandler register_error_handler
    context_processor add_url_rule before_request after_request teardown_request listen
    add_template_filter add_template_global shell_context_processor add_task task command group
    add_middleware add_event_handler signal register_blueprint add_periodic_task add_job""".split()
)


def is_structural(frame: Frame, path: str) -> bool:
    known = frame.analysis.structures
    if path not in known:
        spelled = frame.analysis.canonical(path)
        known[path] = any(
            spelled in plugin.structural or spelled.startswith(plugin.structural_prefixes or ("\0",))
            for plugin in frame.analysis.plugins
        )
    return known[path]


def call_path(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values:
    analysis = frame.analysis
    path = analysis.canonical(path)
    if path.startswith(library.CACHES) and (
        path.rpartition(".")[2] in library.KEEPING
        or (path[-1:] != ")" and path.rpartition(".")[2][:1].isupper())
    ):
        frame.facts.caches.add((arguments.line, source_of(arguments.node)))
    answer: Values | None = analysis.ask("call", frame, path, receiver, arguments)
    if answer is not None:
        return answer
    if path + "()" == calls.PARTIAL or is_structural(frame, path + "()"):
        place = (frame.module.path, arguments.line)
        return one(Made(path + "()", place, arguments.positional, arguments.keywords))
    if path.startswith("builtins."):
        return builtin_calls.builtin(frame, path[9:], arguments)
    if path.rpartition(".")[2] not in _REGISTERING:
        calls.run_callbacks(frame, arguments)
    answer = call_library(frame, path, arguments)
    if receiver is None or not arguments.positional or attributes.meaning_of(frame, path) is not None:
        return answer
    told: Values | None = analysis.ask("unresolved", frame, receiver, path.rpartition(".")[2], arguments)
    return answer if told is None else told


def call_library(frame: Frame, path: str, arguments: Arguments) -> Values:
    facts = frame.facts
    meaning = attributes.meaning_of(frame, path)
    last = path.rpartition(".")[2]
    result = one(External(path + "()")) if last[:1].isupper() or "." not in path or len(path) > 150 else PLAIN
    if last in calls.TASK_CALLS:
        facts.side_effects.add(path)
    if meaning is None:
        for values in arguments.positional:
            frame.consume(values, arguments.node)
        if library.is_pure_package(path):
            facts.external_calls.add(path)
            is_object = _makes_object(path) or library.known(path + "()") is not None
            return one(External(path + "()")) if is_object else PLAIN
        if len(facts.unknown) < calls.MOST_UNKNOWN:
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
    if path.startswith("collections.namedtuple"):
        return True
    return last[:1].isupper() and last not in ("Decimal", "UUID") and len(path) < 150


def _opens_for_writing(arguments: Arguments) -> bool:
    mode = text_of(arguments.get(1, "mode")) or ""
    return any(letter in mode for letter in "wax+")


def _first_text(arguments: Arguments) -> str:
    return text_of(arguments.get(0)) or ""
