"""Lets the watchers see the modules they wait for, right after these were imported."""

# ruff: noqa: PTH109, PTH118

from __future__ import annotations

import os
import sys
import threading
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any

from .frames import UserCode
from .journal import Journal

_ONE_PER_MODULE = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


def watch_imports(watchers: list[Any], journal: Journal, code: UserCode) -> None:
    """Calls `watcher.watch(module, journal, code)` once for each module that a watcher names or recognises."""
    sys.meta_path.insert(0, _Finder(watchers, journal, code))


class _Finder:
    """
    Asks the finders behind it, and adds a step after the module has run: of modules that a watcher names, and of the
    user's repository (one of them may be an emitted runtime, whatever its name).
    """

    def __init__(self, watchers: list[Any], journal: Journal, code: UserCode) -> None:
        self._named: dict[str, list[Any]] = {}
        for watcher in watchers:
            for name in watcher.MODULE.split():
                self._named.setdefault(name, []).append(watcher)
        self._recognising = [watcher for watcher in watchers if not watcher.MODULE]
        self._journal = journal
        self._code = code
        self._inside: dict[str, bool] = {}
        self._asking = threading.local()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self._named and not self._may_be_the_users(path):
            return None
        asking = self._asking.__dict__.setdefault("names", set())
        if fullname in asking:
            return None
        asking.add(fullname)
        try:
            spec = self._ask_the_others(fullname, path, target)
        finally:
            asking.discard(fullname)
        if spec is None or not isinstance(spec.loader, _ONE_PER_MODULE):
            return spec
        if fullname in self._named or (spec.origin and self._code.relative(spec.origin)):
            self._add_step(spec.loader, fullname)
        return spec

    def _may_be_the_users(self, path: Any) -> bool:
        try:
            return any(self._is_inside(place) for place in (sys.path if path is None else path))
        except TypeError:
            return False

    def _is_inside(self, place: str) -> bool:
        place = place or os.getcwd()
        found = self._inside.get(place)
        if found is None:
            found = self._inside[place] = bool(self._code.relative(os.path.join(place, "module.py")))
        return found

    def _ask_the_others(self, fullname: str, path: Any, target: Any) -> ModuleSpec | None:
        finders = list(sys.meta_path)
        for finder in finders[finders.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                return spec
        return None

    def _add_step(self, loader: Any, fullname: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            self._show(module, fullname)

        # On the instance: the loader keeps its type, which others look at.
        loader.exec_module = exec_module

    def _show(self, module: ModuleType, fullname: str) -> None:
        watchers = self._named.get(fullname, self._recognising)
        for watcher in watchers:
            try:
                watcher.watch(module, self._journal, self._code)
            except Exception as problem:
                sys.stderr.write(f"cache-strategy record: {fullname} is not recorded ({problem!r}).\n")
