"""Signals of blinker: what is connected runs where the signal is sent."""

from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import PLAIN, FunctionRef, Made, Value, Values, one

SIGNALS = ("blinker.Namespace().signal()", "blinker.signal()", "blinker.Signal()", "blinker.NamedSignal()")
_PREFIXES = tuple(f"{path}." for path in SIGNALS)


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    last = path.rpartition(".")[2]
    if not isinstance(receiver, Made) or not path.startswith(_PREFIXES):
        return None
    if last in ("connect", "connect_via"):
        for value in arguments.get(0):
            if isinstance(value, FunctionRef):
                frame.analysis.store(receiver, "receivers", one(value))
        return arguments.get(0)
    if last in ("send", "send_async"):
        for value in frame.analysis.stored(receiver, "receivers"):
            if isinstance(value, FunctionRef):
                frame.invoke(value.index, value.receiver, arguments)
        return PLAIN
    return None


def decorated(frame: Frame, function: int, path: str, receiver: Value | None) -> bool:
    if not path.startswith(_PREFIXES) or not isinstance(receiver, Made):
        return False
    frame.analysis.store(receiver, "receivers", one(FunctionRef(function)))
    return True
