"""The request at hand: who asks, what middleware keeps on it, decorators that guard views, caches in use."""

import re
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import ContextRead
from cache_strategy.profile import calls
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.frameworks.django import urls
from cache_strategy.profile.frameworks.django.knowledge import KNOWN, REQUEST, is_request
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms.django import models, receiver_decorated, saving, settings
from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Constant,
    External,
    FunctionRef,
    Instance,
    Value,
    Values,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.facts import Context, Decoration

STORED = "django request"
_USER_WORDS = re.compile(
    r"(user|account|identity|auth|member|customer|person|profile|viewer|participation)", re.I
)
_TENANT_WORDS = re.compile(r"(tenant|org|site|company|team|workspace|shop|domain|community|host|slug)", re.I)
_LOCALE_WORDS = re.compile(r"(locale|lang|timezone|tz$)", re.I)
_NO_CONTEXT = re.compile(r"(^_|start|timer|request_id|metrics|htmx|limits|timing|log)", re.I)
_SESSION_WRITES = frozenset("pop clear update setdefault flush cycle_key set_expiry delete save".split())
_CACHING = ("django.views.decorators.cache.", "django.views.decorators.vary.", "django.core.cache.", "django.utils.functional.cached_property",
            "rest_framework_extensions.cache.", "cacheops.", "cache_memoize.", "django.views.decorators.http.etag",
            "django.views.decorators.http.condition", "django.views.decorators.http.last_modified")  # fmt: skip
_TEXT = ("django.utils.translation.", "django.utils.timezone.localtime")


def value(frame: "Frame", found: Value, node: Node) -> Values | None:
    """`request.user` is a row of the model of users."""
    if not isinstance(found, External) or not found.path.endswith("().user"):
        return None
    return user(frame, found.path, node) if is_request(found.path[:-5]) else None


def user(frame: "Frame", path: str, node: Node) -> Values:
    """Who asks; Django loads the row through the session, REST framework has done so before the view."""
    frame.note_context("user", "", node)
    model = models.user_model(frame.analysis)
    if path.startswith("django."):
        load_session(frame, node)
        if model is not None:
            frame.note_read(model.tables[:1] if model.bases else model.tables, node)
    return one(Instance(model.index)) if model is not None else UNKNOWN


def load_session(frame: "Frame", node: Node) -> None:
    """The session's row is read, where sessions are kept in the database."""
    engine = text_in(frame.analysis.notes["django"]["settings"].get("SESSION_ENGINE", NOTHING)) or "db"
    names = settings.middleware(frame.analysis)
    if engine.endswith("db") and (not names or any("SessionMiddleware" in n for n in names)):
        frame.note_read(("django_session",), node)


def attribute(frame: "Frame", owner: Value, name: str, node: Node) -> Values | None:
    """Parts of the request; what the application's own middleware and views keep on it."""
    if not isinstance(owner, External):
        return None
    if owner.path == "django.views.kwargs" and name.startswith("["):
        return PLAIN
    if not is_request(owner.path):
        return None
    if name == "session":
        load_session(frame, node)
    if name == "_request":
        return one(External(f"{REQUEST}()"))
    if f"{owner.path.partition('(')[0]}().{name}" in KNOWN or name.startswith("["):
        return None
    stored = frame.analysis.stored(STORED, name)
    if not _NO_CONTEXT.search(name) and (stored or _USER_WORDS.search(name) or _TENANT_WORDS.search(name)):
        words = ((_LOCALE_WORDS, "locale"), (_USER_WORDS, "user"), (_TENANT_WORDS, "tenant"))
        frame.note_context(
            next((kind for pattern, kind in words if pattern.search(name)), "session"), name, node
        )
    return stored or None


