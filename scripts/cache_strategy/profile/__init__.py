"""`cache-strategy profile`: a repository's static evidence. Nothing of the repository is imported or run."""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cache_strategy.model.evidence import Evidence


def profile(
    repo: Path, *, jobs: int = 2, progress: Callable[[str], None] | None = None, kept: Path | None = None
) -> Evidence:
    """
    What the code of a repository reads, writes and depends on, per endpoint and function.

    `jobs` processes parse where there are many files; `progress` gets short lines about what is being done. `kept` is
    a folder of this user's alone where what was found is kept, and found again by the next run.

    Raises:
        CacheStrategyError: `repo` is no folder.
    """
    from cache_strategy.profile import values
    from cache_strategy.profile.evidence import evidence_of

    started = time.monotonic()
    limit = sys.getrecursionlimit()
    collecting = gc.isenabled()
    sys.setrecursionlimit(max(limit, 50_000))
    # nearly everything that is made lives to the end; looking through it for cycles again and again costs a third
    gc.disable()
    try:
        return evidence_of(repo, jobs, progress or (lambda _: None), started, kept)
    finally:
        sys.setrecursionlimit(limit)
        values.forget()
        if collecting:
            gc.enable()
