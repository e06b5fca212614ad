"""One file or folder per ORM; each registers itself when this folder is loaded."""

from cache_strategy.profile.orms._base import Orm


def load_orms() -> list[Orm]:
    return Orm.load(__name__)