def store(frame: "Frame", path: str, values: Values, node: Node) -> bool:
    """Assignments to the request, its session, responses."""
    base, _, name = path.rpartition(".")
    if is_request(base) and name.isidentifier():
        if name != "user":
            frame.analysis.store(STORED, name, values)
        return True
    if ".session" in path and path.startswith(("django.http.", "rest_framework.request.")):
        frame.facts.side_effects.add("session write")
        frame.note_write("django_session", "orm", node)
        return True
    return path.startswith(("django.http.", "rest_framework.response.", "django.template.response"))


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """Calls on sessions, of authentication, of sites, of caches; decorators given as calls."""
    last = path.rpartition(".")[2]
    node = arguments.node
    if "().session." in path and path.startswith(("django.http.", "rest_framework.request.")):
        if last in _SESSION_WRITES:
            frame.facts.side_effects.add("session write")
            frame.note_write("django_session", "orm", node)
        return None
    if path in (
        "django.contrib.auth.login",
        "django.contrib.auth.logout",
        "django.contrib.auth.update_session_auth_hash",
    ):
        return _log_in(frame, last, arguments)
    if path in (
        "django.contrib.auth.authenticate",
        "django.contrib.auth.get_user",
        "django.contrib.auth.aauthenticate",
    ):
        model = models.user_model(frame.analysis)
        if model is None:
            return UNKNOWN
        frame.note_read(model.tables, node)
        return one(Instance(model.index)) | one(Constant(None))
    if path == "django.views.session_user":
        return user(frame, "django.", node)
    if path.endswith("get_current_site") and path.startswith("django.contrib.sites"):
        site = models.model_named(frame.analysis, "Site")
        frame.note_context("tenant", "", node)
        frame.note_read(("django_site",), node)
        return one(Instance(site.index)) if site is not None else UNKNOWN
    if path.startswith(_TEXT) and not is_localized(frame.analysis):
        return PLAIN
    if path.startswith(_CACHING):
        _note_cache(frame, path, node)
    if path.startswith("django.core.cache."):
        calls.run_callbacks(frame, arguments)
        return (
            UNKNOWN
            if last in ("get", "get_or_set", "get_many")
            else one(External("django.core.cache.cache"))
            if path.endswith(("caches", "get_cache"))
            else PLAIN
        )
    if arguments.positional and is_decorator(path):
        chosen = frozenset(v for v in arguments.positional[0] if urls.is_view(v))
        return chosen or (one(External(path + "()")) if not path.endswith("()") else UNKNOWN)
    return None


def is_decorator(path: str) -> bool:
    """Whether a path is one of a decorator that gives the view back as it is."""
    return any(
        part in path
        for part in (
            ".decorators.",
            "decorator_from_middleware",
            "csrf_exempt",
            ".cache_page",
            ".never_cache",
        )
    ) and path.startswith(
        (
            "django.",
            "rest_framework",
            "ratelimit",
            "waffle",
            "allauth",
            "two_factor",
            "csp",
            "django_ratelimit",
        )
    )


def _log_in(frame: "Frame", name: str, arguments: Arguments) -> Values:
    model = models.user_model(frame.analysis)
    frame.note_write("django_session", "orm", arguments.node)
    frame.note_read(("django_session",), arguments.node)
    frame.facts.side_effects.add(f"session {name}")
    if name == "login" and model is not None:
        for table in model.tables[:1]:
            frame.note_write(table, "orm", arguments.node)
        saving.send(frame, "django.contrib.auth.signals.user_logged_in", model, arguments.node)
    return PLAIN


def is_localized(analysis: "Analysis") -> bool:
    names = settings.middleware(analysis)
    return not names or any("Locale" in name or "lang" in name.lower() for name in names)


def _note_cache(frame: "Frame", path: str, node: Node) -> None:
    line = node[1] if len(node) > 1 and isinstance(node[1], int) else 0
    if not frame.module.is_test:
        frame.analysis.notes.setdefault("caches", {})[frame.module.path, line, source_of(node)] = None


# --- middleware


def middleware(analysis: "Analysis", method: str) -> tuple[int, ...]:
    """The evaluations of the application's own middleware."""
    found = []
    request = one(External(f"{REQUEST}({method})"))
    for dotted in settings.middleware(analysis):
        for made in settings.by_name(analysis, dotted):
            if isinstance(made, FunctionRef):
                outer = analysis.functions[made.index]
                analysis.generic(outer)
                for function in analysis.functions:
                    if function.outer == outer.index and function.parameters:
                        found.append(
                            analysis.context(function, None, {function.parameters[0][0]: request}).index
                        )
            index = getattr(made, "index", -1)
            if (
                isinstance(made, FunctionRef)
                or not isinstance(index, int)
                or index < 0
                or type(made).__name__ != "ClassRef"
            ):
                continue
            for name in (
                "__call__",
                "process_request",
                "process_view",
                "process_response",
                "process_template_response",
            ):
                method_index = analysis.method(index, name)
                if method_index is not None:
                    info = analysis.functions[method_index]
                    bound = {p[0]: request for p in info.parameters[1:] if p[0] == "request"} or (
                        {info.parameters[1][0]: request} if len(info.parameters) > 1 else {})  # fmt: skip
                    found.append(analysis.context(info, Instance(index), bound).index)
    return tuple(dict.fromkeys(found))


# --- decorators


