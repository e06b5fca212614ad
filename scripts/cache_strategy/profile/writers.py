"""Every code path that changes a table."""

from cache_strategy.model.evidence import Writer, WriterHow
from cache_strategy.profile.facts import Context
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import LAMBDA
from cache_strategy.profile.values import ClassRef, Instance, Made

# More places than this commit below a function only where everything calls everything.
_MOST_COMMITTERS = 12
_Found = dict[tuple[str, int, str, WriterHow], set[str]]


def writers_of(analysis: Analysis) -> tuple[Writer, ...]:
    """
    The writers of production code, by place.

    A mixin's method that writes whatever class it is called on (`save`) has every table it was seen to write, and so has
    each caller that decides the class. Who commits what functions below have changed is a writer too.
    """
    found: _Found = {}
    live = analysis.live
    callers = analysis.graph.callers
    for context in live:
        if context.facts.writes:
            for place in _places(analysis, context, callers):
                for table, how, line in context.facts.writes:
                    _note(analysis, found, place, table, how, line)
    committing = _committing(analysis)
    for context in live:
        if context.facts.writes and _is_of_any_class(analysis, context):
            _note_callers(analysis, found, context, callers)
        if not context.facts.commits and any(
            how in ("orm", "many-to-many") for _, how, _ in context.facts.writes
        ):
            _note_committers(analysis, found, context, callers, committing)
    for index, facts in analysis.module_facts.items():
        module = analysis.modules[index]
        for table, how, _ in facts.writes:
            found.setdefault((module.path, 1, "<module>", how), set()).add(table)
    for index, table, how in analysis.notes.get("class writers", ()):
        info = analysis.classes[index]
        found.setdefault((analysis.modules[info.module].path, info.line, info.qualname, how), set()).add(
            table
        )
    made = [
        Writer(path=path, line=line, qualname=qualname, tables=tuple(sorted(tables)), how=how)
        for (path, line, qualname, how), tables in found.items()
    ]
    return tuple(sorted(made, key=lambda w: (w.path, w.line, w.qualname, w.how)))


def _places(analysis: Analysis, context: Context, callers: dict[int, set[int]]) -> list[Context]:
    """Where a write stands: in the function; where that is a package's, in those of the repository that call it."""
    if context.function.module not in analysis.notes.get("library modules", ()):
        return [context]
    found, seen, queue = [], {context.index}, [context.index]
    while queue:
        for caller in callers.get(queue.pop(), set()) - seen:
            seen.add(caller)
            above = analysis.contexts[caller]
            if above.function.module in analysis.notes["library modules"]:
                queue.append(caller)
            else:
                found.append(above)
    if not found:
        # nothing but the class says so: a view that inherits all of its handler
        receivers = [c for i in seen if isinstance(c := analysis.contexts[i].receiver, Made) and c.owner >= 0]
        for receiver in receivers:
            if not analysis.modules[analysis.classes[receiver.owner].module].is_test:
                for table, how, _ in context.facts.writes:
                    analysis.notes.setdefault("class writers", {})[receiver.owner, table, how] = None
    return found


def _note(analysis: Analysis, found: _Found, context: Context, table: str, how: WriterHow, line: int) -> None:
    function = context.function
    while function.name == LAMBDA and function.outer >= 0:
        function = analysis.functions[function.outer]
    module = analysis.modules[function.module]
    if module.is_test:
        return
    qualname = function.qualname.replace("." + LAMBDA, "").replace(LAMBDA, "<module>")
    found.setdefault((module.path, function.line, qualname, how), set()).add(table)


def _is_of_any_class(analysis: Analysis, context: Context) -> bool:
    receiver = context.receiver
    return (
        isinstance(receiver, Instance | ClassRef)
        and receiver.index in analysis.mapped
        and context.function.owner >= 0
        and (context.function.owner not in analysis.mapped or context.function.name in ("save", "delete"))
    )


def _note_committers(
    analysis: Analysis,
    found: _Found,
    context: Context,
    callers: dict[int, set[int]],
    committing: dict[int, frozenset[int]],
) -> None:
    """The nearest functions above that commit, by themselves or through what they call, and what commits there."""
    seen = {context.index}
    queue = [context.index]
    while queue:
        index = queue.pop()
        below = committing.get(index)
        if below:
            for other in {index, *below}:
                for table, how, line in context.facts.writes:
                    _note(analysis, found, analysis.contexts[other], table, how, line)
            continue
        for caller in callers.get(index, ()):
            if caller not in seen:
                seen.add(caller)
                queue.append(caller)


def _committing(analysis: Analysis) -> dict[int, frozenset[int]]:
    found: dict[int, frozenset[int]] = {
        c.index: frozenset((c.index,)) for c in analysis.contexts if c.facts.commits
    }
    callers = analysis.graph.callers
    queue = list(found)
    while queue:
        index = queue.pop()
        for caller in callers.get(index, ()):
            known = found.get(caller, frozenset())
            if not found[index] <= known and len(known) < _MOST_COMMITTERS:
                found[caller] = known | found[index]
                queue.append(caller)
    return found


def _note_callers(analysis: Analysis, found: _Found, context: Context, callers: dict[int, set[int]]) -> None:
    seen = {context.index}
    queue = [context.index]
    while queue:
        for caller in callers.get(queue.pop(), ()):
            if caller in seen:
                continue
            seen.add(caller)
            other = analysis.contexts[caller]
            for table, how, line in context.facts.writes:
                _note(analysis, found, other, table, how, line)
            if _is_of_any_class(analysis, other):
                queue.append(caller)
