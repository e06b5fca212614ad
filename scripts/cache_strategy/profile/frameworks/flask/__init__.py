"""Flask with the extensions that decide what a request sees: Flask-Login, Flask-JWT-Extended, apispec, RESTful."""

from typing import TYPE_CHECKING

from cache_strategy.profile import serialization
from cache_strategy.profile.frameworks._base import Framework
from cache_strategy.profile.frameworks.flask import pages, routes, signals, users
from cache_strategy.profile.frameworks.flask.knowledge import ALIASES, KNOWN
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import NOTHING, Constant, External, Value, Values, one

if TYPE_CHECKING:
    from cache_strategy.profile.facts import Decoration

_HOOKS = frozenset(
    """before_request before_app_request after_request after_app_request url_value_preprocessor
    app_url_value_preprocessor""".split()
)


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    for part in (pages.call, users.call, signals.call, routes.call):
        answer = part(frame, path, receiver, arguments)
        if answer is not None:
            return answer
    return None


def decorated(
    frame: Frame,
    function: int,
    path: str,
    receiver: Value | None,
    arguments: Arguments | None,
    decoration: "Decoration",
) -> bool:
    last = path.rpartition(".")[2]
    if routes.decorated(frame, function, path, receiver, arguments):
        return True
    if signals.decorated(frame, function, path, receiver) or pages.decorated(
        frame, function, last, arguments
    ):
        return True
    if last in _HOOKS:
        routes.hook(frame, function, last, receiver)
        return True
    if last in ("marshal_with", "response", "output", "marshal_list_with"):
        return _serializer(last, arguments, decoration)
    if last in ("use_kwargs", "use_args", "arguments", "input") and arguments is not None:
        routes.note_arguments(frame, function, arguments)
        return True
    kind = users.decorated(frame, function, path, decoration.node)
    if kind == "guard":
        routes.guard(frame, function, decoration.texts[-1])
    return bool(kind)


def _serializer(last: str, arguments: Arguments | None, decoration: "Decoration") -> bool:
    schemas = arguments.get(1 if last == "response" else 0, "schema") if arguments is not None else NOTHING
    if arguments is None or not schemas or all(isinstance(v, Constant) for v in schemas):
        return False
    node = arguments.node
    decoration.serializers.append(lambda inner, values: serialization.serialize(inner, values, schemas, node))
    decoration.result = one(External("flask.serialized()"))
    return True


framework = Framework(
    __name__,
    packages=("flask", "quart"),
    known=KNOWN,
    structural=frozenset(
        {"flask.Flask()", "flask.Blueprint()", "flask_restful.Api()", "flask_restx.Api()", "flask_restx.Namespace()",
         "flask.view()", "flask_smorest.Api()", "quart.Quart()", "quart.Blueprint()", users.PROXY, *signals.SIGNALS}
    ),
    structural_prefixes=("marshmallow.fields.", "flask_restful.fields."),
    aliases=ALIASES,
    value=users.value,
    attribute=users.attribute,
    call=call,
    decorated=decorated,
    store=users.store,
    decorated_class=routes.decorated_class,
    routes=routes.routes,
    identity=users.identity,
)  # fmt: skip
