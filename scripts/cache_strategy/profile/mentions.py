"""Who uses which function: by calls that were followed, and by names that mean only a few functions."""

import re
from collections import Counter, defaultdict

from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.program import FunctionInfo

# Names and short strings as `marshal` writes them: a kind, a length, the text.
_TEXT = re.compile(rb"[zZ\xfa\xda](.)([A-Za-z_]\w*)", re.DOTALL)
# A name that more functions than these have says nothing about which of them is meant.
_MOST_MEANT = 3
_DEEPEST_ABOVE, _MOST_ABOVE = 4, 80
_DEEPEST_BELOW, _MOST_BELOW = 3, 200


class Mentions:
    """
    `words` are the names in a body, `above` and `below` who mentions or calls whom, `callers` maps a caller to whether it
    calls in a loop, `by_modules` counts calls at top level, `namesakes` functions of one name, `sizes` those of a module.
    """

    def __init__(self, analysis: Analysis, functions: list[FunctionInfo]) -> None:
        self.words = {f.index: words_in(f.body) for f in functions}
        self.namesakes = Counter(f.name for f in functions)
        self.sizes = Counter(f.module for f in functions)
        self.above: dict[int, set[int]] = {f.index: set() for f in functions}
        self.below: dict[int, set[int]] = {f.index: set() for f in functions}
        self.callers: dict[int, dict[int, bool]] = {f.index: {} for f in functions}
        self.by_modules: Counter[int] = Counter()
        named: dict[str, list[int]] = defaultdict(list)
        for function in functions:
            named[function.name].append(function.index)
        meant = {name: indexes for name, indexes in named.items() if len(indexes) <= _MOST_MEANT}
        for function in functions:
            for word in self.words[function.index]:
                for index in meant.get(word, ()):
                    self._link(function.index, index)
        self._follow(analysis)

    def _follow(self, analysis: Analysis) -> None:
        contexts = analysis.graph.contexts
        for context, callees, looping in zip(
            contexts, analysis.graph.callees, analysis.graph.looping, strict=True
        ):
            caller = context.function.index
            if caller not in self.callers:
                continue
            for index in callees:
                callee = contexts[index].function.index
                if callee in self.callers and callee != caller:
                    self.callers[callee][caller] = self.callers[callee].get(caller, False) or index in looping
                    self._link(caller, callee)
        for facts in analysis.module_facts.values():
            self.by_modules.update(analysis.contexts[call.callee].function.index for call in facts.calls)

    def _link(self, above: int, below: int) -> None:
        if above != below:
            self.above[below].add(above)
            self.below[above].add(below)

    def users(self, start: int) -> set[int]:
        """Who leads to a function in a few steps."""
        return _near(self.above, start, _DEEPEST_ABOVE, _MOST_ABOVE)

    def parts(self, start: int) -> set[int]:
        """What a function leads to in a few steps."""
        return _near(self.below, start, _DEEPEST_BELOW, _MOST_BELOW)


def _near(graph: dict[int, set[int]], start: int, deepest: int, most: int) -> set[int]:
    seen, edge = {start}, {start}
    for _ in range(deepest):
        edge = set().union(*(graph[i] for i in edge)) - seen
        seen |= edge
        if not edge or len(seen) > most:
            break
    return seen - {start}


def words_in(body: bytes) -> frozenset[str]:
    """Names and short strings in a body as `lower` writes it, and what kinds of statements it has."""
    return frozenset(text[: length[0]].decode("ascii", "replace") for length, text in _TEXT.findall(body))
