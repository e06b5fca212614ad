"""Compares answers: with those before to the same key, and with those to other users."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

RECENT = 32
"""Answers to one key that are remembered; a user who comes back later than these is not compared."""


OWN_SECONDS = 1.0
"""A transaction sees what it wrote before its commit: so far from a commit a difference is put down to it (assumed)."""


class Answer(NamedTuple):
    """An answer with its digest; `began` and `ended` in seconds."""

    process: int
    key: str
    user: str
    digest: str
    began: float
    ended: float


@dataclass
class Comparison:
    """
    Shares as counts. `changes` and `repeats`: to one key and user. `same` and `meetings`: to a key and another user than
    before. `quiet` and `unexplained`: repeats with no write between, and those that differed. `returns` and `private`: answers to
    others between two such equal ones to a user, and those that differed: only who asks can be the reason.
    """

    changes: int = 0
    repeats: int = 0
    same: int = 0
    meetings: int = 0
    private: int = 0
    returns: int = 0
    unexplained: int = 0
    quiet: int = 0
    seconds: float = 0.0
    users: set[str] = field(default_factory=set)


def compare(answers: Iterable[Answer], writes: Sequence[float]) -> Comparison:
    """Answers in time order, and the times of all writes that may change them, sorted."""
    found = Comparison()
    last: dict[tuple[int, str, str], Answer] = {}
    recent: dict[tuple[int, str], deque[Answer]] = defaultdict(lambda: deque(maxlen=RECENT))
    for answer in answers:
        found.users.add(answer.user)
        others = recent[answer.process, answer.key]
        before = last.get((answer.process, answer.key, answer.user))
        if before is not None:
            differs = before.digest != answer.digest
            found.repeats += 1
            found.changes += differs
            found.seconds += answer.began - before.began
            if bisect_left(writes, before.began - OWN_SECONDS) == bisect_left(
                writes, answer.ended + OWN_SECONDS
            ):
                found.quiet += 1
                found.unexplained += differs
                for other in () if differs else _since(others, before):
                    found.returns += 1
                    found.private += other.digest != answer.digest
        if others and others[-1].user != answer.user:
            found.meetings += 1
            found.same += others[-1].digest == answer.digest
        last[answer.process, answer.key, answer.user] = answer
        others.append(answer)
    return found


def _since(others: Sequence[Answer], before: Answer) -> Iterator[Answer]:
    """Answers to others after one of a user's, none where that is forgotten."""
    for place in range(len(others) - 1, -1, -1):
        if others[place] is before:
            yield from (other for other in list(others)[place + 1 :] if other.user != before.user)
            return
