"""Candidate functions of the user's repository: a hash of the arguments, one of the result, and the time of each call."""

from __future__ import annotations

import functools
import inspect
import os
import time
from types import FunctionType, ModuleType
from typing import Any

from ..frames import UserCode
from ..journal import Journal, current_request
from ..plain_data import told

MODULE = ""
FUNCTIONS = "CACHE_STRATEGY_FUNCTIONS"
SHARE_AT_MOST = 0.005
"""Of the processor time that may go into looking at calls; beyond it they pass unseen."""
UNSEEN = 50
"""Calls that pass before it is asked again whether there is time (assumed)."""
CALLS_AT_MOST = 50
"""Of one request that are written down (assumed)."""


def watch(module: ModuleType, journal: Journal, code: UserCode) -> None:
    """Wraps the candidates that a module of the repository defines."""
    path = code.relative(getattr(module, "__file__", None) or "")
    names = [
        line.rpartition(":")[2]
        for line in os.environ.get(FUNCTIONS, "").splitlines()
        if line.startswith(f"{path}:")
    ]
    for name in names if path else ():
        owner: Any = module
        *above, last = name.split(".")
        for part in above:
            owner = vars(owner).get(part) if isinstance(owner, (type, ModuleType)) else None
        found = vars(owner).get(last) if isinstance(owner, (type, ModuleType)) else None
        inner = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
        if (
            type(inner) is not FunctionType
            or inspect.isgeneratorfunction(inner)
            or inspect.isasyncgenfunction(inner)
        ):
            continue
        is_bound = isinstance(owner, type) and not isinstance(found, staticmethod)
        wrapper = _wrapped(inner, f"{path}:{name}", journal, _budget, is_bound)
        kept: Any = type(found) if found is not inner else (lambda wrapper: wrapper)
        setattr(owner, last, kept(wrapper))


class _Budget:
    """Of all modules of a process: time that was spent looking, against its processor time. While it is used up, calls cost next to nothing."""

    def __init__(self) -> None:
        os.register_at_fork(after_in_child=self._begin)
        self._begin()

    def _begin(self) -> None:
        self.spent, self._unseen = 0.0, 0

    def is_used_up(self) -> bool:
        if self._unseen:
            self._unseen -= 1
            return True
        if self.spent <= 0.02 + SHARE_AT_MOST * time.process_time():
            return False
        self._unseen = UNSEEN
        return True


_budget = _Budget()


def _wrapped(function: Any, name: str, journal: Journal, budget: _Budget, is_bound: bool) -> Any:
    """`is_bound`: of a method what it is bound to is an argument, too; one without state is known by its class."""

    def note(began: float, clock: float, args: Any, kwargs: Any, result: Any) -> None:
        now = time.perf_counter()
        request = current_request()
        if request is not None and len(request.calls) >= CALLS_AT_MOST:
            return
        try:
            key = journal.hashed(
                _own(args[0]) + told((args[1:], kwargs), by_identity=True)
                if is_bound
                else told((args, kwargs), by_identity=True)
            )
        except Exception:  # NotPlain, or what a user's class raises: the application never sees it
            key = ""
        try:
            digest = journal.hashed(told(result))
        except Exception:
            digest = ""
        call = {
            "kind": "call",
            "t": began,
            "function": name,
            "key": key,
            "digest": digest,
            "duration_ms": round((now - clock) * 1000, 4),
        }
        if request is not None:
            request.calls.append(call)
        else:
            journal.add(call)
        budget.spent += time.perf_counter() - now

    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            if budget.is_used_up():
                return await function(*args, **kwargs)
            began, clock = time.monotonic(), time.perf_counter()
            result = await function(*args, **kwargs)
            note(began, clock, args, kwargs, result)
            return result

        wrapper: Any = call_async
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            if budget.is_used_up():
                return function(*args, **kwargs)
            began, clock = time.monotonic(), time.perf_counter()
            result = function(*args, **kwargs)
            note(began, clock, args, kwargs, result)
            return result

        wrapper = call
    return functools.wraps(function)(wrapper)


def _own(bound: Any) -> bytes:
    kind = bound if isinstance(bound, type) else type(bound)
    if bound is kind or not getattr(bound, "__dict__", None):
        return kind.__qualname__.encode()
    return told(bound, by_identity=True)
