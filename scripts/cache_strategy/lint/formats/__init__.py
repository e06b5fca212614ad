"""How a result is written down: one file per format, found by its name."""

from cache_strategy.lint.formats._base import FORMATS, Format
from cache_strategy.siblings import load_siblings


def load_formats() -> dict[str, Format]:
    """Name to format."""
    load_siblings(__name__)
    return FORMATS
