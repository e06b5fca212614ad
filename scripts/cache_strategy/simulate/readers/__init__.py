"""Formats of access logs, one file each."""

from cache_strategy.siblings import load_siblings
from cache_strategy.simulate.readers._base import Layout, Reader, layout_of


def load_readers() -> dict[str, Reader]:
    """Every format of this folder by its name."""
    return {module.reader.name: module.reader for module in load_siblings(__name__)}


__all__ = ["Layout", "Reader", "layout_of", "load_readers"]
