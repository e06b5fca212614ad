"""What every target has in common."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2

from cache_strategy.emit.draft import Draft
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

TARGETS: dict[str, "Target"] = {}


class Target:
    """
    One thing that emit can write: registered under its folder's name.

    `emit(contract, evidence, draft)` adds to the draft what this target contributes to the contract, or nothing.
    Targets run in `order`, then by name: code before what stands around it.
    """

    def __init__(self, name: str, emit: Callable[[Contract, Evidence, Draft], None], order: int = 50) -> None:
        self.name = name.rpartition(".")[2]
        self.emit = emit
        self.order = order
        TARGETS[self.name] = self


def python(value: Any) -> str:
    """A literal as formatters of Python write it: double quotes, and a comma only where a tuple needs it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(python, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def render(folder: str, template: str, **values: Any) -> str:
    """
    A template that lies beside a target's code. An undefined name is an error.

    Autoescape is off: what is rendered is Python, YAML and shell, and every value goes through `python` or a filter
    of its language.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(folder).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # code, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["python"] = python
    return environment.get_template(template).render(**values)
