"""Formats of access logs, one file each."""

from cache_strategy.siblings import load_siblings
from cache_strategy.simulate.readers._base import Layout, Reader, layout_of

WHAT = "a log of nginx, Apache, gunicorn, AWS or JSON lines, plain, gzip or zstd"


def load_readers() -> dict[str, Reader]:
    """Every format of this folder by its name."""
    return {module.reader.name: module.reader for module in load_siblings(__name__)}


__all__ = ["WHAT", "Layout", "Reader", "layout_of", "load_readers"]
