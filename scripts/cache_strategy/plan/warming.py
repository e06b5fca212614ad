"""Which entries are filled before the first reader comes."""

from cache_strategy.model.contract import Warming
from cache_strategy.model.evidence import Candidate, Layer


def choose_warming(candidate: Candidate, layers: tuple[Layer, ...]) -> tuple[Warming, ...]:
    """
    Entries with one value are filled at deployment. Keyed entries are not: which keys are read most is not known
    from the code, and filling others costs more than it saves; a trace or a person says which.
    """
    if layers == ("matview",) or (candidate.kind == "function" and not candidate.key and "redis" in layers):
        return (Warming(when="deploy"),)
    return ()
