"""Adds a package to a pyproject.toml (of the standard's form or Poetry's) or a Pipfile."""

import re
import tomllib

from cache_strategy.emit.edits._base import CannotEdit, Edit, Example
from cache_strategy.emit.edits.add_requirement import is_too_old, normal

TABLES = ("tool.poetry.dependencies", "packages")
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*')


def apply(source: str, *, requirement: str) -> str:
    """
    `requirement` ("redis>=5.0") among `project.dependencies`, else in Poetry's or Pipenv's table, unless the package is there.

    Raises:
        CannotEdit: the file has none of them, or holds the package below the version that is needed.
    """
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise CannotEdit(f"it is no TOML ({error}).") from None
    name, _, version = requirement.partition(">=")
    listed = data.get("project", {}).get("dependencies")
    if isinstance(listed, list):
        lines = [str(item) for item in listed]
        known = next((item for item in lines if normal(re.split(r"[^\w.-]", item)[0]) == normal(name)), "")
        return _checked(source, known, requirement) if known else _in_list(source, requirement)
    for table in TABLES:
        found = data
        for part in table.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        if found:
            known = next((key for key in found if normal(key) == normal(name)), "")
            if known:
                bound = found[known].get("version", "") if isinstance(found[known], dict) else found[known]
                return _checked(source, f"{known}{bound}".replace("^", "~="), requirement)
            return _in_table(source, table, f'{name} = ">={version}"')
    raise CannotEdit(f"no list of dependencies is in it; add {requirement} by hand.")


def _checked(source: str, line: str, requirement: str) -> str:
    if is_too_old(line, requirement):
        raise CannotEdit(f"it says `{line}`; {requirement} is needed. Raise it by hand.")
    return source


def _in_list(source: str, requirement: str) -> str:
    header = re.search(r"^\[project\][^\n]*\n", source, re.M)
    start = re.compile(r"^dependencies\s*=\s*\[", re.M).search(source, header.end() if header else 0)
    if start is None:
        raise CannotEdit(f"its dependencies are written in an unusual way; add {requirement} by hand.")
    end = _end_of_list(source, start.end())
    inside = source[start.end() : end]
    items = [match for match in STRING.finditer(inside) if not match[0].startswith("#")]
    quote = items[-1][0][0] if items else '"'
    added = f"{quote}{requirement}{quote}"
    if not items:
        return f"{source[: start.end()]}{added}{source[end:]}"
    last, rest = items[-1].end(), inside[items[-1].end() :]
    has_comma = rest.lstrip().startswith(",")
    if "\n" not in rest:
        return source[: start.end()] + inside[:last] + f", {added}" + rest + source[end:]
    indent = re.search(r"[^\S\n]*$", inside[: items[-1].start()])
    place = inside.index("\n", last) + 1
    body = inside[:last] + ("" if has_comma else ",") + inside[last:place]
    return (
        source[: start.end()]
        + body
        + f"{indent[0] if indent else ''}{added},\n"
        + inside[place:]
        + source[end:]
    )


def _end_of_list(source: str, at: int) -> int:
    depth = 1
    while depth:
        text = STRING.match(source, at)
        if text:
            at = text.end()
            continue
        depth += {"[": 1, "]": -1}.get(source[at], 0)
        at += 1
    return at - 1


def _in_table(source: str, table: str, line: str) -> str:
    header = re.search(rf"^\[{re.escape(table)}\][^\n]*\n", source, re.M)
    if header is None:
        raise CannotEdit(f"its table {table} is written in an unusual way; add {line} by hand.")
    following = re.compile(r"^\[", re.M).search(source, header.end())
    body = source[header.end() : following.start() if following else len(source)]
    kept = body.rstrip("\n")
    rest = source[header.end() + len(kept) :].removeprefix("\n")
    return f"{source[: header.end()]}{kept}\n{line}\n{rest}"


edit = Edit(
    __name__,
    apply,
    Example(
        before='[project]\nname = "shop"\ndependencies = [\n    "flask>=3",  # the web\n    "sqlalchemy"\n]\n',
        after='[project]\nname = "shop"\ndependencies = [\n    "flask>=3",  # the web\n    "sqlalchemy",\n    "redis>=5.0",\n]\n',
        arguments={"requirement": "redis>=5.0"},
    ),
)
