"""Branches on the method of the request: a GET does not run what a handler does for a POST."""

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import Constant, Values

_SUBMITTED = frozenset({"validate_on_submit", "is_submitted"})
_SUBMITTING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def holds(test: Node, method: Values) -> bool | None:
    """Whether a condition holds in a request of this method; None where the method does not decide it."""
    name = next((v.value for v in method if isinstance(v, Constant)), None)
    return _holds(test, name) if isinstance(name, str) else None


def _holds(test: Node, method: str) -> bool | None:
    if test[0] == "call" and test[2][0] == "attr" and test[2][3] in _SUBMITTED:
        return None if method in _SUBMITTING else False
    if test[0] != "op":
        return None
    sign, items = test[2], test[3]
    if sign in ("and", "or"):
        found = [_holds(item, method) for item in items]
        if sign == "and":
            return False if False in found else True if all(found) else None
        return True if True in found else False if all(f is False for f in found) else None
    if sign == "not":
        inner = _holds(items[0], method)
        return None if inner is None else not inner
    if sign in ("==", "!=", "in") and len(items) == 2:
        return _compared(sign, items[0], items[1], method)
    return None


def _compared(sign: str, left: Node, right: Node, method: str) -> bool | None:
    if right[0] == "attr" and left[0] == "const":
        left, right = right, left
    if left[0] != "attr" or not source_of(left).endswith("request.method"):
        return None
    if sign == "in" and right[0] == "seq":
        names = [item[1] for item in right[2] if item[0] == "const"]
        return method in names
    if right[0] != "const" or sign == "in":
        return None
    return bool(right[1] == method) == (sign == "==")
