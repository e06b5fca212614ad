"""From the analysis to the evidence: endpoints, functions, tables, writers, candidates."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Endpoint, Evidence, Function, Table, Unread
from cache_strategy.profile import effects
from cache_strategy.profile.analysis import Analysis
from cache_strategy.profile.application import application_of
from cache_strategy.profile.candidates import Judge, ranked
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Context
from cache_strategy.profile.frameworks import load_frameworks
from cache_strategy.profile.frameworks._base import Route
from cache_strategy.profile.kept import Kept
from cache_strategy.profile.library import ONCE
from cache_strategy.profile.lowering import LAMBDA
from cache_strategy.profile.orms import load_orms
from cache_strategy.profile.orms._base import Mapped, TableFound
from cache_strategy.profile.parameters import parameters_of
from cache_strategy.profile.program import FunctionInfo, Program
from cache_strategy.profile.reading import Source, digests_of, read_sources
from cache_strategy.profile.repository import commit_of
from cache_strategy.profile.returned import returned_of
from cache_strategy.profile.totals import Total, merged
from cache_strategy.profile.values import NOTHING, join
from cache_strategy.profile.walk import Found, walk
from cache_strategy.profile.writers import writers_of

# Each round knows what the one before it stored in shared places (`g`, attributes of objects); two settle nearly
# every application, a third is the limit.
_ROUNDS = 2


def evidence_of(
    repo: Path, jobs: int, progress: Callable[[str], None], started: float, folder: Path | None
) -> Evidence:
    if not repo.is_dir():
        raise CacheStrategyError(
            f"{repo}: is no folder; name the folder of a repository. Run: cache-strategy profile PATH"
        )
    files, unread = walk(repo)
    kept = None if folder is None else Kept(folder, repo, files, unread)
    digests = {} if kept is None else digests_of(files)
    found = None if kept is None else kept.evidence(digests)
    if found is not None:
        return replace(found, commit=commit_of(repo), seconds=round(monotonic() - started, 3))
    known = {} if kept is None else kept.known(digests)
    sources, unread_sources, read = read_sources(files, jobs, progress, known)
    evidence = _evidence(repo, files, [*unread, *unread_sources], sources, progress, started)
    if kept is not None:
        same = all(digests.get(path) == digest for path, (digest, _) in read.items())
        kept.keep(evidence[0] if same and evidence[1] else None, dict(read.values()))
    return evidence[0]


def _evidence(
    repo: Path,
    files: list[Found],
    unread: list[Unread],
    sources: list[Source],
    progress: Callable[[str], None],
    started: float,
) -> tuple[Evidence, bool]:
    """The evidence, and whether everything could be followed."""
    program = Program(sources, repo.resolve().name)
    roots = imported_roots(program)
    frameworks = [f for f in load_frameworks() if roots.intersection(f.packages)]
    # a cursor that is handed around needs no driver's name
    orms = [o for o in load_orms() if roots.intersection(o.packages) or o.name == "raw_sql"]
    analysis = Analysis(program, frameworks, orms)
    analysis.imports = roots
    analysis.notes["templates"] = {"repo": str(repo)}
    routes, totals = analyse(analysis, progress)
    endpoints = {number: endpoint_of(analysis, route, totals) for number, route in enumerate(routes)}
    functions = functions_of(analysis, totals)
    writers = writers_of(analysis)
    application = application_of(analysis, routes, repo)
    judged = Judge(analysis, totals, routes, endpoints, functions, writers).judge()
    given_up = [Unread(path=path, reason=reason) for path, reason in analysis.unread]
    candidates, rejected = ranked(judged, application)
    evidence = Evidence(
        repo=repo.resolve().name,
        commit=commit_of(repo),
        frameworks=tuple(f.name for f in frameworks),
        orms=tuple(o.name for o in orms if roots.intersection(o.packages)),
        files=len(files),
        lines=sum(source.lines for source in sources),
        seconds=round(monotonic() - started, 3),
        unread=tuple(sorted([*unread, *given_up], key=lambda u: (u.path, u.reason))),
        endpoints=tuple(sorted(set(endpoints.values()), key=lambda e: (e.route, e.method, e.path, e.line))),
        candidates=candidates,
        rejected=rejected,
        functions=tuple(functions.values()),
        tables=tables_of(analysis),
        writers=writers,
        application=application,
    )
    return evidence, not given_up


def analyse(analysis: Analysis, progress: Callable[[str], None]) -> tuple[list[Route], list[Total]]:
    """Evaluates everything until nothing new is stored anywhere; the routes, and the total of every evaluation."""
    for start in analysis.hooks["start"]:
        start(analysis)
    routes: list[Route] = []
    for number in range(_ROUNDS):
        analysis.memory.records = number + 1 < _ROUNDS
        evaluate_everything(analysis, progress)
        routes = [route for ask in analysis.hooks["routes"] for route in ask(analysis)]
        for route in routes:
            analysis.answer(route.context)
        is_application = bool(routes or analysis.mapped)
        if not analysis.stale or not is_application or number == _ROUNDS - 1:
            break
        analysis.forget_evaluations()
    progress("following effects through the calls")
    analysis.memory.forget()
    graph = analysis.settle()
    once = {
        context.index
        for context in graph.contexts
        if context.function.decorators
        and any(path in ONCE for path, _ in analysis.decoration(context.function).externals)
    }
    return routes, effects.solve(graph, once)


def evaluate_everything(analysis: Analysis, progress: Callable[[str], None]) -> None:
    """Every module's top level, then every function of production code that no call has evaluated yet."""
    program = analysis.program
    for module in program.modules:
        if not module.is_test:
            frame = Frame(analysis, module, None, None, {}, analysis.facts_of(module))
            try:
                frame.run(module.statements())
            except Exception as error:
                analysis.give_up(None, error, module)
    for number, function in enumerate(list(program.production_functions())):
        if not analysis.contexts_of(function.index):
            analysis.generic(function)
        if number % 500 == 0:
            progress(f"followed {number} of {len(program.functions)} functions")
    analysis.follow_cut()


