"""What differs between the frameworks whose applications are wired: files, decorators, keys, and where the application is told."""

import posixpath
import re
from abc import abstractmethod
from functools import partial
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import add_import
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets.runtime.code import ALIAS, EntryCode, finders_of
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Endpoint, Evidence, Function

ENTRIES = "The entries of the contract."
RELATIVE = re.compile(r"^from \.", re.M)
WIRINGS: dict[str, "Wiring"] = {}


class Wiring:
    """
    How applications of one framework are wired; registered under its name.

    Attributes:
        files: of `files/`, beside those of the runtime.
        keeps: the module of `files/` that gives statements their rows; "" where none does.
        declared: what a requirements file names for the framework.
    """

    files: tuple[str, ...] = ()
    keeps = ""
    declared = ""

    def __init__(self, framework: str) -> None:
        WIRINGS[framework] = self

    def placed(self, contract: Contract, draft: Draft) -> Contract:
        """The contract with a package for the caches, where it names none and one can be found."""
        return contract

    def refusal(self, entry: Entry, contract: Contract, evidence: Evidence) -> str:
        """Why an entry cannot be wired, "" when it can."""
        return self.needs_columns(entry)

    def decorators(self, entry: Entry, name: str, evidence: Evidence) -> list[tuple[str, tuple[str, ...]]]:
        """
        Each decorator of an endpoint with the ones it must stand under.

        They stand next to the function, below whatever decides who may ask; the headers see what the cache serves.
        """
        endpoint_of(entry, evidence)
        wanted: list[tuple[str, tuple[str, ...]]] = []
        if "http" in entry.layers:
            wanted.append((f"{ALIAS}.{name}_http", ()))
        if set(entry.layers) & {"memory", "redis"}:
            wanted.append((f"{ALIAS}.{name}_endpoint", (f"{ALIAS}.{name}_http",) if wanted else ()))
        return wanted

    def needs_columns(self, entry: Entry) -> str:
        """Why an entry that depends on rows by another column than their key cannot be wired; "" of another."""
        if finders_of(entry) or any(dependency.column for dependency in entry.depends_on):
            return "rows by another column than their key are told of in Django applications only; leave column out."
        return ""

    def values(self, codes: list[EntryCode], contract: Contract, evidence: Evidence) -> dict[str, Any]:
        """What the template of the entries needs besides."""
        return {}

    @abstractmethod
    def write_application(
        self, codes: list[EntryCode], contract: Contract, evidence: Evidence, draft: Draft
    ) -> None:
        """What the application as a whole is told. CacheStrategyError where without it nothing may be kept."""


def endpoint_of(entry: Entry, evidence: Evidence) -> tuple[list[Endpoint], Function | None]:
    """The endpoints that an entry's target answers, and its function. CannotEdit where there is none any more."""
    own = [e for e in evidence.endpoints if f"{e.path}:{e.qualname}" == entry.target]
    if not own:
        raise CannotEdit(
            f"{entry.target}: is not an endpoint of this application any more; make a new contract."
        )
    return own, next((f for f in evidence.functions if f"{f.path}:{f.qualname}" == entry.target), None)


def import_entries(path: str, contract: Contract, ids: tuple[str, ...], draft: Draft) -> None:
    """The import in the style of the file: relative where its imports of the package are."""
    package, root = contract.application.package, contract.application.package_path
    module, source, folder = f"{package}.caching", draft.text(path) or "", posixpath.dirname(path)
    taken = re.search(
        rf"^\s*(?:from (?!\S*\bcaching\b).*\bimport\b.*\b{ALIAS}\b|import {ALIAS}\b)", source, re.M
    )
    if taken:
        raise CannotEdit(
            f"{path}: has another {ALIAS} ({taken[0].strip()}); rename it, or wire this by hand."
        )
    is_inside = (folder + "/").startswith(root.rstrip("/") + "/")
    is_absolute = re.search(rf"^from {re.escape(package)}\b", source, re.M)
    if is_inside and RELATIVE.search(source) and not is_absolute:
        depth = 0 if folder == root else len(posixpath.relpath(folder, root).split("/"))
        module = "." * (depth + 1) + "caching"
    edit = partial(add_import.apply, module=module, name="entries", alias=ALIAS)
    draft.edit(path, edit, ENTRIES, ids)


def path_of(module: str, package: str, package_path: str, draft: Draft) -> str:
    """The file of a module, from where the main package lies."""
    root = package_path.removesuffix(package.replace(".", "/")).rstrip("/")
    stem = posixpath.join(root, module.replace(".", "/"))
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        if draft.text(path) is not None:
            return path
    raise CacheStrategyError(
        f"{module}: has no file at {stem}.py; correct application.factory in the contract."
    )
