"""Who asks: users of Flask's extensions, what the application keeps in `g` and in proxies, identities."""

import re
import sys

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile.frameworks.flask import pages
from cache_strategy.profile.kinds import Analysis, Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.source_text import quoted
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Value,
    Values,
    join,
    one,
    text_in,
)

USER = re.compile(r"flask_\w+\.(.*\.)?current_(user|identity)$")
_ASKING = re.compile(
    r"flask_\w+\.(.*\.)?(get_(raw_)?jwt(_identity|_claims)?|(get_)?current_user(_id)?|username)$"
)
_LOADERS = frozenset(
    """user_loader request_loader user_loader_callback_loader user_lookup_loader header_loader
    verify_password verify_token identity_loader""".split()
)
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
_OF_APP = ("logger", "name", "debug", "testing")
PROXY = "werkzeug.local.LocalProxy()"
_SESSION_WRITES = frozenset("pop clear update setdefault popitem regenerate".split())


def value(frame: Frame, proxy: Value, node: Node) -> Values | None:
    """`current_user` is a row of whatever the user loader returns, and a context; a proxy is what its function gives."""
    if isinstance(proxy, External) and USER.match(proxy.path):
        _note_user(frame, proxy.path, node)
        return _load_user(frame, proxy.path, node) or one(External(f"{proxy.path}()"))
    if isinstance(proxy, Made) and proxy.path == PROXY:
        return _behind(frame, proxy, node)
    return None


def _behind(frame: Frame, proxy: Made, node: Node) -> Values:
    return join(*(_run(frame, inner, node) - one(Constant(None)) for inner in proxy.arg(0))) or UNKNOWN


def _run(frame: Frame, function: Value, node: Node) -> Values:
    if not isinstance(function, FunctionRef):
        return NOTHING
    context = frame.analysis.generic(frame.analysis.functions[function.index])
    frame.edge(context, node)
    return context.returns


def _note_user(frame: Frame, path: str, node: Node) -> None:
    read = frame.note_context("user", "", node)
    frame.analysis.notes.setdefault("flask identities", {})[read] = path.partition(".")[0]


def identity(analysis: Analysis, read: ContextRead) -> str:
    """The expression for a plain identity of the user behind a context, importable by its first name; "" if unknown."""
    package = analysis.notes.get("flask identities", {}).get(read)
    if package == "flask_jwt_extended":
        return "flask_jwt_extended.get_jwt_identity()"
    if package in ("flask_login", "flask_security", "flask_user"):
        return "flask_login.current_user.get_id()"
    if package == "flask_httpauth":
        return _identity_of_httpauth(analysis)
    if read.kind == "session" and read.name and read.name != "flashes":
        return f"session.get({quoted(read.name)})"
    if read.kind == "user" and read.name:
        return _identity_in_g(analysis, read.name)
    # every translation depends on the one locale that Flask-Babel has chosen
    return (
        "str(flask_babel.get_locale())" if read.kind == "locale" and "flask_babel" in analysis.imports else ""
    )


def _identity_of_httpauth(analysis: Analysis) -> str:
    """
    Who passed a guard of Flask-HTTPAuth: what the application's callback gave, a row by its key.

    Source: flask_httpauth.HTTPAuth.login_required and current_user (4.x), which keep it as `g.flask_httpauth_user`.
    Where it is not (3.x, a guard that lets anybody pass), the expression gives a method, which no key takes.
    """
    kept = 'g.get("flask_httpauth_user", g.get)'
    loaders = analysis.stored("flask", "user loader of flask_httpauth")
    given = join(
        *(c.returns for v in loaders if isinstance(v, FunctionRef) for c in analysis.contexts_of(v.index))
    )
    found = given - {Constant(None), Constant(False)}
    rows = [analysis.row(value) for value in found]
    keys = {mapped.primary_key for mapped in rows if mapped is not None}
    if found and not keys:
        return kept  # of anything but plain data no key is made
    if None in rows or len(keys) != 1 or len(*keys) != 1:
        return ""
    return f"getattr({kept}, {quoted(*next(iter(keys)))}, g.get)"


def _identity_in_g(analysis: Analysis, name: str) -> str:
    """What `g.user` was loaded from: the session's key, where the functions that set it read exactly one."""
    known = analysis.notes.setdefault("flask identities in g", {})
    if not known:
        found: dict[str, set[str]] = {"": set()}
        for context in analysis.contexts:
            for stored in context.facts.stored:
                keys = {c.name for c in context.facts.context if c.kind == "session" and c.name}
                found.setdefault(stored, set()).update(keys)
        known.update(found)
    names = known.get(f"g.{name}")
    return f"session.get({quoted(next(iter(names)))})" if isinstance(names, set) and len(names) == 1 else ""


