"""Flask with the extensions that decide what a request sees: Flask-Login, Flask-JWT-Extended, apispec, RESTful."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile import serialization, templates
from cache_strategy.profile.frameworks import _flask_routes as found_routes
from cache_strategy.profile.frameworks._base import Arguments, Framework
from cache_strategy.profile.library import Known
from cache_strategy.profile.lowering import Node, quoted, source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Mapping,
    Value,
    Values,
    join,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis, Decoration
    from cache_strategy.profile.evaluation import Frame

_USERS = frozenset(
    {
        "flask_login.current_user", "flask_jwt_extended.current_user", "flask_security.current_user",
        "flask_user.current_user", "flask_login.utils.current_user", "flask_jwt.current_identity",
        "flask_security.core.current_user", "flask_jwt_extended.utils.current_user",
    }
)  # fmt: skip
_USER_CALLS = frozenset(
    {
        "flask_jwt_extended.get_jwt_identity", "flask_jwt_extended.get_current_user", "flask_jwt_extended.get_jwt",
        "flask_jwt_extended.get_raw_jwt", "flask_jwt_extended.get_jwt_claims", "flask_praetorian.current_user",
        "flask_praetorian.current_user_id", "flask_httpauth.HTTPBasicAuth().current_user",
        "flask_httpauth.HTTPTokenAuth().current_user", "flask_httpauth.MultiAuth().current_user",
        "flask_httpauth.HTTPBasicAuth().username", "flask_httpauth.HTTPDigestAuth().username",
    }
)  # fmt: skip
_LOADERS = frozenset(
    {
        "user_loader", "request_loader", "user_loader_callback_loader", "user_lookup_loader", "header_loader",
        "verify_password", "verify_token", "identity_loader",
    }
)  # fmt: skip
_GUARDS = re.compile(
    r"(login|auth|jwt|token|permission|role|admin|require|staff|logged_in|current_user|scope|acl|owner|privilege)",
    re.IGNORECASE,
)
_USER_WORDS = re.compile(
    r"(user|account|identity|auth|member|customer|person|profile|viewer|principal|login)", re.I
)
_TENANT_WORDS = re.compile(r"(tenant|org|site|company|team|workspace|shop|domain|community)", re.I)
_LOCALE_WORDS = re.compile(r"(locale|lang|babel|timezone|tz$)", re.I)
_NO_CONTEXT = re.compile(
    r"(db|conn|connection|sqlite|engine|redis|cursor|start|timer|request_id|search_form)", re.I
)
_PROXY = "werkzeug.local.LocalProxy()"
_SIGNALS = (
    "blinker.Namespace().signal().",
    "blinker.signal().",
    "blinker.Signal().",
    "blinker.NamedSignal().",
)
_SESSION_WRITES = frozenset({"pop", "clear", "update", "setdefault", "popitem", "regenerate"})
_JSON = frozenset(
    {"flask.jsonify", "flask.json.dumps", "flask.json.jsonify", "json.dumps", "simplejson.dumps", "ujson.dumps",
     "orjson.dumps", "flask.make_response", "flask.Response", "werkzeug.wrappers.Response", "flask.stream_with_context"}
)  # fmt: skip
_RENDERING = frozenset({"flask.render_template", "flask.stream_template", "flask_mako.render_template"})
_HOOKS = frozenset({"before_request", "before_app_request", "after_request", "after_app_request", "url_value_preprocessor",
                    "app_url_value_preprocessor"})  # fmt: skip
_PROCESSORS = frozenset({"context_processor", "app_context_processor"})
_TEMPLATE_FUNCTIONS = frozenset({"template_global", "app_template_global", "template_filter", "app_template_filter",
                                 "template_test", "app_template_test"})  # fmt: skip

KNOWN = {
    "flask.request.args": Known("query"),
    "flask.request.values": Known("query"),
    "flask.request.query_string": Known("query"),
    "flask.request.full_path": Known("query"),
    "flask.request.url": Known("query"),
    "flask.request.form": Known("body"),
    "flask.request.json": Known("body"),
    "flask.request.get_json": Known("body"),
    "flask.request.data": Known("body"),
    "flask.request.get_data": Known("body"),
    "flask.request.files": Known("body"),
    "flask.request.stream": Known("body"),
    "flask.request.headers": Known("header"),
    "flask.request.environ": Known("header"),
    "flask.request.authorization": Known("header", "Authorization"),
    "flask.request.user_agent": Known("header", "User-Agent"),
    "flask.request.referrer": Known("header", "Referer"),
    "flask.request.remote_addr": Known("header", "X-Forwarded-For"),
    "flask.request.access_route": Known("header", "X-Forwarded-For"),
    "flask.request.accept_languages": Known("locale", "Accept-Language"),
    "flask.request.accept_mimetypes": Known("header", "Accept"),
    "flask.request.is_xhr": Known("header", "X-Requested-With"),
    "flask.request.if_none_match": Known("header", "If-None-Match"),
    "flask.request.host": Known("header", "Host"),
    "flask.request.host_url": Known("header", "Host"),
    "flask.request.url_root": Known("header", "Host"),
    "flask.request.root_url": Known("header", "Host"),
    "flask.request.cookies": Known("cookie"),
    "flask.session": Known("session"),
    "flask.get_flashed_messages": Known("session", "flashes"),
    "flask.current_app.config": Known("settings"),
    "flask.Flask().config": Known("settings"),
    "flask_babel.get_locale": Known("locale"),
    "flask_babel.get_timezone": Known("locale"),
    "flask_babel.format_date": Known("locale"),
    "flask_babel.format_datetime": Known("locale"),
    "flask_babel.gettext": Known("locale"),
    "flask_babel.lazy_gettext": Known("locale"),
    "flask_babel.ngettext": Known("locale"),
    "flask_babel._": Known("locale"),
    "flask_babelex": Known("locale"),
    "flask_wtf.csrf.generate_csrf": Known("session", "csrf_token"),
    "flask_wtf.FlaskForm().hidden_tag": Known("session", "csrf_token"),
    "flask_wtf.FlaskForm().csrf_token": Known("session", "csrf_token"),
    "flask_login.login_user": Known("side"),
    "flask_login.logout_user": Known("side"),
    "flask_login.confirm_login": Known("side"),
    "flask_jwt_extended.set_access_cookies": Known("side"),
    "flask_jwt_extended.unset_jwt_cookies": Known("side"),
    "flask_jwt_extended.create_access_token": Known("time"),
    "flask_jwt_extended.create_refresh_token": Known("time"),
    "flask.flash": Known("side"),
    "flask.after_this_request": Known("side"),
    "flask_mail.Mail().send": Known("side"),
    "flask_mail.Mail().connect": Known("side"),
    "flask_mailman": Known("side"),
    "celery.Celery().send_task": Known("side"),
    "flask.send_file": Known("files"),
    "flask.send_from_directory": Known("files"),
    "flask.current_app.open_resource": Known("files"),
}
_ALIASES = {
    "werkzeug.LocalProxy": "werkzeug.local.LocalProxy",
    "blinker.base.": "blinker.",
    "flask.signals.Namespace": "blinker.Namespace",
    "webargs.fields.": "marshmallow.fields.",
    "apiflask.fields.": "marshmallow.fields.",
    "flask_marshmallow.fields.": "marshmallow.fields.",
    "flask_marshmallow.Marshmallow().fields": "marshmallow.fields",
    "flask_restplus.fields.": "flask_restful.fields.",
    "flask_restx.fields.": "flask_restful.fields.",
    "flask.globals.": "flask.",
    "flask_wtf.form.": "flask_wtf.",
    "flask_wtf.Form": "flask_wtf.FlaskForm",
    "flask.app.Flask": "flask.Flask",
    "flask.blueprints.Blueprint": "flask.Blueprint",
    "flask.templating.": "flask.",
    "flask.helpers.": "flask.",
    "flask.wrappers.Response": "flask.Response",
    "flask_openapi3.APIBlueprint": "flask.Blueprint",
    "flask_openapi3.OpenAPI": "flask.Flask",
    "flask_smorest.Blueprint": "flask.Blueprint",
    "flask_smorest.blueprint.Blueprint": "flask.Blueprint",
    "apiflask.APIBlueprint": "flask.Blueprint",
    "apiflask.APIFlask": "flask.Flask",
    "flask_restplus.": "flask_restx.",
    "flask_jwt_extended.utils.": "flask_jwt_extended.",
    "flask_jwt_extended.view_decorators.": "flask_jwt_extended.",
    "flask_login.utils.": "flask_login.",
}


def value(frame: "Frame", proxy: Value, node: Node) -> Values | None:
    """`current_user` is a row of whatever the user loader returns, and a context; a proxy is what its function gives."""
    if isinstance(proxy, External) and proxy.path in _USERS:
        _note_user(frame, proxy.path, node)
        return _load_user(frame, node) or one(External(f"{proxy.path}()"))
    if isinstance(proxy, Made) and proxy.path == _PROXY:
        return _behind(frame, proxy, node)
    return None


def _behind(frame: "Frame", proxy: Made, node: Node) -> Values:
    found: Values = NOTHING
    for inner in proxy.args[0] if proxy.args else NOTHING:
        if isinstance(inner, FunctionRef):
            context = frame.analysis.generic(frame.analysis.program.functions[inner.index])
            frame.edge(context, node)
            found = join(found, context.returns - one(Constant(None)))
    return found or UNKNOWN


def _note_user(frame: "Frame", path: str, node: Node) -> None:
    """The context, and which package's user it is: the identity is read from there."""
    frame.note_context("user", "", node)
    frame.analysis.notes.setdefault("flask identities", {})[source_of(node)] = path.partition(".")[0]


