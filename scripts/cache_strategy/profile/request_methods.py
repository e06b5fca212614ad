"""Branches on the method of the request: a GET does not run what a handler does for a POST."""

import re
from collections.abc import Mapping

from cache_strategy.profile.lowering import Node
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import NOTHING, External, Made, Value, Values, text_in

Asked = tuple[str, str]
"""(method of the request, action of the view that answers it), "" for what is not known."""

_SUBMITTED = frozenset({"validate_on_submit", "is_submitted"})
_SUBMITTING = frozenset("POST PUT PATCH DELETE".split())
_SAFE = ("GET", "HEAD", "OPTIONS")
_OF_METHOD = re.compile(r"Request\((\w+)\)$")


def asked_of(receiver: Value | None, bound: Mapping[str, Values]) -> Asked:
    """What the request is that a function is evaluated for, by its arguments or by the view whose method it is."""
    made = receiver if isinstance(receiver, Made) else None
    action = (text_in(made.keyword("action")) or "") if made is not None else ""
    method = text_in(bound.get("request.method", NOTHING)) or ""
    for values in (*bound.values(), made.keyword("request") if made is not None else NOTHING):
        for value in values:
            found = _OF_METHOD.search(value.path) if isinstance(value, External) else None
            method = method or (found[1] if found else "")
    return method, action


def holds(test: Node, asked: Asked) -> bool | None:
    """Whether a condition holds in this request; None where the request does not decide it."""
    if test[0] == "call" and test[2][0] == "attr" and test[2][3] in _SUBMITTED and asked[0]:
        return None if asked[0] in _SUBMITTING else False
    if test[0] != "op":
        return None
    sign, items = test[2], test[3]
    if sign in ("and", "or"):
        found = [holds(item, asked) for item in items]
        if sign == "and":
            return False if False in found else True if all(found) else None
        return True if True in found else False if all(f is False for f in found) else None
    if sign == "not":
        inner = holds(items[0], asked)
        return None if inner is None else not inner
    if sign in ("==", "!=", "in") and len(items) == 2:
        return _compared(sign, items[0], items[1], asked)
    return None


def _compared(sign: str, left: Node, right: Node, asked: Asked) -> bool | None:
    if right[0] == "attr" and left[0] == "const":
        left, right = right, left
    if left[0] != "attr":
        return None
    text = source_of(left)
    value = asked[0] if text.endswith("request.method") else asked[1] if text == "self.action" else ""
    if not value:
        return None
    if sign == "in":
        if source_of(right).endswith("SAFE_METHODS"):
            return value in _SAFE
        return value in [item[1] for item in right[2]] if right[0] == "seq" else None
    return bool(right[1] == value) == (sign == "==") if right[0] == "const" else None
