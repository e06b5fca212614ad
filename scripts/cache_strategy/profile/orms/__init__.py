"""One file or folder per ORM; each registers itself when this folder is loaded."""

from cache_strategy.profile.orms._base import ORMS, Orm
from cache_strategy.siblings import load_siblings


def load_orms() -> list[Orm]:
    """Every ORM of this folder, in name order."""
    load_siblings(__name__)
    return [ORMS[name] for name in sorted(ORMS)]
