"""Django with REST framework: URLs, views, requests, forms, serializers, templates, the admin."""

from typing import TYPE_CHECKING

from cache_strategy.profile.frameworks._base import Framework, Route
from cache_strategy.profile.frameworks.django import admin, forms, pages, requests, rest, urls, views
from cache_strategy.profile.frameworks.django.knowledge import ALIASES, KNOWN, canonical
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import Value, Values

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.evaluation import Frame
    from cache_strategy.profile.facts import Decoration


def value(frame: "Frame", found: Value, node: Node) -> Values | None:
    """What a part of the request stands for."""
    return requests.value(frame, found, node) if "django" in frame.analysis.notes else None


def attribute(frame: "Frame", owner: Value, name: str, node: Node) -> Values | None:
    """Attributes of requests, views, forms, serializers."""
    if "django" not in frame.analysis.notes:
        return None
    for part in (views.attribute, requests.attribute, forms.attribute, rest.attribute, pages.attribute):
        answer = part(frame, owner, name, node)
        if answer is not None:
            return answer
    return None


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """Calls of Django, REST framework and what is made by them."""
    if "django" not in frame.analysis.notes:
        return None
    for part in (views.call, requests.call, forms.call, rest.call, pages.call, admin.call):
        answer = part(frame, path, receiver, arguments)
        if answer is not None:
            return answer
    return None


def decorated(frame: "Frame", function: int, path: str, receiver: Value | None, arguments: Arguments | None,
              decoration: "Decoration") -> bool:  # fmt: skip
    """Decorators of views, receivers, actions, template tags."""
    return pages.decorated(frame, function, path, arguments) or requests.decorated(
        frame, function, path, receiver, arguments, decoration
    )


def decorated_class(
    frame: "Frame", index: int, path: str, receiver: Value | None, arguments: Arguments | None
) -> bool:
    """Decorators of view classes and of classes of the admin."""
    return admin.decorated_class(frame, index, path, arguments) or requests.decorated_class(
        frame, index, path, receiver, arguments
    )


def routes(analysis: "Analysis") -> list[Route]:
    """The routes; by then everything is known that the admin and migrations write."""
    admin.note(analysis)
    return views.routes(analysis)


framework = Framework(
    __name__,
    packages=("django", "rest_framework"),
    known=KNOWN,
    structural=frozenset(
        {*urls.ROUTERS, *forms.FORMS, "django.core.paginator.Paginator()", "django.template.Library()"}
    ),
    structural_prefixes=(rest.PREFIX, "django.forms.Model", "django_filters."),
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
