"""Which candidates become entries, and why the others do not."""

from collections.abc import Mapping

from cache_strategy.model.evidence import UNKNOWN_TABLE, Candidate, Evidence
from cache_strategy.plan.benefit import Saving
from cache_strategy.plan.key import missing_key_part

MOST_ENTRIES = 25
"""A reviewer reads about this many; more proposals wait for the next run. Assumed."""


def reason_against(candidate: Candidate) -> str | None:
    """Why a candidate does not become an entry, None when it may."""
    if candidate.against:
        return candidate.against
    if candidate.path.startswith("<"):
        return "is code of the framework, which several routes share; a view of the application's own can be kept"
    if UNKNOWN_TABLE in candidate.reads:
        return "reads a table that could not be known, so no write could be told to invalidate it"
    if not candidate.reads and candidate.kind in ("function", "endpoint"):
        return "reads no table: what would make it stale is not known"
    if candidate.kind == "function" and candidate.returns != "plain":
        return f"returns {_RETURNED.get(candidate.returns, candidate.returns)}; only plain data can be kept"
    if (
        candidate.kind == "endpoint"
        and candidate.per_user
        and any(p.source == "header" for p in candidate.key)
    ):
        return "answers with what a request header holds, such as a token"
    if candidate.kind == "template":
        return "template parts are not wired yet; its data may be cached where it is read"
    above = next((reason for reason in candidate.because if reason.startswith("is answered by ")), None)
    return above or missing_key_part(candidate)


_RETURNED = {
    "orm": "rows bound to a database session",
    "response": "a response object",
    "template": "a rendered page",
    "lazy": "a query that runs later",
    "unknown": "something that could not be known",
    "none": "nothing",
}


def in_order(evidence: Evidence, savings: Mapping[int, Saving | None]) -> list[Candidate]:
    """
    Functions before the endpoints that call them: an endpoint may then need no entry of its own. Within each what saves most,
    then by rank what was not measured.
    """
    order = {"query": 0, "function": 1, "endpoint": 2}

    def place(candidate: Candidate) -> tuple[int, float, int]:
        saving = savings.get(candidate.rank)
        return order[candidate.kind], -saving.ms_per_hour if saving else 0.0, candidate.rank

    return sorted((c for c in evidence.candidates if c.kind in order), key=place)
