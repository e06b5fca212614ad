"""What a function gives back: plain data that can be kept, or something that cannot."""

from cache_strategy.model.evidence import Returned
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.values import (
    Constant,
    External,
    Instance,
    Made,
    Many,
    Mapping,
    Page,
    Parts,
    Plain,
    Query,
    Value,
    Values,
    contents,
)

_RESPONSES = ("flask.jsonify", "flask.make_response", "flask.Response", "flask.redirect", "flask.serialized",
              "flask.send_file", "flask.send_from_directory", "flask.stream_with_context", "werkzeug.", "django.http.", "django.shortcuts.redirect", "rest_framework.response.", "fastapi.")  # fmt: skip
# Objects of the standard library that the emitted cache writes and reads back as they were.
_PLAIN = frozenset("decimal.Decimal() uuid.UUID() collections.OrderedDict() collections.Counter()".split())
_DEEPEST = 6
# The kind that makes the whole answer what it is comes first.
_ORDER: tuple[Returned, ...] = ("orm", "lazy", "response", "template", "unknown", "plain", "none")


def returned_of(analysis: Analysis, values: Values) -> Returned:
    known: dict[object, Returned] = {}
    found = {_kind(analysis, value, 0, known) for value in values} or {"none"}
    return next(kind for kind in _ORDER if kind in found)


def _kind(analysis: Analysis, value: Value, level: int, known: dict[object, Returned]) -> Returned:
    if value not in known:
        known[value] = "unknown"
        known[value] = _kind_of(analysis, value, level, known)
    return known[value]


def _kind_of(analysis: Analysis, value: Value, level: int, known: dict[object, Returned]) -> Returned:
    if isinstance(value, Constant):
        return "none" if value.value is None else "plain"
    if isinstance(value, Plain):
        return "plain"
    if isinstance(value, Instance):
        return "orm" if value.index in analysis.mapped else "unknown"
    if isinstance(value, Query):
        return "lazy"
    if isinstance(value, Many | Page | Mapping | Parts):
        inner = _inner(analysis, contents(value), level, known)
        if inner == "plain" and (isinstance(value, Page) or (isinstance(value, Parts) and value.row)):
            return "unknown"
        return "lazy" if isinstance(value, Many) and value.lazy and inner != "orm" else inner
    if isinstance(value, External | Made):
        if value.path.startswith(("flask.render_template", "django.shortcuts.render")):
            return "template"
        if value.path.startswith(_RESPONSES):
            return "response"
        if value.path in _PLAIN:
            return "plain"
    return "unknown"


def _inner(
    analysis: Analysis, sets: tuple[Values, ...], level: int, known: dict[object, Returned]
) -> Returned:
    if level > _DEEPEST:
        return "unknown"
    found = {_kind(analysis, value, level + 1, known) for values in sets for value in values}
    found.discard("none")
    return next((kind for kind in _ORDER if kind in found), "plain")
