"""What every target has in common."""

import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import add_requirement, add_toml_requirement
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

LINE = 110
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


def require(
    requirement: str, why: str, ids: tuple[str, ...], contract: Contract, draft: Draft, beside: str = "flask"
) -> None:
    """The requirement in the file that declares the framework, else in the first; what cannot be added there is said."""
    above = [posixpath.join(folder, name) for folder in folders_above(contract) for name in DECLARING]
    known = dict.fromkeys((*contract.application.requirements, *above))
    files = [r for r in known if r.endswith((".txt", *DECLARING)) and draft.text(r) is not None]
    named = re.compile(rf"(?:^|[\[,])[\s\"']*{beside}\b(?![-_])", re.I | re.M)
    declaring = [r for r in files if named.search(draft.text(r) or "")]
    file = next(iter(declaring or [r for r in files if r.endswith(".txt")] or files), None)
    if file is None:
        reason = f"no requirements file was found; add {requirement} to what the application installs."
        draft.withhold("dependency", reason)
        return
    edit = add_requirement if file.endswith(".txt") else add_toml_requirement
    before = draft.text(file)
    try:
        draft.edit(file, lambda text: edit.apply(text, requirement=requirement), why, ids)
    except CannotEdit as error:
        draft.withhold("dependency", f"{file}: {error}")
        return
    if edit is add_toml_requirement and draft.text(file) != before:
        for name, command in LOCKS.items():
            # that of a workspace lies above
            places = (posixpath.join(folder, name) for folder in _above(file))
            lock = next((place for place in places if draft.text(place) is not None), None)
            if lock is not None:
                draft.withhold("lock", f"{lock}: another tool writes it; make it anew: {command}")


def folders_above(contract: Contract) -> list[str]:
    """Where an application that is not the whole repository keeps its files: the folders above its package, nearest first."""
    inner = posixpath.dirname(contract.application.package_path)
    return [inner, *_above(inner)] if inner else [inner]


def _above(path: str) -> list[str]:
    folders = [posixpath.dirname(path)]
    while folders[-1]:
        folders.append(posixpath.dirname(folders[-1]))
    return folders


DECLARING = ("requirements.txt", "pyproject.toml", "Pipfile")
LOCKS = {
    "poetry.lock": "poetry lock",
    "uv.lock": "uv lock",
    "pdm.lock": "pdm lock",
    "Pipfile.lock": "pipenv lock",
}


def python(value: Any) -> str:
    """A literal as formatters of Python write it: double quotes where it holds none, and a comma only where a tuple needs it."""
    if isinstance(value, str):
        return repr(value) if '"' in value and "'" not in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(python, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def laid_out(value: Any, before: str) -> str:
    """As `python`, after `before` on its line; a tuple that does not fit there has each item on a line of its own."""
    text = python(value)
    if not isinstance(value, tuple | list) or len(before) + len(text) < LINE:
        return text
    indent = " " * (len(before) - len(before.lstrip()))
    return "(\n" + "".join(f"{indent}    {python(item)},\n" for item in value) + f"{indent})"


def call(function: tuple[str, tuple[str, ...]], before: str) -> str:
    """A call after `before` on its line, with its arguments below where they do not fit there."""
    name, arguments = function
    text = f"{name}({', '.join(arguments)})"
    if len(before) + len(text) <= LINE:
        return text
    return f"{name}(\n    {', '.join(arguments)}\n)"


def render(folder: str, template: str, **values: Any) -> str:
    """A template that lies beside a target's code. An undefined name is an error; values go through `python`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(folder).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # code, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["python"] = python
    environment.filters["laid_out"] = laid_out
    environment.filters["call"] = call
    return environment.get_template(template).render(**values)
