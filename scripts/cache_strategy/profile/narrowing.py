"""What `if isinstance(name, kind)` leaves of a name in its branch: a row is no response and no text."""

from cache_strategy.profile.kinds import Analysis, Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import UNKNOWN, ClassRef, External, Instance, Parts, Value, Values, join

_NO_ROWS = frozenset(
    f"builtins.{name}" for name in "str int float bool bytes dict list tuple set frozenset".split()
)


def narrowed(frame: "Frame", test: Node) -> dict[str, Values]:
    """The names that a condition says more of, with what they may be where it holds."""
    if test[0] != "call" or test[2][:1] != ("name",) or test[2][2] != "isinstance" or len(test[3]) != 2:
        return {}
    subject = test[3][0]
    if subject[0] != "name" or subject[2] not in frame.env:
        return {}
    values = frame.env[subject[2]]
    rows = {v for v in values if isinstance(v, Instance) and frame.analysis.row(v) is not None}
    if not rows:
        return {}
    kinds = frame.expression(test[3][1])
    flat = join(*(join(*k.parts) if isinstance(k, Parts) else frozenset([k]) for k in kinds))
    out = {row for row in rows if flat and all(_excludes(frame.analysis, kind, row) for kind in flat)}
    return {subject[2]: (values - out) or UNKNOWN} if out else {}


def _excludes(analysis: "Analysis", kind: Value, row: Instance) -> bool:
    if isinstance(kind, External):
        return kind.path in _NO_ROWS or kind.path.endswith("Response")
    if not isinstance(kind, ClassRef):
        return False
    both = {kind.index, row.index}
    return not any(both <= set(analysis.mro(index)[0]) for index in (*both, *analysis.mapped))
