"""What counts as an incident: one kind per file, each registers itself as `detector`."""

from functools import cache

from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.siblings import load_siblings

__all__ = ["Detector", "Sighting", "all_detectors"]


@cache
def all_detectors() -> tuple[Detector, ...]:
    """Every detector, in name order."""
    return tuple(module.detector for module in load_siblings(__name__))
