"""What may be worth a cache, best first, and what must not be cached."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cache_strategy.model.evidence import (
    UNKNOWN_TABLE,
    Application,
    Candidate,
    CandidateKind,
    Endpoint,
    Function,
    KeyPart,
    Layer,
    Rejected,
    Returned,
    Writer,
)
from cache_strategy.profile import effects, sql
from cache_strategy.profile.facts import Context
from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.guarding import guards_in
from cache_strategy.profile.keys import key_of_context, rows_of
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.library import CACHES
from cache_strategy.profile.lowering import LAMBDA
from cache_strategy.profile.parameters import object_argument, parameters_of, reason_of_kind
from cache_strategy.profile.program import FunctionInfo
from cache_strategy.profile.rejection import in_the_way, reason_against, unread_page, volatile
from cache_strategy.profile.returned import returned_of
from cache_strategy.profile.scoring import Standing, reasons_for
from cache_strategy.profile.signals import Seen, Signals
from cache_strategy.profile.telling import told_by
from cache_strategy.profile.totals import Total, bits_in, merged
from cache_strategy.profile.values import (
    FunctionRef,
)

_SPECIAL = frozenset(
    """__init__ __repr__ __str__ __eq__ __hash__ __enter__ __exit__ __del__ __new__ __tablename__ __init_subclass__
    __post_init__""".split()
)
_PARSERS = ("markdown.", "mistune.", "yaml.", "feedparser.", "lxml.", "commonmark.", "bleach.")
_WORTH_A_LOOK = 0.12
"""The share of all functions that are listed for their looks alone, whatever speaks against them."""
_MIGRATIONS = re.compile(r"(^|/)(migrations|alembic)/")
_COMMANDS = re.compile(
    r"(^|/)(management/commands|scripts?|bin|cli|commands)/|(^|/)(manage|cli|fabfile)\.py$"
)
_NOT_EMITTED = "emit writes no cache of this kind yet"
_NOTHING_FOUND = "nothing was found that it reads: what would make it stale is not known"
_LESS = 0.2
"""What counts against a candidate that must not be cached as it is (assumed)."""
_MUCH_LESS = 5.0
"""What counts against a candidate that is cached already: it comes last."""
_FEW_WRITERS = 5
MOST_WRITERS = 100
"""Writers that a candidate lists; those of a table that all code writes would be listed with every candidate."""


@dataclass
class Found:
    candidates: list[Candidate]
    rejected: list[Rejected]


class Judge:
    """Everything that is known when candidates are judged."""

    def __init__(
        self,
        analysis: Analysis,
        totals: list[Total],
        routes: list[Route],
        endpoints: dict[int, Endpoint],
        functions: dict[int, Function],
        writers: tuple[Writer, ...],
    ) -> None:
        self.analysis = analysis
        self.totals = totals
        self.routes = routes
        self.endpoints = endpoints
        self.functions = functions
        self.writers = writers
        self.writers_by_table: dict[str, list[int]] = {}
        for number, writer in enumerate(writers):
            for table in writer.tables:
                self.writers_by_table.setdefault(table, []).append(number)
        self.writers_by_tables: dict[tuple[str, ...], tuple[Writer, ...]] = {}
        self.merged: dict[int, Total] = {}
        self.handlers = {route.function for route in routes}
        self.graph = analysis.graph
        self.reached = self._reached()
        self.every_request = self._every_request()
        contexts = analysis.graph.contexts
        self.looped = {contexts[i].function.index for found in analysis.graph.looping for i in found}
        self.live: dict[int, list[Context]] = {}
        for context in analysis.live:
            self.live.setdefault(context.function.index, []).append(context)
        self.found = Found([], [])
        self.signals = Signals(analysis, routes)
        self.signs = {f.index: self.signals.of(f, self._seen(f)) for f in self.signals.functions}
        self.told = {index: told_by(signs) for index, signs in self.signs.items()}
        best = sorted((t.score for t in self.told.values()), reverse=True)
        self.least = min(best[: int(len(best) * _WORTH_A_LOOK)], default=math.inf)
        self.caching = self._caching()
        self.guards = guards_in(analysis, self.graph.contexts)

    def _seen(self, function: FunctionInfo) -> Seen:
        total = self.total_of(function)
        described = self.functions.get(function.index)
        writers = self.writers_of(total.tables()) if total.reads else ()
        return Seen(
            total=total,
            contexts=self.live.get(function.index, []),
            returns="" if described is None else described.returns,
            writers=len({(w.path, w.qualname) for w in writers}),
            repeated=self.repeated.get(function.index, (0, ""))[0],
            every_request=function.index in self.every_request,
            in_loop=function.index in self.looped,
        )

    def does_something(self, function: FunctionInfo) -> bool:
        """Whether doing, and not answering, is what a function is for."""
        described = self.functions.get(function.index)
        return (
            described is None
            or described.returns == "none"
            or "name does" in self.signs[function.index]
            or any(c.facts.writes or c.facts.side_effects for c in self.live.get(function.index, ()))
        )

    def looked_at(self, function: FunctionInfo) -> bool:
        """Whether a function looks so much like those that are cached that it is listed, whatever speaks against it."""
        return function.index in self.told and self.told[function.index].score >= self.least

    def _reached(self) -> dict[int, tuple[str, ...]]:
        """The endpoints that reach a function, by its index."""
        names = [self.endpoints[number].id for number in range(len(self.routes))]
        beginnings = [{route.context, *route.around} for route in self.routes]
        self.repeated = self.graph.most_calls(zip(names, beginnings, strict=True))
        different = list(dict.fromkeys(names))
        bits = {name: 1 << number for number, name in enumerate(different)}
        marks: dict[int, int] = {}
        for name, route in zip(names, self.routes, strict=True):
            marks[route.context] = marks.get(route.context, 0) | bits[name]
        found: dict[int, int] = {}
        for context, mark in zip(self.graph.contexts, self.graph.below(marks), strict=True):
            if mark:
                found[context.function.index] = found.get(context.function.index, 0) | mark
        listed = {m: tuple(sorted(different[bit] for bit in bits_in(m))) for m in set(found.values())}
        return {index: listed[mark] for index, mark in found.items()}

    def _caching(self) -> dict[int, str]:
        """The evaluations that ask a cache of the application for what changes, or call what does, and which it is."""
        found: dict[int, str] = {}
        callers = self.graph.callers
        for context in self.graph.contexts:
            total = self.totals[context.index]
            kept = [
                text
                for path, text in self.analysis.decoration(context.function).externals
                if path.startswith(CACHES)
            ]
            kept = [f"@{text}" for text in kept] + [text for _, text in context.facts.caches]
            if kept and (total.reads or total.outside):
                found[context.index] = f"{kept[0]} of {context.function.qualname}"
        queue = list(found)
        while queue:
            index = queue.pop()
            for caller in callers.get(index, set()) - found.keys():
                found[caller] = found[index]
                queue.append(caller)
        return found

    def given_anyway(self, route: Route) -> str:
        """Why keeping an answer saves nothing: what it is made of is asked for before each request gets there."""
        facts = self.analysis.contexts[route.context].facts
        own = (self.totals[call.callee] for call in facts.calls if call.callee not in route.given)
        if not route.given or facts.queries or facts.outside or facts.renders or any(map(_is_worth, own)):
            return ""
        return "reads nothing but what its dependencies have read already, which are asked each time"

    def outdated_at_once(self, route: Route, total: Total) -> str:
        """Why no answer is ever good for the next request: a dependency of its own writes what it is made of."""
        for index in sorted(route.given.intersection(route.around)):
            written = sorted(self.totals[index].writes & set(total.tables()))
            if written:
                name = self.analysis.contexts[index].function.qualname
                return f"each request writes {', '.join(written)} besides ({name}), so that no answer outlives the next"
        return ""

    def kept_by(self, contexts: Iterable[int]) -> tuple[str, ...]:
        """What must be said of a cache above one of the application's own: it would keep what that one drops."""
        names = [self.caching[index] for index in contexts if index in self.caching]
        return (f"is answered by {names[0]}, a cache that goes stale at its own times",) if names else ()

    def _every_request(self) -> set[int]:
        roots = {index for route in self.routes for index in route.around}
        for (owner, _), functions in self.analysis.stores.items():
            for value in functions if owner == "flask context processors" else ():
                if isinstance(value, FunctionRef):
                    roots.update(c.index for c in self.analysis.contexts_of(value.index))
        marked = self.graph.below(dict.fromkeys(roots, 1))
        return {c.function.index for c, mark in zip(self.graph.contexts, marked, strict=True) if mark}

    # --- judging

    def judge(self) -> Found:
        for function in self.analysis.program.production_functions():
            if function.index not in self.handlers:
                self.function(function)
        for number, route in enumerate(self.routes):
            self.endpoint(route, self.endpoints[number])
        return self.found

    def total_of(self, function: FunctionInfo) -> Total:
        if function.index not in self.merged:
            live = self.live.get(function.index, ())
            self.merged[function.index] = merged(self.totals[c.index] for c in live)
        return self.merged[function.index]

    def writers_of(self, tables: tuple[str, ...]) -> tuple[Writer, ...]:
        known = self.writers_by_tables.get(tables)
        if known is None:
            wanted = {*tables, UNKNOWN_TABLE} if tables else set()
            numbers = {number for table in wanted for number in self.writers_by_table.get(table, ())}
            known = tuple(
                replace(writer, tables=tuple(t for t in writer.tables if t in wanted))
                for writer in (self.writers[number] for number in sorted(numbers))
            )
            self.writers_by_tables[tables] = known
        return known

    def standing(self, function: FunctionInfo) -> Standing:
        return Standing(
            endpoints=self.reached.get(function.index, ()),
            every_request=function.index in self.every_request,
            called_in_loop=function.index in self.looped,
        )

    def add(
        self, function: FunctionInfo, kind: CandidateKind, total: Total, key: tuple[KeyPart, ...], layers: tuple[Layer, ...],
        *, reads: tuple[str, ...] | None = None, per_user: bool = False, returns: Returned = "plain",
        endpoint: Endpoint | None = None, text: str = "", before: tuple[str, ...] = (), after: tuple[str, ...] = (),
        against: str = "", less: float = 0.0,
    ) -> None:  # fmt: skip
        reads = total.tables() if reads is None else reads
        writers = self.writers_of(reads)
        most = _FEW_WRITERS if against else MOST_WRITERS
        standing = self.standing(function)
        told = self.told.get(function.index) or told_by(self.signals.inherited(endpoint, total))
        reasons = reasons_for(
            total, writers, standing, one_for_all=not per_user and not key, is_endpoint=endpoint is not None
        )
        if per_user:
            reasons.append("depends on the user")
        self.found.candidates.append(
            Candidate(
                rank=0,
                path=self.analysis.modules[function.module].path if endpoint is None else endpoint.path,
                line=(endpoint or function).line,
                qualname=(endpoint or function).qualname,
                kind=kind,
                layers=layers,
                key=key,
                per_user=per_user,
                ttl_seconds=None,
                reads=reads,
                writers=writers[:most],
                more_writers=len(writers[most:]),
                score=round(told.score - less, 2),
                because=(*before, *reasons, *told.because, *after, *([against] if against else ())),
                endpoints=standing.endpoints if endpoint is None else (endpoint.id,),
                rows=() if text else rows_of(total.reads, key),
                returns=returns,
                sql=text,
                against=against,
            )
        )

    def refuse(
        self, function: FunctionInfo, reason: str, total: Total, *, must_not: bool, endpoint: Endpoint | None = None,
        per_user: bool = False, less: float = 0.0,
    ) -> None:  # fmt: skip
        """
        Rejects what must not be cached; what a cache here would only need first is listed with it.

        So is what looks much like functions that are cached, a page that somebody only looks at, and what does something on
        the way only: somebody should look at it. Who may do what is not: an old answer lets somebody in.
        """
        place = endpoint or function
        doing = endpoint is None and self.does_something(function) and not self.looked_at(function)
        if must_not and (reason.startswith("decides") or doing):
            path = self.analysis.modules[function.module].path if endpoint is None else endpoint.path
            self.found.rejected.append(
                Rejected(path=path, line=place.line, qualname=place.qualname, reason=reason)
            )
            return
        names = parameters_of(self.analysis, function)
        key = tuple(KeyPart(name=name.lstrip("*"), source="argument") for name in names)
        answers = endpoint is None and not must_not and function.index in self.functions and not less
        once = self.for_one_request(function) if answers and _is_worth(total) else ""
        if once:
            reason = f"{reason}; {once} ({_NOT_EMITTED})"
        layers: tuple[Layer, ...] = ("request",) if once else ("redis",)
        self.add(
            function, "function" if endpoint is None else "endpoint", total, key, layers, per_user=per_user,
            returns="unknown", endpoint=endpoint, against=reason, after=(once,) if once else (), less=_LESS if must_not else less,
        )  # fmt: skip

    def function(self, function: FunctionInfo) -> None:
        if function.name in _SPECIAL or function.name == LAMBDA:
            return
        total = self.total_of(function)
        described = self.functions.get(function.index)
        kept = self.signals.kept.get(function.index)
        if kept is not None:
            self.refuse(
                function,
                f"is answered by @{kept.lstrip('@')} already",
                total,
                must_not=False,
                less=_MUCH_LESS,
            )
            return
        of_kind = reason_of_kind(self.analysis, function)
        if described is None or not _is_worth(total):
            if self.looked_at(function):
                self.refuse(function, of_kind or _NOTHING_FOUND, total, must_not=False)
            return
        if total.writes and described.returns == "none":
            return
        context = key_of_context(self.analysis, total.context, {})
        reason = reason_against(function.name, total, described.returns, is_endpoint=False)
        if reason is not None:
            self.refuse(function, reason, total, must_not=True, per_user=context.per_user)
            return
        reason = of_kind or volatile(total) or in_the_way(total, described.returns, function.is_generator)
        if reason is not None and reason.startswith("returns rows"):
            above = self.reached.get(function.index, ())
            reason += f": {', '.join(above[:3])}" if above else ""
        reason = (
            reason
            or object_argument(self.analysis, function, self.live.get(function.index, ()))
            or context.problem
            or None
        )
        if reason is None and any(read.kind == "path" for read in total.context):
            reason = "reads the path of the request itself, besides its arguments; make it a parameter"
        if reason is None and context.parts:
            named = context.parts[0]
            reason = (
                f"reads {named.source} {named.name} itself, besides its arguments; make it a parameter, "
                "or cache the endpoint"
            )
        reason = reason or self.once_or_deciding(function, total)
        if reason is not None:
            self.refuse(function, reason, total, must_not=False, per_user=context.per_user)
            return
        key = tuple(KeyPart(name=name.lstrip("*"), source="argument") for name in described.parameters)
        reads = total.tables()
        rows = rows_of(total.reads, key)
        small = len(rows) == len(reads) and len(key) == 1 if rows else not key and len(reads) <= 1
        layers: tuple[Layer, ...] = ("memory",) if small else ("redis",)
        kept_below = self.kept_by(c.index for c in self.live.get(function.index, ()))
        self.add(function, "function", total, key, layers, returns=described.returns, after=kept_below)
        self.query(function, total)

    def once_or_deciding(self, function: FunctionInfo, total: Total) -> str | None:
        path = self.analysis.modules[function.module].path
        if self.routes and function.index not in self.reached and function.index not in self.every_request:
            if _MIGRATIONS.search(path):
                return "is part of a migration, which runs once"
            if _COMMANDS.search(path):
                return "no request asks for it, only a command or a script, which runs anew each time"
        guarded = self.guards.get(function.index)
        if guarded is None or not total.reads:
            return None
        return f"by its answer {guarded} goes on or refuses; an old one would decide that: take it only with a bound you accept"

    def for_one_request(self, function: FunctionInfo) -> str:
        """What says that one request asks for the same at several places; "" where none does."""
        count, name = self.repeated.get(function.index, (0, ""))
        what = "them" if self.functions[function.index].returns == "orm" else "it"
        return f"{name} asks for {what} at {count} places: keep {what} for one request" if count > 1 else ""

    def query(self, function: FunctionInfo, total: Total) -> None:
        texts = {text for c in self.live.get(function.index, ()) for text, _ in c.facts.sql}
        for text in sorted(texts):
            statement = sql.read_statement(text)
            if statement is None or statement.parameters or not statement.aggregate or "?" in statement.reads:
                continue
            self.add(
                function, "query", total, (), ("matview",), reads=statement.reads, text=text,
                before=("an SQL aggregate without parameters",),
            )  # fmt: skip

    def endpoint(self, route: Route, endpoint: Endpoint) -> None:
        function = self.analysis.functions[route.function]
        if route.method != "GET":
            asked = (
                f"{endpoint.id} is a {route.method}: it is asked for what it does, not for what it answers"
            )
            self.found.rejected.append(
                Rejected(path=endpoint.path, line=endpoint.line, qualname=endpoint.qualname, reason=asked)
            )
            return
        total = self.totals[route.context]
        guard = effects.before(self.analysis, function, self.totals)
        found = total.reads or total.outside or total.renders or _parses(total)
        if not found and not self.looked_at(function):
            return
        reason = reason_against(function.name, total, "response", is_endpoint=True)
        must_not = reason is not None
        reason = reason or unread_page(total) or volatile(total) or (None if found else _NOTHING_FOUND)
        # who is behind a guard is part of the question: what the guard lets through is private
        personal_reads = {
            c for c in guard.context if c.kind in ("user", "session") and c.name != "csrf_token"
        }
        context = key_of_context(self.analysis, total.context | personal_reads, dict(route.identities), True)
        reason = reason or context.problem or self.given_anyway(route) or self.outdated_at_once(route, total)
        reason = reason or None
        if reason is not None:
            personal = context.per_user or bool({"user", "session"} & set(endpoint.context))
            self.refuse(function, reason, total, must_not=must_not, endpoint=endpoint, per_user=personal)
            return
        parts: dict[str, KeyPart] = {name: KeyPart(name=name, source="path") for name in route.path_parts}
        for name in route.query_parts:
            parts.setdefault(name, KeyPart(name=name, source="query"))
        for part in context.parts:
            name = f"of_{part.source}_{part.name}" if part.name in parts else part.name
            parts[name] = replace(part, name=name)
        key = tuple(parts.values())
        guards = endpoint.guards
        behind = (f"stands behind {', '.join(guards)}: the cache goes below",) if guards else ()
        personal = context.per_user or bool(guards) or bool({"user", "session"} & set(endpoint.context))
        self.add(
            function, "endpoint", total, key, ("redis",) if personal or total.unknown else ("redis", "http"),
            after=(*behind, *self.kept_by((route.context,))), per_user=context.per_user, endpoint=endpoint,
            returns=returned_of(self.analysis, self.analysis.contexts[route.context].returns),
        )  # fmt: skip


