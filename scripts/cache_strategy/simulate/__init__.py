"""The `simulate` stage: a trace to a forecast."""

from cache_strategy.simulate.access_log import read_access_log
from cache_strategy.simulate.choice import choose_memory, choose_ttl, ttls_for
from cache_strategy.simulate.entries import foretell, loads_of, together
from cache_strategy.simulate.forecast import simulate
from cache_strategy.simulate.storage import Storage

__all__ = [
    "Storage",
    "choose_memory",
    "choose_ttl",
    "foretell",
    "loads_of",
    "read_access_log",
    "simulate",
    "together",
    "ttls_for",
]