def decorated(frame: "Frame", function: int, path: str, receiver: Value | None, arguments: Arguments | None,
              decoration: "Decoration") -> bool:  # fmt: skip
    """Decorators of views, of receivers of signals, of actions; caches."""
    analysis = frame.analysis
    if "django" not in analysis.notes:
        return False
    last = path.rpartition(".")[2]
    notes = analysis.notes
    if receiver_decorated(frame, function, path, arguments):
        return True
    if path == "django.utils.decorators.method_decorator" and arguments is not None:
        for inner in arguments.get(0):
            if isinstance(inner, External):
                decorated(frame, function, inner.path.removesuffix("()"), None, arguments, decoration)
        return True
    if path.startswith(_CACHING):
        _note_cache(frame, path, decoration.node)
        return True
    methods: tuple[str, ...] = {
        "require_GET": ("GET",),
        "require_POST": ("POST",),
        "require_safe": ("GET",),
    }.get(last, ())
    if last in ("require_http_methods", "api_view"):
        named = texts_in(arguments.get(0, "http_method_names")) if arguments is not None else []
        methods = tuple(m.upper() for m in named if m.upper() not in ("HEAD", "OPTIONS")) or ("GET",)
    if methods:
        notes.setdefault("django methods", {})[function] = (methods, last == "api_view")
        return True
    if last in ("action", "list_route", "detail_route"):
        urls.note_action(
            analysis,
            function,
            dict(arguments.keywords) if arguments is not None else {},
            last == "detail_route",
        )
        return True
    if last == "permission_classes" and arguments is not None:
        for inner in frame.iterate(arguments.get(0), arguments.node):
            guard_class(frame, function, inner, arguments.node)
        return True
    if urls.is_guard(last) and not path.startswith(("?", "django.views", "django.db")):
        notes.setdefault("django guards", {}).setdefault(function, []).append(decoration.texts[-1])
        frame.facts.unknown.discard(path)
        asked(frame, path, arguments, decoration.node)
        return True
    return False


def asked(frame: "Frame", path: str, arguments: Arguments | None, node: Node) -> None:
    """A guard looks up who asks, and what they may."""
    who = user(frame, "django.", node)
    for value in who:
        if "permission_required" in path:
            calls.call_method(frame, value, "has_perm", given(node))
        for test in arguments.get(0) if arguments is not None and "passes_test" in path else NOTHING:
            calls.call_value(frame, test, given(node, one(value)))


def guarded(analysis: "Analysis", context: "Context", text: str) -> None:
    """A guard around a view looks up who asks."""
    module = analysis.modules[context.function.module]
    frame = Frame(analysis, module, context.function, context.receiver, {}, context.facts, context=context)
    asked(frame, text, None, ("name", context.function.line, text))


def guard_class(frame: "Frame", function: int, value: Value, node: Node) -> None:
    """A permission class that a decorator gives to one view."""
    index = getattr(value, "index", -1)
    name = frame.analysis.classes[index].name if isinstance(index, int) and index >= 0 else source_of(node)
    if name != "AllowAny":
        frame.analysis.notes.setdefault("django guards", {}).setdefault(function, []).append(name)
        frame.note_context("user", "", node)


def decorated_class(
    frame: "Frame", index: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    """`@method_decorator(login_required, name="dispatch")`, `@admin.register(Model)`."""
    if "django" not in frame.analysis.notes:
        return False
    if path == "django.utils.decorators.method_decorator" and arguments is not None:
        text = source_of(arguments.node[3][0]) if arguments.node[3] else ""
        if urls.is_guard(text):
            frame.analysis.notes.setdefault("django class guards", {}).setdefault(index, []).append(text)
        elif any(isinstance(v, External) and v.path.startswith(_CACHING) for v in arguments.get(0)):
            _note_cache(frame, path, arguments.node)
        return True
    return False


def identity(analysis: "Analysis", read: ContextRead) -> str:
    """The expression for a plain identity of the user behind a context."""
    if read.kind == "user" and "django" in analysis.notes and read.path.endswith((".py", ".html")):
        return "request.user.pk"
    return ""


def parameter(frame: "Frame", name: str) -> Values | None:
    """What a parameter is by its name where no call says: the request, a row of the model of that name."""
    analysis = frame.analysis
    if "django" not in analysis.notes or frame.function is None:
        return None
    if name in ("request", "req"):
        return one(External(f"{REQUEST}()"))
    if name == "apps" and frame.function.parameters[1:2] and "schema" in frame.function.parameters[1][0]:
        return one(External("django.apps.apps"))
    plain = name.replace("_", "").lower()
    found = models.user_model(analysis) if plain == "user" else None
    named = [m for m in analysis.notes["django models"].get(plain, ()) if not m.path.startswith("<")]
    if found is None and len(named) == 1 and len(plain) > 3:
        found = named[0]
    return one(Instance(found.index)) if isinstance(found, Model) else None