def identity(analysis: "Analysis", read: ContextRead) -> str:
    """The expression for a plain identity of the user behind a context, importable by its first name; "" if unknown."""
    package = analysis.notes.get("flask identities", {}).get(read.expression)
    if package == "flask_jwt_extended":
        return "flask_jwt_extended.get_jwt_identity()"
    if package in ("flask_login", "flask_security", "flask_user"):
        return "flask_login.current_user.get_id()"
    if read.kind == "session" and read.name and read.name != "flashes":
        return f"session.get({quoted(read.name)})"
    if read.kind == "user" and read.name:
        return _identity_in_g(analysis, read.name)
    return ""


def _identity_in_g(analysis: "Analysis", name: str) -> str:
    """What `g.user` was loaded from: the session's key, where the function that sets it reads exactly one."""
    keys: set[str] = set()
    for context in analysis.contexts:
        if f"g.{name}" in context.facts.stored:
            keys |= {c.name for c in context.facts.context if c.kind == "session" and c.name}
    return f"session.get({quoted(keys.pop())})" if len(keys) == 1 else ""


def _load_user(frame: "Frame", node: Node) -> Values:
    """The row that the application's user loader gives; the loader runs as part of this evaluation."""
    found: Values = NOTHING
    for loader in frame.analysis.stored("flask", "user loader"):
        if isinstance(loader, FunctionRef):
            function = frame.analysis.program.functions[loader.index]
            context = frame.analysis.generic(function)
            frame.edge(context, node)
            found = join(found, frozenset(v for v in context.returns if isinstance(v, Instance)))
    if not found:
        found = frozenset(
            Instance(index)
            for index in frame.analysis.mapped
            if any(path.endswith("UserMixin") for path in frame.analysis.mro(index)[1])
        )
    return found


