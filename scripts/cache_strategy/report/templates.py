"""Renders the report's templates, which lie beside this file."""

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
    environment.filters["cell"] = _cell
    environment.filters["line"] = _line
    return environment.get_template(name).render(report=report)


def _cell(value: object) -> str:
    """A text that stays within one cell of a Markdown table."""
    return _line(value).replace("|", "\\|")


def _line(value: object) -> str:
    """One line: what comes from a repository may hold anything."""
    return " ".join(str(value).split())
