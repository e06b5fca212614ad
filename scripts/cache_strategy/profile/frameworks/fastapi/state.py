"""What middleware and start-up keep in `request.state` and `app.state`."""

import re
from typing import TYPE_CHECKING

from cache_strategy.profile.frameworks.fastapi.knowledge import APPLICATION, REQUEST
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import UNKNOWN, External, Value, Values

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_STATES = (f"{REQUEST}.state", f"{APPLICATION}.state")
_WORDS = (
    ("user", re.compile(r"user|account|identity|auth|member|principal|token", re.IGNORECASE)),
    ("tenant", re.compile(r"tenant|org|workspace|company|team|site", re.IGNORECASE)),
    ("locale", re.compile(r"locale|lang|timezone", re.IGNORECASE)),
)


def attribute(frame: "Frame", owner: Value, name: str, node: Node) -> Values | None:
    """`request.state.user`: what was stored there, and a context where its name says so."""
    if not isinstance(owner, External) or owner.path not in _STATES:
        return None
    kind = next((kind for kind, words in _WORDS if words.search(name)), "")
    if kind and owner.path == _STATES[0]:
        frame.note_context(kind, name, node)
    return frame.analysis.stored("fastapi state", name) or UNKNOWN


def store(frame: "Frame", path: str, values: Values, node: Node) -> bool:
    """`request.state.user = …`, `app.state.pool = …`."""
    owner, _, name = path.rpartition(".")
    if owner in _STATES:
        frame.analysis.store("fastapi state", name, values)
    elif path.startswith(f"{REQUEST}.session"):
        frame.facts.side_effects.add("session write")
    return path.startswith("fastapi.")