def attribute(frame: "Frame", owner: Value, name: str, node: Node) -> Values | None:
    """Attributes of `g`, of proxies of the user, of proxies made by the application."""
    if not isinstance(owner, External | Made):
        return None
    if owner.path == "flask.g" and not name.startswith("["):
        return _of_g(frame, name, node)
    if owner.path == "flask.g":
        return _of_g(frame, name[1:-1], node)
    if owner.path.rstrip("()") in _USERS:
        return PLAIN
    if owner.path in ("flask.current_app", "flask.Flask()") and name in (
        "logger",
        "name",
        "debug",
        "testing",
    ):
        return one(External(f"flask.current_app.{name}"))
    return None


def _of_g(frame: "Frame", name: str, node: Node) -> Values:
    stored = frame.analysis.stored("flask.g", name)
    if name in ("get", "pop", "setdefault"):
        return one(External(f"flask.g.{name}"))
    kind = _kind_of_g(frame, name, stored)
    if kind:
        frame.note_context(kind, name, node)
    return stored or UNKNOWN


def _kind_of_g(frame: "Frame", name: str, stored: Values) -> str:
    if _NO_CONTEXT.search(name):
        return ""
    if _LOCALE_WORDS.search(name):
        return "locale"
    loaded = frame.analysis.stored("flask", "user classes")
    if _USER_WORDS.search(name) or any(v in loaded for v in stored):
        return "user"
    if _TENANT_WORDS.search(name):
        return "tenant"
    return "session"