def _is_worth(total: Total) -> bool:
    return bool(total.reads or total.outside or _parses(total))


def _parses(total: Total) -> bool:
    return any(c.kind == "files" for c in total.context) or any(
        p.startswith(_PARSERS) for p in total.external
    )


def ranked(
    found: Found, application: Application | None
) -> tuple[tuple[Candidate, ...], tuple[Rejected, ...]]:
    """Candidates best first with their ranks, static files last, and what was rejected by place."""
    candidates = sorted(found.candidates, key=lambda c: (-c.score, c.path, c.line, c.kind))
    # a function that answers several routes is looked at once
    first = {(c.path, c.qualname): number for number, c in reversed(list(enumerate(candidates)))}
    again = [c for number, c in enumerate(candidates) if first[c.path, c.qualname] != number]
    candidates = [c for number, c in enumerate(candidates) if first[c.path, c.qualname] == number] + again
    if application is not None and application.static_folder:
        candidates.append(
            Candidate(
                rank=0,
                path=application.static_folder,
                line=1,
                qualname="static",
                kind="static",
                layers=("http",),
                key=(KeyPart(name="filename", source="path"),),
                per_user=False,
                ttl_seconds=None,
                reads=(),
                writers=(),
                score=0.0,
                because=("files that change only with a deployment",),
            )
        )
    listed = first.keys()  # what a POST does is no news about a function whose GET is listed
    unlisted = [r for r in found.rejected if (r.path, r.qualname) not in listed]
    rejected = sorted(dict.fromkeys(unlisted), key=lambda r: (r.path, r.line, r.qualname, r.reason))
    return tuple(replace(c, rank=i) for i, c in enumerate(candidates, 1)), tuple(rejected)