def _load_user(frame: Frame, path: str, node: Node) -> Values:
    """The row that the package's user loader gives; the loader runs as part of this evaluation."""
    loaders = frame.analysis.stored("flask", f"user loader of {path.partition('.')[0]}")
    found = join(*(_run(frame, loader, node) for loader in loaders))
    return frozenset(v for v in found if isinstance(v, Instance)) or frozenset(
        Instance(index)
        for index in frame.analysis.mapped
        if any(base.endswith("UserMixin") for base in frame.analysis.mro(index)[1])
    )


def attribute(frame: Frame, owner: Value, name: str, node: Node) -> Values | None:
    if not isinstance(owner, External | Made):
        return None
    if owner.path == "flask.g":
        return _of_g(frame, name[1:-1] if name.startswith("[") else name, node)
    if USER.match(owner.path.rstrip("()")):
        return PLAIN
    if owner.path in ("flask.current_app", "flask.Flask()") and name in _OF_APP:
        return one(External(f"flask.current_app.{name}"))
    return None


def _of_g(frame: Frame, name: str, node: Node) -> Values:
    stored = frame.analysis.stored("flask.g", name)
    if name in ("get", "pop", "setdefault"):
        return one(External(f"flask.g.{name}"))
    kind = _kind_of_g(frame, name, stored)
    if kind:
        frame.note_context(kind, name, node)
    return stored or UNKNOWN


def _kind_of_g(frame: Frame, name: str, stored: Values) -> str:
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


def store(frame: Frame, path: str, values: Values, node: Node) -> bool:
    if pages.store(frame, path, values):
        return True
    if path.startswith(("flask.g.", "flask.g[")):
        name = path[8:].rstrip("]")
        frame.analysis.store("flask.g", name, values)
        frame.facts.stored.add(f"g.{name}")
        return True
    if path.startswith("flask.session"):
        frame.facts.side_effects.add("session write")
        return True
    return path.startswith(("flask.make_response()", "flask.Response()", "flask.jsonify()"))


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    last = path.rpartition(".")[2]
    if _ASKING.match(path):
        _note_user(frame, path, arguments.node)
        if last in ("get_current_user", "current_user"):
            return _load_user(frame, path, arguments.node) or UNKNOWN
        return PLAIN
    if path.startswith("flask.session.") and last in _SESSION_WRITES:
        frame.facts.side_effects.add("session write")
        frame.note_context("session", text_in(arguments.get(0)) or "", arguments.node)
        return PLAIN
    if path.startswith("flask.g."):
        return _call_on_g(frame, last, arguments)
    if path == "flask.get_flashed_messages":
        frame.note_context("session", "flashes", arguments.node)
        return PLAIN
    if last in _LOADERS and path.startswith(("flask_login", "flask_jwt", "flask_httpauth")):
        _register_loaders(frame, path, arguments.get(0))
        return PLAIN if arguments.positional else None
    return None


def decorated(frame: Frame, function: int, path: str, node: Node) -> str:
    """
    Loaders of users, and guards.

    Returns:
        "loader" or "guard" for what it is, "" for neither.
    """
    last = path.rpartition(".")[2]
    if last in _LOADERS:
        _register_loaders(frame, path, one(FunctionRef(function)))
        return "loader"
    if _GUARDS.search(last) and path.partition(".")[0] not in sys.stdlib_module_names:
        _note_user(frame, path, node)
        _load_user(frame, path, node)
        return "guard"
    return ""


def _call_on_g(frame: Frame, name: str, arguments: Arguments) -> Values:
    key = text_in(arguments.get(0))
    if name in ("get", "pop", "setdefault") and key is not None:
        if name == "setdefault":
            frame.analysis.store("flask.g", key, arguments.get(1))
        return join(_of_g(frame, key, arguments.node) - UNKNOWN, arguments.get(1)) or UNKNOWN
    # a function or an object kept in g
    kept = (value for value in _of_g(frame, name, arguments.node) if isinstance(value, FunctionRef))
    return join(*(frame.invoke(value.index, value.receiver, arguments) for value in kept)) or UNKNOWN


def _register_loaders(frame: Frame, path: str, values: Values) -> None:
    for value in values:
        if isinstance(value, FunctionRef):
            frame.analysis.store("flask", f"user loader of {path.partition('.')[0]}", one(value))
            context = frame.analysis.generic(frame.analysis.functions[value.index])
            rows = frozenset(v for v in context.returns if isinstance(v, Instance))
            frame.analysis.store("flask", "user classes", rows)