def store(frame: "Frame", path: str, values: Values, node: Node) -> bool:
    """Assignments to `g`, `session` and response objects."""
    if path.startswith(("flask.g.", "flask.g[")):
        name = path[8:].rstrip("]")
        frame.analysis.store("flask.g", name, values)
        frame.facts.stored.add(f"g.{name}")
        return True
    if path.startswith("flask.session"):
        frame.facts.side_effects.add("session write")
        return True
    return path.startswith(("flask.make_response()", "flask.Response()", "flask.jsonify()"))


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """Calls of Flask and its extensions."""
    last = path.rpartition(".")[2]
    if path in _JSON:
        for values in (*arguments.positional, *(v for _, v in arguments.keywords)):
            serialization.encode(frame, values, arguments.node)
        return one(External(path + "()"))
    if path in _RENDERING or path in ("flask.render_template_string",):
        return _render(frame, path, arguments)
    if path in _USER_CALLS:
        _note_user(frame, path, arguments.node)
        if last in ("get_current_user", "current_user"):
            return _load_user(frame, arguments.node) or one(External("flask_login.current_user()"))
        return PLAIN
    if path.startswith("flask.session.") and last in _SESSION_WRITES:
        frame.facts.side_effects.add("session write")
        frame.note_context("session", text_in(arguments.get(0)) or "", arguments.node)
        return PLAIN
    if path.startswith(_SIGNALS):
        return _signal(frame, path, receiver, arguments)
    if path.startswith("flask.g."):
        return _call_on_g(frame, last, arguments)
    if path in (
        "flask.redirect",
        "flask.url_for",
        "flask.abort",
        "flask.send_file",
        "flask.send_from_directory",
    ):
        if last in ("url_for", "abort"):
            return PLAIN
        if last.startswith("send"):
            frame.note_context("files", "", arguments.node)
        return one(External(path + "()"))
    if path == "flask.get_flashed_messages":
        frame.note_context("session", "flashes", arguments.node)
        return PLAIN
    if last in ("dump", "dumps", "jsonify", "load") and receiver is not None:
        return _by_schema(frame, receiver, last, arguments)
    if last in _LOADERS and path.startswith(
        ("flask_login", "flask_jwt_extended", "flask_jwt", "flask_httpauth")
    ):
        _register_loaders(frame, arguments.get(0))
        return None if not arguments.positional else PLAIN
    if last in ("set_cookie", "delete_cookie") and path.startswith(("flask.", "werkzeug.")):
        frame.facts.side_effects.add(last)
        return PLAIN
    return found_routes.call(frame, path, receiver, arguments)


