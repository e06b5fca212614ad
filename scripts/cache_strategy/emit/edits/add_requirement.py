"""Adds a package to a requirements file."""

import re

from cache_strategy.emit.edits._base import Edit, Example


def apply(source: str, *, requirement: str) -> str:
    """`requirement` ("redis>=5.0") as the last line, unless the package is there in any spelling or version."""
    name = re.split(r"[<>=!~\[; ]", requirement)[0]
    wanted = _normal(name)
    for line in source.splitlines():
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
        if match and _normal(match[1]) == wanted:
            return source
    newline = "\r\n" if "\r\n" in source else "\n"
    gap = "" if not source or source.endswith("\n") else newline
    return f"{source}{gap}{requirement}{newline}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


edit = Edit(
    __name__,
    apply,
    Example(
        before="flask>=3\nSQLAlchemy",
        after="flask>=3\nSQLAlchemy\nredis>=5.0\n",
        arguments={"requirement": "redis>=5.0"},
    ),
)
