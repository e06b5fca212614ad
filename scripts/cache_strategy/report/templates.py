"""Renders the report's templates, which lie beside this file."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from cache_strategy.report.content import Report


def render(name: str, report: "Report") -> str:
    """A template with the report in it. An undefined name is an error; HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(line=_line, cell=_cell, code=_code, fence=_fence)
    text = environment.get_template(name).render(report=report)
    # A name of a file that is not UTF-8 comes as surrogates, which no file can hold.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _line(value: object) -> str:
    """One line of Markdown text: what comes from a repository may hold anything, HTML too."""
    return " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")


def _cell(value: object) -> str:
    """The same within one cell of a table."""
    return _line(value).replace("|", "\\|")


def _code(value: object) -> str:
    """A code span, also within a cell of a table; nothing ends it early."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"


def _fence(code: str) -> str:
    """A block of code between fences that its own backticks do not end."""
    ticks = max([2, *(len(run) for run in re.findall("`+", code))]) + 1
    return f"{'`' * ticks}python\n{code}\n{'`' * ticks}"
