"""
A file as it is and as it will be, as texts: what a rule can ask before anything is parsed.

Parsing two versions of a long file costs more than all the rest of the hook, and most edits of a file that holds
caches have nothing to do with them.
"""

from __future__ import annotations

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

_TOP_LEVEL = regex(r"(?:def|class|async|@)\b|@")
_WORD = regex(r"\w+")
_OTHERS = regex(
    r"cache|redis|memo|key|\bdel\b|save|delet|updat|creat|insert|\.add\b|merge|commit|execut|\.(?:post|put|patch)\b|perm|can_|\bis_|role|allow|"
    r"member|owner|admin|max.?age|timeout|ttl|expir|\.html|\.j(?:inja)?2?\b|\bdef\b|\bclass\b",
    patterns.I,
)
# Functions in which any call may decide about a right.
_RIGHTS = regex(r"\bdef\s+\w*(?:perm|can_|is_|role|allowed|test_func)", patterns.I)
_HEADERS = regex(r"cache|vary|etag|max-?age|last_modified|condition|private|public|no-store|@", patterns.I)


class Edit:
    """
    `before` is None for a new file. `removed` and `added` are the lines between the first and the last line that
    differ; `removed_around` is `removed` with the rest of the top-level definitions that it touches.
    """

    def __init__(self, before: "str | None", after: str) -> None:
        self.before = before
        self.after = after
        old, new = (before or "").split("\n"), after.split("\n")
        first = 0
        shortest = min(len(old), len(new))
        while first < shortest and old[first] == new[first]:
            first += 1
        last = 0
        while last < shortest - first and old[-1 - last] == new[-1 - last]:
            last += 1
        self.removed = "\n".join(old[first : len(old) - last])
        self.added = "\n".join(new[first : len(new) - last])
        begin, end = first, len(old) - last
        while begin > 0 and not (begin < len(old) and _TOP_LEVEL.match(old[begin])):
            begin -= 1
        while begin > 0 and old[begin - 1].startswith("@"):
            begin -= 1
        while end < len(old) and not _TOP_LEVEL.match(old[end]):
            end += 1
        self.removed_around = "\n".join(old[begin:end])

    def may_concern_others(self) -> bool:
        """Whether a line that differs can have to do with a cache, a change of data or a right that other files know of."""
        return bool(
            _OTHERS.search(self.removed) or _OTHERS.search(self.added) or _RIGHTS.search(self.removed_around)
        )

    def takes_away(self) -> bool:
        """Whether lines of an existing file go or change."""
        return self.before is not None and bool(self.removed.strip())

    def touches_headers(self) -> bool:
        """Whether a line that differs is about caching headers, or decorates something."""
        return bool(_HEADERS.search(self.removed) or _HEADERS.search(self.added))

    def mentions_a_function(self) -> bool:
        """Whether the added lines use a function or method that the file defines."""
        return any(f"def {name}" in self.after for name in set(_WORD.findall(self.added)))