def endpoint_of(analysis: Analysis, route: Route, totals: list[Total]) -> Endpoint:
    """A route with everything that its request does: hooks, decorators, handler, the writing out of the answer."""
    function = analysis.functions[route.function]
    guard = effects.before(analysis, function, totals)
    hooks = [analysis.contexts[index].function for index in route.around]
    around = [
        merged([totals[index], effects.before(analysis, hook, totals)])
        for index, hook in zip(route.around, hooks, strict=True)
    ]
    total = merged([totals[route.context], guard, *around])
    library = analysis.notes.get("library modules", ())
    looking = [
        f"before_request {hook.qualname}"
        for hook, t in zip(hooks, around, strict=True)
        if hook.module not in library and identifies(t)
    ]
    place = function if route.owner < 0 else analysis.classes[route.owner]
    return Endpoint(
        id=f"{route.method} {route.route}",
        method=route.method,
        route=route.route,
        path=analysis.modules[place.module].path,
        line=place.line,
        qualname=place.qualname,
        reads=total.tables(),
        writes=total.listed("writes"),
        context=context_of(route, total),
        guards=tuple(dict.fromkeys([*route.guards, *own_guards(analysis, function, totals), *looking])),
    )


def context_of(route: Route, total: Total) -> tuple[str, ...]:
    kinds = {c.kind for c in total.context}
    kinds |= {kind for kind, parts in (("query", route.query_parts), ("body", route.body_parts)) if parts}
    return tuple(sorted(kinds - {"path"}))


def own_guards(analysis: Analysis, function: FunctionInfo, totals: list[Total]) -> list[str]:
    return [text for index, text in analysis.decoration(function).wrappers if identifies(totals[index])]


def identifies(total: Total) -> bool:
    return any(c.kind in ("user", "session", "cookie") or c.name == "Authorization" for c in total.context)


def functions_of(analysis: Analysis, totals: list[Total]) -> dict[int, Function]:
    """Every function of production code that does something besides computing, by its index."""
    found = {}
    live: dict[int, list[Context]] = {}
    for context in analysis.live:
        live.setdefault(context.function.index, []).append(context)
    for info in analysis.program.production_functions():
        contexts = live.get(info.index, [])
        if info.name == LAMBDA or not contexts:
            continue
        total = merged(totals[c.index] for c in contexts)
        if not total:
            continue
        module = analysis.modules[info.module]
        found[info.index] = Function(
            path=module.path,
            line=info.line,
            qualname=info.qualname,
            module=module.name,
            parameters=parameters_of(analysis, info),
            returns=returned_of(analysis, join(*(c.returns for c in contexts)) if contexts else NOTHING),
            effects=effects.effects_of(total),
            decorators=tuple(analysis.decoration(info).texts),
            is_async=info.is_async,
        )
    return found


def tables_of(analysis: Analysis) -> tuple[Table, ...]:
    found: dict[str, Table] = {}

    def add(
        table: Mapped | TableFound, name: str, model: str, key: Iterable[str], columns: Iterable[str]
    ) -> None:
        known = found.get(name)
        found[name] = Table(
            name=name,
            path=known.path if known else table.path,
            line=known.line if known else table.line,
            model=known.model if known else model,
            primary_key=(known and known.primary_key) or tuple(key),
            columns=tuple(dict.fromkeys([*(known.columns if known else ()), *columns])),
            parents={**(known.parents if known else {}), **table.parents},
            cascades=tuple(sorted(analysis.cascades(name) - {name})),
        )

    for mapped in analysis.mapped.values():
        info = analysis.classes[mapped.index]
        model = f"{analysis.modules[info.module].name}.{info.qualname}"
        key = [mapped.columns.get(name, name) for name in mapped.primary_key]
        add(mapped, mapped.table, model, key, mapped.columns.values())
    for table in analysis.tables.values():
        if table.name not in found:
            add(table, table.name, "", table.primary_key, table.columns)
    return tuple(found[name] for name in sorted(found))


def imported_roots(program: Program) -> set[str]:
    """The packages that production code imports."""
    return {
        binding[1].partition(".")[0]
        for module in program.modules
        if not module.is_test
        for bound in program.bindings(module).values()
        for binding in bound
        if binding[0] == "import" or (binding[0] == "from" and not binding[2])
    }
