"""Who calls whom, once everything was followed."""

from collections.abc import Iterable, Iterator, Sequence

from cache_strategy.profile.facts import Context, Facts
from cache_strategy.profile.totals import bits_in

# Circles so large that the routes that lead to them share most of what they reach.
_MOST_CIRCLES = 8


class Callgraph:
    """
    `callees` and `callers` of the evaluations, by index; `looping` those called in a loop; `groups` the evaluations that
    call each other, each after all that it calls.
    """

    def __init__(self, contexts: list[Context]) -> None:
        self.contexts = contexts
        self.callees = [sorted({call.callee for call in c.facts.calls}) for c in contexts]
        self.looping = [{call.callee for call in c.facts.calls if call.in_loop} for c in contexts]
        self.callers: dict[int, set[int]] = {}
        for context in contexts:
            for callee in self.callees[context.index]:
                self.callers.setdefault(callee, set()).add(context.index)
        self.groups = list(circles(self.callees))

    def live(self, outside: set[int]) -> list[Context]:
        """
        The evaluations that stand for a use; `outside` are those that decorators and modules ask for.

        One for any arguments, made only because nothing had called the function yet, says less than those that came later
        with the real arguments, and is left out for them, with what only it calls.
        """
        called = self.callers.keys() - outside
        bound = {c.function.index for c in self.contexts if c.bound}
        spare = {c.index for c in self.contexts if not c.bound and c.function.index in bound} - outside
        queue = [c.index for c in self.contexts if c.index not in called and c.index not in spare]
        live = set(queue)
        for index in queue:
            new = [callee for callee in self.callees[index] if callee not in live]
            live.update(new)
            queue.extend(new)
        known = {self.contexts[index].function.index for index in live}
        return [c for c in self.contexts if c.index in live or c.function.index not in known]

    def below(self, marks: dict[int, int]) -> list[int]:
        """For each evaluation the marks of those that lead to it, and its own."""
        found = [0] * len(self.contexts)
        for index, mark in marks.items():
            found[index] = mark
        for group in reversed(self.groups):
            whole = 0
            for index in group:
                whole |= found[index]
            if whole:
                for index in group:
                    found[index] = whole
                    for callee in self.callees[index]:
                        found[callee] |= whole
        return found

    def most_calls(self, requests: Iterable[tuple[str, Iterable[int]]]) -> dict[int, tuple[int, str]]:
        """
        By function: at how many places one request calls it, and which request does.

        A request is (name, evaluations that it begins with).
        """
        numbers: dict[tuple[int, int, int], int] = {}
        functions = [c.function.index for c in self.contexts]
        places = [0] * len(functions)
        for group in self.groups:
            whole = 0
            for index in group:
                mine = {numbers.setdefault(site, len(numbers)) for site in self._sites(index, functions)}
                whole |= sum(1 << number for number in mine)
                for callee in self.callees[index]:
                    whole |= places[callee]
            for index in group:
                places[index] = whole
        callee_of = [callee for _, _, callee in numbers]
        shared = {places[group[0]] for group in self.groups if len(group) > 1}
        common = sorted(shared, key=int.bit_count, reverse=True)[:_MOST_CIRCLES]
        counted = {base: _counted(base, callee_of) for base in common}
        named: dict[int, str] = {}
        found: dict[int, tuple[int, str]] = {}
        for name, roots in requests:
            whole = 0
            for root in roots:
                whole |= places[root]
            base = next((b for b in common if not b & ~whole), 0)
            known = counted.get(base, {})
            if base:
                named[base] = max(named.get(base, ""), name)
            for callee, count in _counted(whole & ~base, callee_of).items():
                found[callee] = max(found.get(callee, (0, "")), (count + known.get(callee, 0), name))
        for base, name in named.items():
            for callee, count in counted[base].items():
                found[callee] = max(found.get(callee, (0, "")), (count, name))
        return found

    def _sites(self, index: int, functions: list[int]) -> Iterator[tuple[int, int, int]]:
        mine = functions[index]
        return ((mine, call.line, functions[call.callee]) for call in self.contexts[index].facts.calls)


def _counted(number: int, callee_of: list[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for bit in bits_in(number):
        callee = callee_of[bit]
        found[callee] = found.get(callee, 0) + 1
    return found


def called_by(facts: Iterable[Facts]) -> set[int]:
    return {call.callee for each in facts for call in each.calls}


def circles(calls: Sequence[Iterable[int]]) -> Iterator[list[int]]:
    """Those that call each other, each group after all that it calls (Tarjan)."""
    number = [0] * len(calls)
    lowest = [0] * len(calls)
    waiting: list[int] = []
    is_waiting = [False] * len(calls)
    count = 0
    for root in range(len(calls)):
        if number[root]:
            continue
        stack = [(root, iter(calls[root]))]
        count += 1
        number[root] = lowest[root] = count
        waiting.append(root)
        is_waiting[root] = True
        while stack:
            index, rest = stack[-1]
            for callee in rest:
                if not number[callee]:
                    count += 1
                    number[callee] = lowest[callee] = count
                    waiting.append(callee)
                    is_waiting[callee] = True
                    stack.append((callee, iter(calls[callee])))
                    break
                if is_waiting[callee]:
                    lowest[index] = min(lowest[index], number[callee])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    lowest[above] = min(lowest[above], lowest[index])
                if lowest[index] == number[index]:
                    start = _last(waiting, index)
                    group = waiting[start:]
                    del waiting[start:]
                    for member in group:
                        is_waiting[member] = False
                    yield group


def _last(waiting: list[int], index: int) -> int:
    at = len(waiting) - 1
    while waiting[at] != index:
        at -= 1
    return at
