"""Django with REST framework: URLs, views, requests, forms, serializers, templates, the admin."""

from typing import TYPE_CHECKING

from cache_strategy.profile.frameworks._base import Framework, Route
from cache_strategy.profile.frameworks.django import admin, forms, pages, requests, urls, views
from cache_strategy.profile.frameworks.django.knowledge import ALIASES, KNOWN, canonical
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import Made, Value, Values, one

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame
    from cache_strategy.profile.facts import Decoration


def value(frame: "Frame", found: Value, node: Node) -> Values | None:
    return requests.value(frame, found, node) if "django" in frame.analysis.notes else None


def attribute(frame: "Frame", owner: Value, name: str, node: Node) -> Values | None:
    if "django" not in frame.analysis.notes:
        return None
    if urls.is_router(owner) and name == "registry":
        return one(owner)
    parts = (views.attribute, requests.attribute, forms.attribute, pages.attribute)
    return next((answer for part in parts if (answer := part(frame, owner, name, node)) is not None), None)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    if "django" not in frame.analysis.notes:
        return None
    last = path.rpartition(".")[2]
    if isinstance(receiver, Made) and urls.is_router(receiver) and last in ("register", "extend"):
        viewset = arguments.get(1, "viewset")
        return urls.call(frame.analysis, last, receiver, arguments.get(0, "prefix"), viewset)
    parts = (views.call, requests.call, forms.call, pages.call, admin.call)
    return next(
        (answer for part in parts if (answer := part(frame, path, receiver, arguments)) is not None), None
    )


def decorated(
    frame: "Frame",
    function: int,
    path: str,
    receiver: Value | None,
    arguments: Arguments | None,
    decoration: "Decoration",
) -> bool:
    if "django" not in frame.analysis.notes:
        return False
    found = pages.decorated(frame, function, path, arguments)
    return found or requests.decorated(frame, function, path, receiver, arguments, decoration)


def decorated_class(
    frame: "Frame", index: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    if path.endswith("admin.register") and arguments is not None:
        for values in arguments.positional:
            admin.register(frame, values, index)
        return True
    return "django" in frame.analysis.notes and requests.decorated_class(frame, index, path, arguments)


def routes(analysis: "Analysis") -> list[Route]:
    """The routes; by then everything is known that the admin and migrations write."""
    if "django" not in analysis.notes:
        return []
    admin.note(analysis)
    return views.Router(analysis).read()


framework = Framework(
    __name__,
    packages=("django", "rest_framework"),
    known=KNOWN,
    structural=frozenset({*forms.FORMS, pages.PAGINATOR, pages.LIBRARY}),
    structural_prefixes=(
        forms.REST,
        "rest_framework.routers.",
        "rest_framework_",
        "django.forms.Model",
    ),
    aliases=ALIASES,
    canonical=canonical,
    value=value,
    attribute=attribute,
    call=call,
    decorated=decorated,
    decorated_class=decorated_class,
    store=requests.store,
    routes=routes,
    identity=requests.identity,
    parameter=requests.parameter,
)
