"""One file per web framework; each registers itself when this folder is loaded."""

from cache_strategy.profile.frameworks._base import FRAMEWORKS, Framework
from cache_strategy.siblings import load_siblings


def load_frameworks() -> list[Framework]:
    """Every framework of this folder, in name order."""
    load_siblings(__name__)
    return [FRAMEWORKS[name] for name in sorted(FRAMEWORKS)]
