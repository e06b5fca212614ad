"""Pages and answers of Flask: templates with what every one of them sees, JSON, schemas."""

from pathlib import Path

from cache_strategy.profile import serialization, templates
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    PLAIN,
    ClassRef,
    External,
    FunctionRef,
    Instance,
    Mapping,
    Value,
    Values,
    one,
    text_in,
    texts_in,
)

_JSON = frozenset(
    """flask.jsonify flask.json.dumps flask.json.jsonify json.dumps simplejson.dumps ujson.dumps
    orjson.dumps flask.make_response flask.Response werkzeug.wrappers.Response flask.stream_with_context""".split()
)
_RENDERING = frozenset(
    """flask.render_template flask.stream_template flask_mako.render_template flask.render_template_string""".split()
)
_PROCESSORS = "flask context processors"
_FUNCTIONS = frozenset(
    """template_global app_template_global template_filter app_template_filter template_test
    app_template_test""".split()
)


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    last = path.rpartition(".")[2]
    if path in _JSON:
        for values in arguments.all():
            serialization.encode(frame, values, arguments.node)
        return one(External(path + "()"))
    if path in _RENDERING:
        return _render(frame, path, arguments)
    if last in ("add_template_global", "add_template_filter") or path.endswith(
        (".globals.update", ".filters.update")
    ):
        _add_to_templates(frame, path, arguments)
        return PLAIN
    if path in ("flask.redirect", "flask.url_for", "flask.abort"):
        return one(External(path + "()")) if last == "redirect" else PLAIN
    if path in ("flask.send_file", "flask.send_from_directory"):
        frame.note_context("files", "", arguments.node)
        return one(External(path + "()"))
    if last in ("dump", "dumps", "jsonify", "load") and receiver is not None:
        return _by_schema(frame, receiver, last, arguments)
    if last in ("set_cookie", "delete_cookie") and path.startswith(("flask.", "werkzeug.")):
        frame.facts.side_effects.add(last)
        return PLAIN
    return None


def store(frame: Frame, path: str, values: Values) -> bool:
    place, _, name = path.rpartition("[")
    is_filter = place.endswith(".jinja_env.filters")
    if not name or not (is_filter or place.endswith(".jinja_env.globals")):
        return False
    frame.analysis.store("flask template functions", ("|" if is_filter else "") + name.rstrip("]"), values)
    return True


def _add_to_templates(frame: Frame, path: str, arguments: Arguments) -> None:
    place, _, last = path.rpartition(".")
    if last == "update":
        given = [*arguments.keywords]
        given.extend(
            pair for value in arguments.get(0) if isinstance(value, Mapping) for pair in value.fields
        )
    else:
        place = ".jinja_env.filters" if last.endswith("filter") else ".jinja_env.globals"
        names = [
            frame.analysis.functions[v.index].name for v in arguments.get(0) if isinstance(v, FunctionRef)
        ]
        given = [(name, arguments.get(0)) for name in texts_in(arguments.get(1, "name")) or names]
    for name, values in given:
        store(frame, f"{place}[{name}]", values)


def decorated(frame: Frame, function: int, last: str, arguments: Arguments | None) -> bool:
    """`@app.context_processor`, `@app.template_filter("name")` and their relatives."""
    if last not in ("context_processor", "app_context_processor") and last not in _FUNCTIONS:
        return False
    named = text_in(arguments.get(0, "name")) if arguments is not None else None
    name = named or frame.analysis.functions[function].name
    owner = "flask template functions" if last in _FUNCTIONS else _PROCESSORS
    prefix = "|" if "filter" in last else ""
    frame.analysis.store(owner, prefix + name, one(FunctionRef(function)))
    return True


def _by_schema(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values | None:
    if serialization.is_schema(frame, receiver) and isinstance(receiver, Instance | ClassRef):
        if name == "load":
            return serialization.loaded(frame, receiver.index)
        serialization.serialize(frame, arguments.get(0, "obj"), one(receiver), arguments.node)
        return PLAIN
    return None


def _render(frame: Frame, path: str, arguments: Arguments) -> Values:
    variables: dict[str, Values] = {name: values for name, values in arguments.keywords if name}
    for values in (*arguments.positional[1:], *(v for name, v in arguments.keywords if not name)):
        for inner in values:
            if isinstance(inner, Mapping):
                variables.update(dict(inner.fields))
    outside = _template_globals(frame, arguments.node)
    kept = frame.analysis.notes["templates"]
    if "all" not in kept:
        kept["all"] = templates.Templates(Path(kept["repo"]))
    files: templates.Templates = kept["all"]
    is_text = path.endswith("render_template_string")
    names = [] if is_text else texts_in(arguments.get(0, "template_name_or_list"))
    text = text_in(arguments.get(0, "source")) if is_text else None
    templates.render(frame, files, names, variables, outside, arguments.node, text)
    return one(External("flask.render_template()"))


def _template_globals(frame: Frame, node: Node) -> dict[str, Values]:
    found: dict[str, Values] = {
        name: one(External(f"flask.{name}"))
        for name in ("request", "session", "g", "get_flashed_messages", "url_for")
    }
    found["config"] = one(External("flask.current_app.config"))
    found["csrf_token"] = one(External("flask_wtf.csrf.generate_csrf"))
    if "flask_babel" in frame.analysis.imports:
        found.update({name: one(External(f"flask_babel.{name}")) for name in ("_", "gettext", "ngettext")})
    if frame.analysis.stored("flask", "user loader of flask_login"):
        found["current_user"] = one(External("flask_login.current_user"))
    frame.analysis.memory.cannot_repeat()
    stores = frame.analysis.stores
    for owner, name in sorted((o, n) for o, n in stores if o in ("flask template functions", _PROCESSORS)):
        if owner != _PROCESSORS:
            found[name] = stores[owner, name]
        else:
            for processor in sorted(stores[owner, name], key=repr):
                if isinstance(processor, FunctionRef):
                    context = frame.analysis.generic(frame.analysis.functions[processor.index])
                    frame.edge(context, node)
                    for returned in context.returns:
                        if isinstance(returned, Mapping):
                            found.update(dict(returned.fields))
    return found
