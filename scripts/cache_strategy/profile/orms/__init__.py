"""One file or folder per ORM; each registers itself when this folder is loaded."""

from cache_strategy.profile.orms._base import Orm


def load_orms() -> list[Orm]:
    """Every ORM of this folder, in name order."""
    return Orm.load(__name__)
