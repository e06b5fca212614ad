"""Finds the members of a family: every module of a folder registers itself when it is imported."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def load_siblings(package: "str") -> "list[ModuleType]":
    """
    Every module and sub-package of `package`, imported, in name order.

    Names that begin with an underscore are the family's own machinery and are left out.
    `os.listdir` instead of `pkgutil`: the guard pays for every import, and pkgutil costs as much as json.
    """
    __import__(package)
    folder = os.path.dirname(sys.modules[package].__file__ or "")
    found = set()
    for name in os.listdir(folder):
        stem, dot, ending = name.partition(".")
        if stem.startswith("_") or not stem.isidentifier():
            continue
        if (dot and ending == "py") or os.path.exists(os.path.join(folder, name, "__init__.py")):
            found.add(stem)
    modules = []
    for stem in sorted(found):
        name = package + "." + stem
        __import__(name)
        modules.append(sys.modules[name])
    return modules
