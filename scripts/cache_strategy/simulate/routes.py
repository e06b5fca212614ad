"""A path to the route that answers it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote

_NUMBER = re.compile(r"-?\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_HASH = re.compile(r"(?=.*\d)[0-9a-fA-F]{16,}")
_SLUG = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+){2,}")
_PARAMETER = re.compile(r"\{([^{}]+)\}")
SPANNING = ("path", "filename", "subpath")
"""Names of parameters that may hold slashes: Flask's and Starlette's `path` converter, by usual names (assumed)."""
CHILDREN_AT_MOST = 30
"""More different names than this below one path are values, not routes (assumed)."""


class Routes:
    """
    The application's routes, tried from the most to the least specific.

    Args:
        routes: method and route, parameters in braces: ("GET", "/api/users/{user_id}").
    """

    def __init__(self, routes: Sequence[tuple[str, str]]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[str, list[str]]]] = defaultdict(list)
        self._spanning: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
        for method, route in routes:
            parts = _parts(route)
            self._by_shape[method, len(parts)].append((route, parts))
            if parts and _name(parts[-1]) in SPANNING:
                self._spanning[method].append((route, parts))
        for family in (*self._by_shape.values(), *self._spanning.values()):
            family.sort(key=lambda item: [_name(part) != "" for part in item[1]])

    def match(self, method: str, path: str) -> tuple[str, list[tuple[str, str]]] | None:
        """The route and its parameters' values; a HEAD is answered by the route of GET."""
        parts = _parts(path)
        for asked in (method, "GET") if method == "HEAD" else (method,):
            for route, pattern in self._by_shape.get((asked, len(parts)), ()):
                values = _values(pattern, parts)
                if values is not None:
                    return route, values
            for route, pattern in self._spanning.get(asked, ()):
                last = len(pattern) - 1
                if len(parts) > last:
                    values = _values(pattern, [*parts[:last], "/".join(parts[last:])])
                    if values is not None:
                        return route, values
        return None


def key_of(values: Sequence[tuple[str, str]], query: str) -> str:
    """What tells requests of one route apart: path values, then the query's arguments in any order."""
    if not query:
        return "&".join(f"{name}={value}" for name, value in values)
    asked = [f"?{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True))]
    return "&".join([*(f"{name}={value}" for name, value in values), *asked])


def template(path: str) -> str:
    """A path with numbers, UUIDs, hashes and slugs replaced by what they are."""
    return "/" + "/".join(_kind(part) for part in _parts(path))


class Crowds:
    """Finds places where so many different names occur that they must be values: {slug}."""

    def __init__(self, templates: Iterable[tuple[str, str]]) -> None:
        children: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
        for method, path in templates:
            parts = _parts(path)
            for place, part in enumerate(parts):
                children[method, tuple(parts[:place])].add(part)
        self._crowded = {place for place, names in children.items() if len(names) > CHILDREN_AT_MOST}

    def reduce(self, method: str, path: str) -> str:
        """The template with {slug} at crowded places."""
        parts = _parts(path)
        reduced = []
        for place, part in enumerate(parts):
            crowded = (method, tuple(parts[:place])) in self._crowded
            reduced.append("{slug}" if crowded and not _name(part) else part)
        return "/" + "/".join(reduced)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _name(part: str) -> str:
    match = _PARAMETER.fullmatch(part)
    return match[1] if match else ""


def _values(pattern: Sequence[str], parts: Sequence[str]) -> list[tuple[str, str]] | None:
    values = []
    for expected, part in zip(pattern, parts, strict=True):
        name = _name(expected)
        if name:
            values.append((name, unquote(part)))
        elif expected != unquote(part):
            return None
    return values


def _kind(part: str) -> str:
    if _NUMBER.fullmatch(part):
        return "{number}"
    if _UUID.fullmatch(part):
        return "{uuid}"
    if _HASH.fullmatch(part):
        return "{hash}"
    return "{slug}" if _SLUG.fullmatch(part) else part