def _signal(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """Signals of blinker: what is connected runs where the signal is sent."""
    last = path.rpartition(".")[2]
    if not isinstance(receiver, Made):
        return None
    if last in ("connect", "connect_via"):
        for value in arguments.get(0):
            if isinstance(value, FunctionRef):
                frame.analysis.store(receiver, "receivers", one(value))
        return arguments.get(0)
    if last in ("send", "send_async"):
        for value in frame.analysis.stored(receiver, "receivers"):
            if isinstance(value, FunctionRef):
                function = frame.analysis.program.functions[value.index]
                frame.invoke(
                    function,
                    value.receiver,
                    list(arguments.positional),
                    list(arguments.keywords),
                    arguments.node,
                )
        return PLAIN
    return None


def _call_on_g(frame: "Frame", name: str, arguments: Arguments) -> Values:
    key = text_in(arguments.get(0))
    if name in ("get", "pop", "setdefault") and key is not None:
        if name == "setdefault":
            frame.analysis.store("flask.g", key, arguments.get(1))
        return join(_of_g(frame, key, arguments.node) - UNKNOWN, arguments.get(1)) or UNKNOWN
    # a function or an object kept in g
    found: Values = NOTHING
    for value in _of_g(frame, name, arguments.node):
        if isinstance(value, FunctionRef):
            found = join(
                found,
                frame.invoke(
                    frame.analysis.program.functions[value.index],
                    value.receiver,
                    list(arguments.positional),
                    list(arguments.keywords),
                    arguments.node,
                ),
            )
    return found or UNKNOWN


def _by_schema(frame: "Frame", receiver: Value, name: str, arguments: Arguments) -> Values | None:
    if serialization.is_schema(frame, receiver) and isinstance(receiver, Instance | ClassRef):
        if name == "load":
            return serialization.loaded(frame, receiver.index)
        serialization.serialize(frame, arguments.get(0, "obj"), one(receiver), arguments.node)
        return PLAIN
    return None


def _register_loaders(frame: "Frame", values: Values) -> None:
    for value in values:
        if isinstance(value, FunctionRef):
            frame.analysis.store("flask", "user loader", one(value))
            context = frame.analysis.generic(frame.analysis.program.functions[value.index])
            rows = frozenset(v for v in context.returns if isinstance(v, Instance))
            frame.analysis.store("flask", "user classes", rows)


def decorated(
    frame: "Frame",
    function: int,
    path: str,
    receiver: Value | None,
    arguments: Arguments | None,
    decoration: "Decoration",
) -> bool:
    """Decorators of Flask and its extensions."""
    last = path.rpartition(".")[2]
    node = arguments.node if arguments is not None else ("name", 0, last)
    if found_routes.decorated(frame, function, path, receiver, arguments):
        return True
    if path.startswith(_SIGNALS) and isinstance(receiver, Made):
        frame.analysis.store(receiver, "receivers", one(FunctionRef(function)))
        return True
    if last in _HOOKS:
        found_routes.hook(frame, function, last, receiver)
        return True
    if last in _PROCESSORS or last in _TEMPLATE_FUNCTIONS:
        named = text_in(arguments.get(0, "name")) if arguments is not None else None
        key = "template functions" if last in _TEMPLATE_FUNCTIONS else "context processors"
        name = named or frame.analysis.program.functions[function].name
        prefix = "|" if "filter" in last else ""
        frame.analysis.store("flask " + key, prefix + name, one(FunctionRef(function)))
        return True
    if last in _LOADERS:
        _register_loaders(frame, one(FunctionRef(function)))
        return True
    if last in ("marshal_with", "response", "output", "marshal_list_with"):
        schemas = (
            arguments.get(1 if last == "response" else 0, "schema") if arguments is not None else NOTHING
        )
        if schemas and not all(isinstance(v, Constant) for v in schemas):
            decoration.serializers.append(
                lambda inner, values: serialization.serialize(inner, values, schemas, node)
            )
            decoration.result = one(External("flask.serialized()"))
            return True
    if last in ("use_kwargs", "use_args", "arguments", "input") and arguments is not None:
        found_routes.note_arguments(frame, function, arguments)
        return True
    if _GUARDS.search(last) and path.startswith(("flask", "?")):
        _note_user(frame, path, node if node[0] == "call" else ("name", 0, last))
        _load_user(frame, node)
        found_routes.guard(frame, function, decoration.texts[-1])
        return True
    return False


def _render(frame: "Frame", path: str, arguments: Arguments) -> Values:
    variables: dict[str, Values] = {}
    for name, values in arguments.keywords:
        if name:
            variables[name] = values
        else:
            for inner in values:
                if isinstance(inner, Mapping):
                    variables.update(dict(inner.fields))
    for values in arguments.positional[1:]:
        for inner in values:
            if isinstance(inner, Mapping):
                variables.update(dict(inner.fields))
    outside = _template_globals(frame, arguments.node)
    kept: dict[object, object] = frame.analysis.notes.setdefault("templates", {})
    if "all" not in kept:
        kept["all"] = templates.Templates(Path(str(kept["repo"])))
    files = kept["all"]
    assert isinstance(files, templates.Templates)
    names = texts_in(arguments.get(0, "template_name_or_list"))
    if path.endswith("render_template_string"):
        text = text_in(arguments.get(0, "source"))
        if text is not None:
            templates.render_text(frame, files, text, variables, outside, arguments.node)
    else:
        templates.render(frame, files, names, variables, outside, arguments.node)
    return one(External("flask.render_template()"))


def _template_globals(frame: "Frame", node: Node) -> dict[str, Values]:
    found: dict[str, Values] = {
        name: one(External(f"flask.{name}"))
        for name in ("request", "session", "g", "get_flashed_messages", "url_for")
    }
    found["config"] = one(External("flask.current_app.config"))
    found["csrf_token"] = one(External("flask_wtf.csrf.generate_csrf"))
    if frame.analysis.stored("flask", "user loader"):
        found["current_user"] = one(External("flask_login.current_user"))
    for (owner, name), values in sorted(frame.analysis.stores.items(), key=repr):
        if owner == "flask template functions":
            found[name] = values
        elif owner == "flask context processors":
            for processor in values:
                if isinstance(processor, FunctionRef):
                    context = frame.analysis.generic(frame.analysis.program.functions[processor.index])
                    frame.edge(context, node)
                    for returned in context.returns:
                        if isinstance(returned, Mapping):
                            found.update(dict(returned.fields))
    return found


framework = Framework(
    __name__,
    packages=("flask", "quart"),
    known=KNOWN,
    structural=frozenset(
        {"flask.Flask()", "flask.Blueprint()", "flask_restful.Api()", "flask_restx.Api()", "flask_restx.Namespace()",
         "flask.view()", _PROXY, "blinker.Namespace().signal()", "blinker.signal()", "blinker.Signal()", "flask_smorest.Api()", "quart.Quart()", "quart.Blueprint()"}
    ),
    structural_prefixes=("marshmallow.fields.", "flask_restful.fields."),
    aliases=_ALIASES,
    value=value,
    attribute=attribute,
    call=call,
    decorated=decorated,
    store=store,
    decorated_class=found_routes.decorated_class,
    routes=found_routes.routes,
    identity=identity,
)  # fmt: skip
