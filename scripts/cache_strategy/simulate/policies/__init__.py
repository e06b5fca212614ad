"""Eviction policies: which value leaves a full cache, one file each."""

from cache_strategy.siblings import load_siblings
from cache_strategy.simulate.policies._base import Policy


def load_policies() -> dict[str, Policy]:
    """Every policy of this folder by its name."""
    return {module.policy.name: module.policy for module in load_siblings(__name__)}


__all__ = ["Policy", "load_policies"]
