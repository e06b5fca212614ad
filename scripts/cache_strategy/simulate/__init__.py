"""The `simulate` stage: a trace to a forecast."""

from cache_strategy.simulate.access_log import read_access_log
from cache_strategy.simulate.forecast import simulate

__all__ = ["read_access_log", "simulate"]
