"""Ties an objecting sentence to the calls it speaks of, by the words that they share."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cache_strategy.hookify.transcripts import ToolCall

LOOKED_BACK = 60
"""Calls before a prompt among which the objected one is looked for (assumed)."""

_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}(?![a-z])|[a-z]+\d+")
_SAID = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")

_STOP = frozenset(
    "the this that these those and but for with from into onto off out not don dont never ever always stop again please just you your yours "
    "yourself have has had was were are is been being will would should could can may must did does doing done any some all every each "
    "other another only also too very more most much many such than then there here what when where which while who why how now yet still even "
    "once after before because since until like want need make made makes making add use used using change changes changed keep put get got go "
    "going let lets new one two its our ours they them their his her she him okay yes well really actually thing things stuff way right "
    "wrong look looks work works working file files code line lines time user users project something anything nothing everything agent claude "
    "sure forget remember instead rather over under above below about without within idea see".split()
)

_SYNONYMS = """
browser: playwright puppeteer chrome chromium headless selenium cypress
visual: playwright puppeteer chrome headless screenshot preview
screenshot: playwright puppeteer headless
test: pytest jest vitest spec mocha
suite: pytest jest vitest test
database: psql mysql sqlite database postgres
migration: migration migrat alembic typeorm
container: docker podman
emdash: \u2014
dependency: install requirement package
cache: cache redis flush memoize
invalidation: invalidate cache delete evict bust
"""
"""What a word may be called in a command or a file."""


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its plural or verbal ending."""
    word = word.lower()
    for ending in ("ings", "ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            cut = word[: -len(ending)]
            return cut[:-1] if len(cut) > 3 and cut[-1] == cut[-2] and cut[-1] not in "ls" else cut
    return word


_SYNONYM_OF_STEM = {
    stem(word): tuple(map(stem, others.split()))
    for word, _, others in (line.partition(": ") for line in _SYNONYMS.strip().split("\n"))
}


@dataclass(frozen=True, slots=True)
class Link:
    """The calls a sentence speaks of, latest first, and the stems that they share with it, rarest first."""

    calls: tuple[ToolCall, ...]
    words: tuple[str, ...]


def words_said(sentence: str) -> dict[str, tuple[str, ...]]:
    """The telling words of a sentence as stems, each with the stems that count for it."""
    said: dict[str, tuple[str, ...]] = {}
    for word in _SAID.findall(sentence):
        parts = {word.lower(), *(p.lower() for p in _WORD.findall(word))}
        for part in parts:
            if len(part) < 3 or part in _STOP:
                continue
            key = stem(part)
            said[key] = (key, *_SYNONYM_OF_STEM.get(key, ()))
    return said


def words_done(call: ToolCall) -> frozenset[str]:
    """The stems of what a call did: its command, or the path and the first added text."""
    if call.stems is None:
        call.stems = _stems_of(call)
    return call.stems


def _stems_of(call: ToolCall) -> frozenset[str]:
    text = call.command or " ".join([call.path, *(new[:4000] for _, new in call.replacements())])
    words = {stem(word) for word in _WORD.findall(text[:8000])}
    words |= {stem(word) for word in re.findall(r"[A-Za-z][A-Za-z0-9]{2,}", text[:8000])}
    if "\u2014" in text:
        words.add("\u2014")
    return frozenset(words)


def linked(sentence: str, calls: Sequence[ToolCall]) -> Link:
    """
    The calls, among the last `LOOKED_BACK`, that share the rarest words with the sentence.

    A word that more than 40 % of the calls hold tells nothing. Empty where no word is shared.
    """
    window = [c for c in calls[-LOOKED_BACK:] if c.command or c.path]
    said = words_said(sentence)
    if not window or not said:
        return Link((), ())
    done = [words_done(call) for call in window]
    matches = [{word for word, alike in said.items() if any(a in words for a in alike)} for words in done]
    frequency = Counter(word for match in matches for word in match)
    limit = max(3.0, 0.4 * len(window))
    telling = {
        word: math.log((len(window) + 2) / count) for word, count in frequency.items() if count <= limit
    }
    scores = [sum(telling.get(word, 0.0) for word in match) for match in matches]
    best = max(scores)
    if best < 0.5:
        return Link((), ())
    chosen = [call for call, score in zip(window, scores, strict=True) if score >= best - 0.01]
    shared = {
        word for match, score in zip(matches, scores, strict=True) if score >= best - 0.01 for word in match
    }
    words = sorted((w for w in shared if w in telling), key=lambda w: (-telling[w], w))
    return Link(tuple(reversed(chosen)), tuple(words))
