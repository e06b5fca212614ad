"""
CS001 invalid-allow

What it does
    Flags a comment `# cache-safety: allow[...]` that gives no reason, or that names a rule that there is not. Such a
    comment allows nothing.

Why is this bad
    Whoever reads the line next cannot tell whether somebody thought about it, and a misspelt name hides that the
    finding is still there.

Example
    import functools

    @functools.lru_cache  # cache-safety: allow[shared-key-for-user-data]
    def settings():
        return load()

Use instead
    import functools

    @functools.lru_cache  # cache-safety: allow[shared-key-for-user-data] one user per process, a desktop program
    def settings():
        return load()

Known problems
    Whether the reason is a good one is for people to judge.

Source
    Blueprint of this tool, section 9: an allow is counted and listed, so it must say why.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule

# Found by `rules/_suppress.py` while it applies the allows of a file; this file is the rule's page and name.
rule = Rule(__name__, code="CS001", since="0.1", keywords=("cache-safety",), severity="warning")
