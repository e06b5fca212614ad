"""The request at hand: who asks, what middleware keeps on it, decorators that guard views, caches in use."""

import re
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile import calls
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.frameworks.django import urls
from cache_strategy.profile.frameworks.django.knowledge import CACHING, KNOWN, REQUEST, is_request
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import models, receive, saving, settings
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.source_text import quoted, source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Value,
    Values,
    one,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.facts import Context, Decoration

_STORED = "django request"
_WORDS = (
    (re.compile(r"(locale|lang|timezone|tz$)", re.I), "locale"),
    (
        re.compile(r"(user|account|identity|auth|member|customer|person|profile|viewer|participation)", re.I),
        "user",
    ),
    (re.compile(r"(tenant|org|site|company|team|workspace|shop|domain|community|host|slug)", re.I), "tenant"),
)
_NO_CONTEXT = re.compile(r"(^_|start|timer|request_id|metrics|htmx|limits|timing|log)", re.I)
_SESSION_WRITES = frozenset("pop clear update setdefault flush cycle_key set_expiry delete save".split())
_HOOKS = "__call__ process_request process_view process_response process_template_response".split()
_VERBS = {"require_GET": ("GET",), "require_POST": ("POST",), "require_safe": ("GET",)}


def user(frame: Frame, node: Node, by_session: bool = True) -> Values:
    """Who asks; Django loads the row through the session, REST framework has done so before the view."""
    frame.note_context("user", "", node)
    model = models.user_model(frame.analysis)
    if by_session:
        load_session(frame, node)
        frame.note_read(model.tables if model is not None else (), node)
    return one(Instance(model.index)) if model is not None else UNKNOWN


def load_session(frame: Frame, node: Node) -> None:
    """The session's row is read, where sessions are kept in the database."""
    engine, names = settings.text(frame.analysis, "SESSION_ENGINE"), settings.middleware(frame.analysis)
    if engine.endswith(("", "db")[bool(engine)]) and (
        not names or any("SessionMiddleware" in n for n in names)
    ):
        frame.note_read(("django_session",), node)


def value(frame: Frame, found: Value, node: Node) -> Values | None:
    """`request.user` is a row of the model of users."""
    path = found.path if isinstance(found, External) else ""
    if not path.endswith("().user") or not is_request(path[:-5]):
        return None
    return user(frame, node, path.startswith("django."))


def attribute(frame: Frame, owner: Value, name: str, node: Node) -> Values | None:
    path = owner.path if isinstance(owner, External) else ""
    if path == "django.views.kwargs" and name.startswith("["):
        return PLAIN
    if not is_request(path):
        return None
    if name == "session":
        load_session(frame, node)
    if name in ("POST", "FILES") and path.endswith("(GET)"):
        return PLAIN
    if name == "_request":
        return one(External(f"{REQUEST}()"))
    if f"{path.partition('(')[0]}().{name}" in KNOWN or name.startswith("["):
        return None
    stored = frame.analysis.stored(_STORED, name)
    kind = next((kind for words, kind in _WORDS if words.search(name)), "session" if stored else "")
    if kind and not _NO_CONTEXT.search(name):
        frame.note_context(kind, name, node)
    return stored or None


def store(frame: Frame, path: str, values: Values, node: Node) -> bool:
    """Assignments to the request, its session, responses."""
    base, _, name = path.rpartition(".")
    if is_request(base) and name.isidentifier():
        if name != "user":
            frame.analysis.store(_STORED, name, values)
        return True
    if "().session" in path and path.startswith(("django.http.", "rest_framework.request.")):
        write_session(frame, "session write", node)
        return True
    return path.startswith(("django.http.", "rest_framework.response.", "django.template.response"))


def write_session(frame: Frame, text: str, node: Node) -> None:
    frame.facts.side_effects.add(text)
    load_session(frame, node)
    frame.note_write("django_session", "orm", node)


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    last, node, model = path.rpartition(".")[2], arguments.node, models.user_model(frame.analysis)
    if (
        "().session." in path
        and last in _SESSION_WRITES
        and path.startswith(("django.http.", "rest_framework."))
    ):
        write_session(frame, "session write", node)
    if path in ("django.contrib.auth.login", "django.contrib.auth.logout"):
        write_session(frame, f"session {last}", node)
        if last == "login" and model is not None:
            frame.note_write(model.tables[0], "orm", node)
            saving.send(frame, "django.contrib.auth.signals.user_logged_in", model, node)
        return PLAIN
    if path in ("django.contrib.auth.authenticate", "django.contrib.auth.get_user") and model is not None:
        frame.note_read(model.tables, node)
        return one(Instance(model.index)) | one(Constant(None))
    if path == "django.views.session_user":
        return user(frame, node)
    if last == "get_current_site" and path.startswith("django."):
        site = models.model_named(frame.analysis, "sites.Site")
        frame.note_context("tenant", "", node)
        frame.note_read(site.tables if site is not None else (), node)
        return one(Instance(site.index)) if site is not None else UNKNOWN
    if path.startswith("django.utils.translation.") and last not in ("activate", "deactivate", "override"):
        note_locale(frame, arguments.line)
        return PLAIN
    if path.startswith(CACHING):
        note_cache(frame, node)
    if path.startswith("django.core.cache."):
        calls.run_callbacks(frame, arguments)
        return UNKNOWN if last.startswith("get") else PLAIN
    is_decorator = any(part in path for part in (".decorators.", "csrf_exempt", "cache_page", "never_cache"))
    if (
        arguments.positional
        and is_decorator
        and path.startswith(("django", "rest_framework", "ratelimit", "waffle"))
    ):
        return frozenset(v for v in arguments.positional[0] if urls.is_view(v)) or one(External(path + "()"))
    return None


