"""Confronts what the code says with what was measured."""

from cache_strategy.model.evidence import Evidence


def confronted(evidence: Evidence) -> Evidence:
    return evidence
