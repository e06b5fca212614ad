"""What functions look like to somebody who decides where a cache belongs: name, place, shape, effects, who uses them."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from cache_strategy.model.evidence import Endpoint
from cache_strategy.profile.facts import Context, Facts
from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.library import CACHES
from cache_strategy.profile.mentions import Mentions
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.telling_words import (
    CACHED,
    CLASSES,
    DECORATORS,
    IDENTIFYING,
    KIND_OF_FIRST_WORD,
    MENTIONED,
    MODEL,
    NAMED,
    NOT_CACHED,
    OBJECTS,
    PARSERS,
    PLACES,
)
from cache_strategy.profile.totals import Total

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHORT = 120
"""A body of fewer bytes, as it is kept, is one line (assumed)."""


@dataclass(frozen=True)
class Seen:
    """What the signals of one function are taken from; `returns` is "" where it does nothing besides computing."""

    total: Total
    contexts: list[Context]
    returns: str
    writers: int
    repeated: int
    every_request: bool
    in_loop: bool


@dataclass
class _Names:
    """A function taken apart once, for all its signals."""

    words: list[str]
    parameters: list[str]
    mentioned: frozenset[str]
    own: Facts
    found: set[str] = field(default_factory=set)


class Signals:
    """The signals of every function of production code."""

    def __init__(self, analysis: Analysis, routes: list[Route]) -> None:
        self.analysis = analysis
        self.functions = list(analysis.program.production_functions())
        self.mentions = Mentions(analysis, self.functions)
        self.routes: dict[int, list[Route]] = {}
        for route in routes:
            self.routes.setdefault(route.function, []).append(route)
        self.kept = {f.index: kept for f in self.functions if (kept := cached_by(analysis, f))}
        asks = {c.function.index for c in analysis.live if c.facts.caches}
        self.siblings = Counter(self._place(f) for f in self.functions)
        self.caching = Counter(self._place(f) for f in self.functions if f.index in self.kept.keys() | asks)
        self.per_module = Counter(f.module for f in self.functions if f.index in self.kept.keys() | asks)
        self._asks = asks
        self.touching = {c.function.index for c in analysis.live if c.facts.reads or c.facts.outside}

    def _place(self, function: FunctionInfo) -> tuple[int, int]:
        return function.module, function.owner

    def of(self, function: FunctionInfo, seen: Seen) -> set[str]:
        own = Facts()
        for context in seen.contexts:
            own.include(context.facts)
        names = _Names(
            words=_split(function.name),
            parameters=[p[0] for p in function.parameters if p[0] not in ("self", "cls")],
            mentioned=self.mentions.words[function.index],
            own=own,
        )
        names.found.update(self._named(function, names))
        names.found.update(self._shaped(function, names))
        names.found.update(self._does(seen, names))
        names.found.update(self._used(function, seen))
        names.found.update(self._together(names.found))
        return names.found

    def inherited(self, endpoint: Endpoint | None, total: Total) -> set[str]:
        """The signals of an endpoint whose handler is a package's: what its class is called and what it does."""
        if endpoint is None:
            return set()
        words = _split(endpoint.qualname)
        names = _Names(words=words, parameters=["request"], mentioned=frozenset(), own=Facts())
        seen = Seen(total, [], "response", 0, 0, every_request=False, in_loop=False)
        found = {"handler", "given request", "returns", *self._does(seen, names)}
        found |= {f"named {kind}" for kind, telling in NAMED.items() if telling.intersection(words)}
        return found | (set() if "{" in endpoint.route else {"page without parts"})

    def _named(self, function: FunctionInfo, names: _Names) -> Iterator[str]:
        module = self.analysis.modules[function.module]
        yield f"name {KIND_OF_FIRST_WORD.get(names.words[0] if names.words else '', '')}"
        yield from (f"named {kind}" for kind, words in NAMED.items() if words.intersection(names.words))
        path = module.path.lower()
        yield from (f"in {kind}" for kind, pattern in PLACES.items() if pattern.search(path))
        texts = self.analysis.decoration(function).texts
        for kind, pattern in DECORATORS.items():
            if any(map(pattern.search, texts)):
                yield f"decorated {kind}"
        if len(function.decorators) > 1:
            yield "decorated twice"
        if function.owner >= 0:
            owner = self.analysis.classes[function.owner]
            bases = [owner.name, *map(last_name, owner.bases)]
            yield from (f"of {kind}" for kind, pattern in CLASSES.items() if any(map(pattern.search, bases)))
            classes, externals = self.analysis.mro(function.owner)
            above = [self.analysis.classes[i].name for i in classes[1:8]] + externals[:12]
            if any(map(MODEL.search, above)):
                yield "of model"
            if function.owner in self.analysis.mapped:
                yield "of row"

    def _shaped(self, function: FunctionInfo, names: _Names) -> Iterator[str]:
        given, words = names.parameters, names.mentioned
        dunder = function.name.startswith("__")
        for name, holds in (
            ("given request", "request" in given), ("given value", given[:1] == ["value"]),
            ("given many", len(given) > 3), ("given an identity", any(map(IDENTIFYING.search, given))),
            ("given identities", bool(given) and all(map(IDENTIFYING.search, given))),
            ("given an object", bool(OBJECTS.intersection(given))),
            ("given a user", any("user" in p or "profile" in p or "actor" in p for p in given)),
            ("nested", function.outer >= 0), ("async", function.is_async), ("special", dunder),
            ("private", function.name.startswith("_") and not dunder), ("short", len(function.body) < _SHORT),
            ("static", self.analysis.binding(function) == "static"), ("returns", "return" in words),
            ("calls nothing", "call" not in words), ("raises", "raise" in words), ("tries", "try" in words),
        ):  # fmt: skip
            if holds:
                yield name
        yield from (f"mentions {kind}" for kind, telling in MENTIONED.items() if telling & words)

    def _does(self, seen: Seen, names: _Names) -> Iterator[str]:
        total, own = seen.total, names.own
        kinds = {c.kind for c in total.context}
        for name, holds in (
            ("unknown calls", bool(total.unknown)), ("many unknown calls", len(total.unknown) > 4),
            ("depends user", "user" in kinds), ("depends body", "body" in kinds), ("depends query", "query" in kinds),
            ("depends header", "header" in kinds), ("depends files", "files" in kinds),
            ("path itself", any(c.kind == "path" for c in own.context)), ("side effects", bool(total.side_effects)),
            ("side effects itself", bool(own.side_effects)), ("writes tables", len(total.writes) > 1),
            ("joins itself", bool(own.joins)), ("parses itself", any(p.startswith(PARSERS) for p in own.external_calls)),
            ("aggregates itself", bool(own.aggregates)), ("waits itself", bool(own.outside)), ("queries 5", total.queries > 4),
            ("writers 20", seen.writers > 19),
            ("costs", bool(total.reads or total.outside or "files" in kinds)),
            (f"answers {seen.returns}", seen.returns in ("none", "response", "lazy")),
            ("writes itself", bool(own.writes)), ("aggregates", total.aggregates), ("queries in a loop", total.looped),
            ("joins", bool(total.joins)),
        ):  # fmt: skip
            if holds:
                yield name

    def _used(self, function: FunctionInfo, seen: Seen) -> Iterator[str]:
        index = function.index
        above, callers = self.mentions.above[index], self.mentions.callers[index]
        files = {self.analysis.functions[i].module for i in above}
        users, parts = self.mentions.users(index), self.mentions.parts(index)
        mine = index in self.kept or index in self._asks
        beside = self.caching[self._place(function)] - mine
        in_module = self.per_module[function.module] - mine
        among = self.siblings[self._place(function)]
        siblings, all_of = (
            (beside, among) if function.owner >= 0 else (in_module, self.mentions.sizes[function.module])
        )
        routes = self.routes.get(index, ())
        for name, holds in (
            ("every request", seen.every_request), ("used elsewhere", bool(files - {function.module})),
            ("used in 2 files", len(files) > 1), ("used widely", len(users) > 53),
            ("uses 2", len(parts) > 1),
            ("calling files 2", len({self.analysis.functions[i].module for i in callers}) > 1),
            ("no callers", not callers and not self.mentions.by_modules[index]),
            ("below a handler", any(i in self.routes for i in users)),
            ("in a loop", seen.in_loop or any(callers.values())),
            ("repeated 5", seen.repeated > 4),
            ("namesakes 7", self.mentions.namesakes[function.name] > 6), ("parts cost", bool(self.touching & parts)),
            ("class caches", function.owner >= 0 and beside > 0),
            ("siblings cached", siblings > 0.3 * max(1, all_of - 1)), ("handler", bool(routes)),
            ("page without parts", any(r.method == "GET" and not r.path_parts for r in routes)),
        ):  # fmt: skip
            if holds:
                yield name

    def _together(self, found: set[str]) -> Iterator[str]:
        writes = "mentions writes" in found
        costs = "costs" in found
        for name, holds in (
            ("only reads", (costs or bool({"mentions queries", "mentions requests"} & found)) and not writes
             and "writes itself" not in found),
            ("computes", not costs and not writes and {"given identities", "returns"} <= found),
            ("asks a service", bool({"of client", "in clients"} & found) and not writes
             and bool({"name asks", "name counts", "name lists"} & found)),
            ("tag that costs", "decorated template tag" in found and costs),
        ):  # fmt: skip
            if holds:
                yield name


def cached_by(analysis: Analysis, function: FunctionInfo) -> str:
    """The decorator that keeps what the function gives back, as written; "" where there is none."""
    decoration = analysis.decoration(function)
    known = [text for path, text in decoration.externals if path.startswith(CACHES)]
    named = [text for text in decoration.texts if CACHED.search(text)]
    return next((text for text in [*known, *named] if not NOT_CACHED.search(text)), "")


def _split(name: str) -> list[str]:
    return [word.lower() for word in _CAMEL.sub("_", name).split("_") if word]
