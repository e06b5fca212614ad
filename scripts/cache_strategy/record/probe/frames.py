"""Which line of the user's own code is running."""

# ruff: noqa: PTH118, PTH206

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

_FOREIGN = ("site-packages", "dist-packages", "node_modules")


class UserCode:
    """Finds the innermost frame of the user's repository; packages inside it and emitted caches do not count."""

    def __init__(self, repository: str) -> None:
        self._root = os.path.join(os.path.realpath(repository), "") if repository else ""
        self._paths: dict[str, str] = {}
        self._left_out: set[str] = set()

    def leave_out(self, paths: list[str]) -> None:
        """These files do not count as the user's code."""
        self._left_out.update(os.path.realpath(path) for path in paths)
        self._paths.clear()

    def relative(self, filename: str) -> str:
        """The path within the repository, with forward slashes; "" where it is not the user's code."""
        found = self._paths.get(filename)
        if found is None:
            real = os.path.realpath(filename)
            parts = real[len(self._root) :].split(os.sep)
            is_own = self._root and real.startswith(self._root) and real not in self._left_out
            is_own = is_own and not filename.startswith("<") and not any(part in _FOREIGN for part in parts)
            found = self._paths[filename] = "/".join(parts) if is_own else ""
        return found

    def innermost(self, through: str = "") -> tuple[dict[str, Any], bool]:
        """Path ("" for none), line and qualified name; and whether a function named `through` lies between it and here."""
        frame: FrameType | None = sys._getframe(1)
        is_through, greenlet = False, None
        while frame is not None:
            path = self.relative(frame.f_code.co_filename)
            if path:
                return {"path": path, "line": frame.f_lineno, "qualname": _qualname(frame)}, is_through
            is_through = is_through or frame.f_code.co_name == through
            frame = frame.f_back
            if frame is None and "greenlet" in sys.modules:
                frame, greenlet = _waiting(greenlet)
        return {"path": "", "line": 0, "qualname": ""}, is_through


def _waiting(greenlet: Any) -> tuple[FrameType | None, Any]:
    """Who waits for a greenlet (the one that runs, at first), and its frame: an async engine's statements run in one of their own."""
    parent = (greenlet or sys.modules["greenlet"].getcurrent()).parent
    return (None, None) if parent is None else (parent.gr_frame, parent)


def _qualname(frame: FrameType) -> str:
    """As Python names it, with `<locals>` left out; before 3.11 the class is taken from `self` or `cls`."""
    code = frame.f_code
    name = getattr(code, "co_qualname", "")
    if name:
        return str(name).replace(".<locals>", "")
    owner = None
    if code.co_argcount and code.co_varnames[0] in ("self", "cls"):
        owner = frame.f_locals.get(code.co_varnames[0])
    if owner is None:
        return code.co_name
    kind = owner if isinstance(owner, type) else type(owner)
    return kind.__qualname__.replace(".<locals>", "") + "." + code.co_name