def note_locale(frame: Frame, line: int) -> None:
    """What is said depends on the language of the request, unless the project speaks one only."""
    if Constant(False) not in frame.analysis.notes["django"]["settings"].get("USE_I18N", NOTHING):
        frame.note_context("locale", "", ("name", line, "django.utils.translation.get_language()"))


def note_cache(frame: Frame, node: Node) -> None:
    line = node[1] if len(node) > 1 and isinstance(node[1], int) else 0
    if not frame.module.is_test:
        frame.analysis.notes.setdefault("caches", {})[frame.module.path, line, source_of(node)] = None


def middleware(analysis: "Analysis", method: str) -> tuple[int, ...]:
    """The evaluations of the application's own middleware."""
    request, found = one(External(f"{REQUEST}({method})")), []
    for made in (v for dotted in settings.middleware(analysis) for v in settings.by_name(analysis, dotted)):
        functions: list[int | None] = []
        if isinstance(made, FunctionRef):
            analysis.generic(analysis.functions[made.index])
            functions += [f.index for f in analysis.functions if f.outer == made.index]
        elif isinstance(made, ClassRef):
            functions += [analysis.method(made.index, name) for name in _HOOKS]
        for info in (analysis.functions[index] for index in functions if index is not None):
            receiver = Instance(made.index) if isinstance(made, ClassRef) else None
            names = [p[0] for p in info.parameters[receiver is not None :]][:1]
            found.append(analysis.context(info, receiver, dict.fromkeys(names, request)).index)
    return tuple(dict.fromkeys(found))


# --- decorators


def decorated(
    frame: Frame,
    function: int,
    path: str,
    receiver: Value | None,
    arguments: Arguments | None,
    decoration: "Decoration",
) -> bool:
    notes, last = frame.analysis.notes, path.rpartition(".")[2]
    said = arguments or Arguments((), (), decoration.node)
    guards = notes.setdefault("django guards", {}).setdefault(function, [])
    if path == "django.dispatch.receiver":
        receive(frame, one(FunctionRef(function)), said)
    elif last == "method_decorator":
        for inner in (v for v in said.get(0) if isinstance(v, External)):
            decorated(frame, function, inner.path.removesuffix("()"), None, arguments, decoration)
    elif path.startswith(CACHING):
        note_cache(frame, decoration.node)
    elif last in _VERBS or last in ("require_http_methods", "api_view"):
        named = tuple(m.upper() for m in texts_in(said.get(0)) if m.upper() not in ("HEAD", "OPTIONS"))
        notes.setdefault("django methods", {})[function] = (
            _VERBS.get(last, named or ("GET",)),
            last == "api_view",
        )
    elif last in ("action", "list_route", "detail_route"):
        urls.note_action(frame.analysis, function, dict(said.keywords), last)
    elif last == "permission_classes":
        names = [
            frame.analysis.classes[v.index].name
            for v in frame.iterate(said.get(0), said.node)
            if isinstance(v, ClassRef)
        ]
        guards.extend(name for name in names if name != "AllowAny")
    elif urls.is_guard(last) and not path.startswith(("?", "django.views", "django.db")):
        guards.append(decoration.texts[-1])
        asked(frame, path, arguments, decoration.node)
    else:
        return False
    return True


def asked(frame: Frame, path: str, arguments: Arguments | None, node: Node) -> None:
    """A guard looks up who asks, and what they may."""
    who = user(frame, node)
    for row in who if "permission_required" in path else NOTHING:
        calls.call_method(frame, row, "has_perm", given(node))
    for test in arguments.get(0) if arguments is not None and "passes_test" in path else NOTHING:
        calls.call_value(frame, test, given(node, who))


def guarded(analysis: "Analysis", context: "Context", text: str) -> None:
    """A guard around a view looks up who asks."""
    module = analysis.modules[context.function.module]
    frame = Frame(analysis, module, context.function, context.receiver, {}, context.facts, context=context)
    asked(frame, text, None, ("name", context.function.line, text))


def decorated_class(frame: Frame, index: int, path: str, arguments: Arguments | None) -> bool:
    """`@method_decorator(login_required, name="dispatch")`."""
    if path != "django.utils.decorators.method_decorator" or arguments is None:
        return False
    text = source_of(arguments.node[3][0]) if arguments.node[3] else ""
    if urls.is_guard(text):
        frame.analysis.notes.setdefault("django class guards", {}).setdefault(index, []).append(text)
    elif any(isinstance(v, External) and v.path.startswith(CACHING) for v in arguments.get(0)):
        note_cache(frame, arguments.node)
    return True


def identity(analysis: "Analysis", read: ContextRead) -> str:
    """The expression for a plain identity of the user behind a context, or for what a session keeps."""
    if "django" not in analysis.notes or (
        read.kind == "session" and read.name in ("", "messages", "csrf_token")
    ):
        return ""
    known = {"user": "request.user.pk", "session": f"request.session.get({quoted(read.name)})"}
    return known.get(read.kind, "")


def parameter(frame: Frame, name: str) -> Values | None:
    """What a parameter is by its name where no call says: the request, a row of the model of that name."""
    analysis, parameters = frame.analysis, frame.function.parameters if frame.function is not None else ()
    if "django" not in analysis.notes:
        return None
    if name == "request" or (name == "apps" and any("schema" in p[0] for p in parameters)):
        return one(External(f"{REQUEST}()" if name == "request" else "django.apps.apps"))
    plain = name.replace("_", "").lower()
    found = models.user_model(analysis) if plain == "user" else None
    named: list[Model] = [
        m for m in analysis.notes["django models"].get(plain, ()) if not m.path.startswith("<")
    ]
    if found is None and len(named) == 1 and len(plain) > 3:
        found = named[0]
    return one(Instance(found.index)) if found is not None else None
