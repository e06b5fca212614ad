"""
What an evaluation asked for and was told, so that the next round need not run it again where the answers are the same.

A round evaluates everything in one order. Where the one before it was asked the same, the questions are asked again, in
their order, and the answers compared: all that was found is then taken over, and what has changed is evaluated.
"""

from typing import Any

from cache_strategy.profile.facts import Call, Context, Decoration
from cache_strategy.profile.kinds import Analysis

Trace = dict[tuple[Any, ...], Any]
_State = tuple[Trace | None, bool, dict[object, list[int]]]
_NO_CONTEXTS: list[Context] = []


class Memory:
    """
    `issued` are the calls of the evaluation at hand that were made already when its answers were compared.

    `trace` are the questions of the evaluation at hand with their answers; None where nobody will ask again.

    ("stored", place), ("global", module, name) and ("attribute", class, name) have values, ("store", place, values) is done again, ("call", evaluation, …) the object
    and the arguments, ("decoration", function) nothing.
    """

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.trace: Trace | None = None
        self.records = False
        self.issued: dict[object, list[int]] = {}
        self._pending: dict[object, list[int]] = {}
        self._repeatable = True
        self._kept: dict[int, tuple[Trace, tuple[int, ...], int]] = {}
        self._contexts = _NO_CONTEXTS
        self._keys: list[object] = []
        self._index: dict[object, int] = {}
        self._decorations: dict[int, Decoration] = {}

    def begin(self) -> _State:
        """The evaluation of a function begins; gives what `end` must be given."""
        outer = (self.trace, self._repeatable, self.issued)
        self.issued, self._pending = self._pending, {}
        if self.records:
            self.trace, self._repeatable = {}, True
        return outer

    def end(self, context: Context, outer: _State) -> None:
        if self.records and self._repeatable and self.trace is not None:
            self._kept[context.index] = (self.trace, _sizes(context), self._mapped())
        self.resume(outer)

    def suspend(self) -> _State:
        """What is asked from here on belongs to an answer that is itself noted; gives what `resume` must be given."""
        outer = (self.trace, self._repeatable, self.issued)
        self.trace, self.issued = None, {}
        return outer

    def resume(self, outer: _State) -> None:
        self.trace, self._repeatable, self.issued = outer

    def note(self, question: tuple[Any, ...], answer: Any) -> None:
        if self.trace is not None and self.trace.setdefault(question, answer) is not answer:
            self._repeatable = self._repeatable and self.trace[question] == answer

    def cannot_repeat(self) -> None:
        """The evaluation at hand saw what another order would not have shown it."""
        self._repeatable = False

    def keep(
        self, contexts: list[Context], keys: dict[object, int], decorations: dict[int, Decoration]
    ) -> None:
        """A round is over: its evaluations may be recalled in the next, which is the last."""
        self.records = False
        self._contexts, self._index, self._decorations = contexts, keys, decorations
        self._keys = [self.analysis.key_of(context.index) for context in contexts]

    def forget(self) -> None:
        self._contexts, self._keys, self._index, self._decorations, self._kept = _NO_CONTEXTS, [], {}, {}, {}

    def recall(self, context: Context, key: object) -> bool:
        """Takes over what the last round found for the same call; False where it has to be evaluated."""
        index = self._index.get(key)
        kept = None if index is None else self._kept.get(index)
        if index is None or kept is None:
            return False
        trace, sizes, mapped = kept
        past = self._contexts[index]
        if mapped != self._mapped() or sizes != _sizes(past):
            return False
        context.state = 1
        context.again = False
        self.analysis.depth += 1
        outer = self.suspend()
        issued: dict[object, list[int]] = {}
        try:
            same = all(self._same(question, answer, issued) for question, answer in trace.items())
            calls = self._moved(past) if same and not context.again else None
        finally:
            self.resume(outer)
            self.analysis.depth -= 1
            context.state = 0
        if calls is None:
            # a question that is asked twice may have another answer: what was asked just now is not asked again
            self._pending = issued
            return False
        context.facts, context.returns, context.yields, context.state = (
            past.facts,
            past.returns,
            past.yields,
            2,
        )
        context.facts.calls = calls
        return True

    def _same(self, question: tuple[Any, ...], answer: Any, issued: dict[object, list[int]]) -> bool:
        analysis, kind = self.analysis, question[0]
        if kind == "call":
            past = self._contexts[question[1]]
            found = analysis.context(past.function, *answer)
            issued.setdefault((past.function.index, *question[2:]), []).append(found.index)
            return (
                found.state == 2
                and found.returns == past.returns
                and analysis.known_context(self._keys[past.index]) == found.index
            )
        if kind == "stored":
            return bool(analysis.stores.get(question[1], frozenset()) == answer)
        if kind == "store":
            owner, name = question[1]
            analysis.store(owner, name, answer)
            return True
        if kind == "global":
            return bool(analysis.global_value(analysis.modules[question[1]], question[2]) == answer)
        if kind == "attribute":
            return bool(analysis.class_attribute(question[1], question[2]) == answer)
        before = self._decorations.get(question[1])
        after = analysis.decoration(analysis.functions[question[1]])
        return before is not None and (
            before.texts == after.texts
            and before.externals == after.externals
            and before.result == after.result
            and len(before.serializers) == len(after.serializers)
            and [self._keys[i] for i in before.contexts] == [analysis.key_of(i) for i in after.contexts]
        )

    def _moved(self, past: Context) -> set[Call] | None:
        """The calls, as this round numbers the evaluations; None where one is not known yet."""
        found = set()
        numbers: dict[int, int | None] = {}
        for call in past.facts.calls:
            callee = call.callee
            if callee not in numbers:
                numbers[callee] = self.analysis.known_context(self._keys[callee])
            number = numbers[callee]
            if number is None:
                return None
            found.add(call if number == callee else Call(number, *call[1:]))
        return found

    def _mapped(self) -> int:
        return len(self.analysis.mapped) + len(self.analysis.tables)


def _sizes(context: Context) -> tuple[int, ...]:
    """What tells that something was added to what an evaluation found."""
    f = context.facts
    sets = (f.reads, f.writes, f.context, f.side_effects, f.unknown, f.queries, f.sql, f.calls, f.caches)
    return tuple([len(found) for found in sets])
