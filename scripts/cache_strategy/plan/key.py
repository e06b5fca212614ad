"""What tells the values of an entry apart."""

import re

from cache_strategy.model.evidence import Candidate


def missing_key_part(candidate: Candidate) -> str | None:
    """Why the key of a candidate cannot be built, None when it can."""
    for part in candidate.key:
        if part.source in ("user", "session", "tenant", "locale") and not part.expression:
            return f"depends on the {part.source}, and no expression for it was found in the code"
    if candidate.per_user and not any(p.source in ("user", "session") for p in candidate.key):
        return "depends on the user, and the key has no part that identifies one"
    return None


def entry_id_of(candidate: Candidate, taken: set[str]) -> str:
    """A name for the entry: the function's words joined by hyphens, made unique with its file's name."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", candidate.qualname).lower()
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    name = re.sub(r"^(get|fetch|load|find|list|read|compute|calculate)-(?=[a-z])", "", name) or "entry"
    if candidate.kind == "endpoint" and name in taken:
        name += "-response"
    if name in taken:
        stem = re.sub(r"[^a-z0-9]+", "-", candidate.path.removesuffix(".py").lower()).strip("-")
        name = f"{stem}-{name}"
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
