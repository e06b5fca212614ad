"""A path to the route that answers it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote

_KINDS = [
    ("{number}", re.compile(r"-?\d+")),
    ("{uuid}", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("{hash}", re.compile(r"(?=.*\d)[0-9a-fA-F]{16,}")),
    ("{slug}", re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+){2,}")),
]
_PARAMETER = re.compile(r"\{([^{}]+)\}")
SPANNING = ("path", "filename", "subpath")
"""Names of parameters that may hold slashes: Flask's and Starlette's `path` converter, by usual names (assumed)."""
CHILDREN_AT_MOST = 30
"""More different names than this below one path are values, not routes (assumed)."""


class Routes:
    """The application's routes, method and path with parameters in braces, tried from the most to the least specific."""

    def __init__(self, routes: Sequence[tuple[str, str]]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[str, list[tuple[str, str]]]]] = defaultdict(list)
        for method, route in routes:
            pattern = [(part, _name(part)) for part in _parts(route)]
            self._by_shape[method, len(pattern)].append((route, pattern))
            if pattern and pattern[-1][1] in SPANNING:
                self._by_shape[method, -1].append((route, pattern))
        for family in self._by_shape.values():
            family.sort(key=lambda item: [name != "" for _, name in item[1]])

    def match(self, method: str, path: str) -> tuple[str, list[tuple[str, str]]] | None:
        """The route and its parameters' values; a HEAD is answered by the route of GET."""
        parts = _parts(path)
        for asked in (method, "GET") if method == "HEAD" else (method,):
            for shape in (len(parts), -1):
                for route, pattern in self._by_shape.get((asked, shape), ()):
                    last = len(pattern) - 1
                    own = parts if shape >= 0 else [*parts[:last], "/".join(parts[last:])]
                    values = _values(pattern, own) if len(own) == len(pattern) else None
                    if values is not None:
                        return route, values
        return None


def key_of(values: Sequence[tuple[str, str]], query: str) -> str:
    """What tells requests of one route apart: path values, then the query's arguments in any order."""
    asked = (
        [f"?{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True))]
        if query
        else ()
    )
    return "&".join([*(f"{name}={value}" for name, value in values), *asked])


def template(path: str) -> str:
    """A path with numbers, UUIDs, hashes and slugs replaced by what they are."""
    kinds = (next((kind for kind, known in _KINDS if known.fullmatch(part)), part) for part in _parts(path))
    return "/" + "/".join(kinds)


class Crowds:
    """Finds places where so many different names occur that they must be values: {slug}."""

    def __init__(self, templates: Iterable[tuple[str, str]]) -> None:
        self._children: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
        for method, path in templates:
            parts = _parts(path)
            for place, part in enumerate(parts):
                self._children[method, tuple(parts[:place])].add(part)

    def reduce(self, method: str, path: str) -> str:
        """The template with {slug} at crowded places."""
        parts = _parts(path)
        reduced = [
            "{slug}"
            if not _name(part) and len(self._children[method, tuple(parts[:place])]) > CHILDREN_AT_MOST
            else part
            for place, part in enumerate(parts)
        ]
        return "/" + "/".join(reduced)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _name(part: str) -> str:
    match = _PARAMETER.fullmatch(part)
    return match[1] if match else ""


def _values(pattern: Sequence[tuple[str, str]], parts: Sequence[str]) -> list[tuple[str, str]] | None:
    values = []
    for (expected, name), part in zip(pattern, parts, strict=True):
        part = unquote(part) if "%" in part else part
        if name:
            values.append((name, part))
        elif expected != part:
            return None
    return values
