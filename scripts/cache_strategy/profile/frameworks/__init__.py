"""One file per web framework; each registers itself when this folder is loaded."""

from cache_strategy.profile.frameworks._base import Framework


def load_frameworks() -> list[Framework]:
    return Framework.load(__name__)
