"""Sources of measurements: what a running system says, one file each."""

from cache_strategy.profile.measurements._base import Found, Source, load_sources

__all__ = ["Found", "Source", "load_sources"]
