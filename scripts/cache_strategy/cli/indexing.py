"""The wiring of `index`: a project's index made or refreshed, and what its comments allow."""

import os
from pathlib import Path
from typing import Any

from cache_strategy.model.errors import CacheStrategyError, Refusal


def make_index(project: Path, data: Path | None) -> dict[str, Any]:
    """What was read and found; `data` is the folder in which the hook looks for it."""
    from cache_strategy.rules.index.build import refresh
    from cache_strategy.rules.index.store import load_index

    given = data or os.environ.get("CLAUDE_PLUGIN_DATA")
    if not given:
        raise CacheStrategyError("index: no folder to write to; add --data DIR, or set CLAUDE_PLUGIN_DATA.")
    # As the hook names the project: made absolute, links left as they are.
    folder, root = (str(Path.cwd() / each) for each in (given, project))
    folder, root = os.path.normpath(folder), os.path.normpath(root)
    try:
        told = refresh(root, folder)
    except OSError as error:
        raise CacheStrategyError(
            f"{given}: cannot be written ({error.strerror}); give another --data DIR."
        ) from None
    if told is None:
        raise Refusal(f"{project}: another process is making its index; it will be there in a moment.")
    known = load_index(root, folder)
    allows = known.every("allow") if known else []
    rows = sorted((f"{fact.path}:{fact.line}", fact.name, fact.detail) for fact in allows)
    return {**told, "whole": bool(told["whole"]), "allowed": len(rows), "allows": rows}
