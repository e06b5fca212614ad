"""What counts as an incident: one kind per file, each registers itself as `detector`."""

from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.siblings import load_siblings

__all__ = ["Detector", "Sighting", "all_detectors"]


def all_detectors() -> list[Detector]:
    """Every detector, in name order."""
    return [module.detector for module in load_siblings(__name__)]
