"""What middleware and start-up keep in `request.state` and `app.state`."""

import re

from cache_strategy.profile.frameworks.fastapi.knowledge import APPLICATION, REQUEST
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import UNKNOWN, External, Value, Values

_STATES = (f"{REQUEST}.state", f"{APPLICATION}.state")
_KINDS = re.compile(
    r"(?P<user>user|account|identity|auth|member|principal|token)|(?P<tenant>tenant|org|workspace|company|team|site)|"
    r"(?P<locale>locale|lang|timezone)",
    re.IGNORECASE,
)


def attribute(frame: Frame, owner: Value, name: str, node: Node) -> Values | None:
    """`request.state.user`: what was stored there, and a context where its name says so."""
    if not isinstance(owner, External) or owner.path not in _STATES:
        return None
    kind = _KINDS.search(name)
    if kind and owner.path == _STATES[0]:
        frame.note_context(kind.lastgroup or "", name, node)
    return frame.analysis.stored("fastapi state", name) or UNKNOWN


def store(frame: Frame, path: str, values: Values, node: Node) -> bool:
    """`request.state.user = …`, `app.state.pool = …`."""
    owner, _, name = path.rpartition(".")
    if owner in _STATES:
        frame.analysis.store("fastapi state", name, values)
    elif path.startswith(f"{REQUEST}.session"):
        frame.facts.side_effects.add("session write")
    return path.startswith("fastapi.")
