"""
How many faults in the invalidation protocol its model finds: one rule of the emitted module is broken at a time.

    python tests/servers.py -- python bench/protocol_mutants.py [--examples 300] [NAME…]

Each mutant is run through `tests/emit/runtime/test_runtime_model.py`; what survives is listed. Left out is what another
rule makes up for alone: undelivered tags are not read while the link is whole (it never is then), the script compares the
versions of a late value (so does who gets it), a new server forgets the latest version (all is invalid then anyway), what is
delivered is delivered for all (a caller whose own invalidation fails names its tags again).
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/emit/runtime"), str(ROOT / "scripts"), str(ROOT / "tests")]

model: Any = importlib.import_module("test_runtime_model")

MUTANTS: dict[str, tuple[str, ...]] = {
    # versions
    "a hit does not compare versions": ("is_valid = record.versions == turn.versions", "is_valid = True"),
    "a late hit does not compare versions": ("late.versions == versions and", "True and"),
    "another process' value is taken under any versions": ("record.versions == versions == turn.versions", "True"),
    "what memory holds is not compared": ("if record.versions == versions:\n                    record.checked_at", "if True:\n                    record.checked_at"),
    "versions are noted after the computation": ("elif turn.keeps:\n", "elif turn.keeps:\n                turn.versions = await self.cache.link.versions(turn.slot)\n"),
    "the versions first seen are stored": ("turn.versions = versions\n", "turn.versions = versions if b\"\" in turn.versions.split(b\",\") else turn.versions\n"),
    "a missing version is zero": ("local latest = tonumber(seen[1]) or now", "local latest = 1"),
    "a missing version is not written": ("redis.call('SET', KEYS[i], seen[i], 'PX', ARGV[1])", "local nothing = 0"),
    "an invalidation does not raise the latest": ("latest = math.max(latest, math.min(new, now + 1))", "latest = latest"),
    "a version need not grow": ("new = math.max(new, old + 1)", "new = math.max(old, 1)"),
    "one tag of many is invalidated": ("for i = 2, #KEYS do", "for i = 2, 2 do"),
    # before and after the commit
    "a hold is not long": ("int(hold_seconds * MICROSECONDS)", "0"),
    "a hold does not keep readers from storing": ("> turn.seen_us:", "> turn.seen_us + 10**9:"),
    "an older transaction may store": ("turn.seen_us -= int((cache.clock() - began) * MICROSECONDS)", "pass"),
    "a release leaves the hold": ("redis.pcall('ZREM', holds, ARGV[4]) == 1 then", "false then"),
    "a release ends every hold": ("tonumber(redis.call('ZRANGE', holds, -1, -1)[1]) or now", "now"),
    "a hold is of all that is due": ("and i <= ARGV[3] + 1 then", "then"),
    # undelivered invalidations
    "an invalidation is not repeated": ("if self.undelivered:\n                    due, arguments", "if False:\n                    due, arguments"),
    "delivered before Redis answered": (
        *("due, arguments = self._due(tags, hold_us, release)\n", "due, arguments = self._due(tags, hold_us, release)\n            self._delivered(due)\n"),
        *("self.undelivered |= frozenset(tags)  # another", "pass  # another"),
    ),
    "the link is mended too early": ("if not self.undelivered:\n                        self._recovery", "if True:\n                        self._recovery"),
    # a server that comes back
    "a server that comes back is believed": ("if server and get(KEYS[1]) ~= server then", "if false then"),
    "a new server is not remembered": ("redis.call('SET', KEYS[1], server, 'PX', ARGV[1])", "local nothing = 0"),
    "only the first connection greets": ("if place == self._address.place(self.latest):", "if not self.clock_offset:"),
    # what a process knows of changes
    "the window never ends": ("if now - record.checked_at >= window and (", "if False and ("),
    "announcements are not learned": ("self.learn(_tags_in(rest[-1]))", "pass"),
    "own invalidations are not learned": (
        *("        self.learn(tags)\n        try:", "        try:"),
        *("        self.learn(due)\n        with self._lock:", "        with self._lock:"),
    ),
    "changes are known of one tag": ("max([self._changed.get(tag, 0) for tag in tags])", "self._changed.get(tags[0], 0)"),
    "the epoch is read after asking": ("record.checked_at, record.epoch = asked_at, epoch", "record.checked_at, record.epoch = asked_at, link.epoch"),
    "a record is checked when the answer came": ("record.checked_at, record.epoch = asked_at, epoch", "record.checked_at, record.epoch = self.cache.clock(), epoch"),
    "covered from ever": ("self._covered_from = self._clock()", "self._covered_from = 0.0"),
    "heard when the answer came": ("has_answered, self._heard_at = True, asked_at", "has_answered, self._heard_at = True, self._clock() + 2"),
    "a computed record is of the newest epoch": ("*times, turn.asked_at, turn.epoch)", "*times, turn.asked_at, self.cache.link.epoch)"),
    "a computed record is checked when it is stored": ("*times, turn.asked_at, turn.epoch)", "*times, self.cache.clock(), turn.epoch)"),
    # one computation
    "any flight is joined": ("if flight is None or not flight.is_as_new_as(turn.versions):", "if flight is None:"),
    "what any flight brings is taken": ("if flight.record is not None and flight.is_as_new_as(turn.versions):", "if flight.record is not None:"),
    "flights are not joined": ("flight = cache.flights.get(name)\n", "flight = None\n"),
    "a flight stays when it has landed": ("del cache.flights[turn.slot.name]", "pass"),
    "who waits is not told": ("flight.done.set()", "pass"),
    "the lock is taken by everybody": ("or get(lock) == token then", "or true then"),
    "the lock is not opened": ('("DEL", lock)]', '("EXISTS", lock)]'),
    "the lock is never got": ("then locked = 1 end", "then locked = 0 end"),
    "nothing is stored": ('("SET", slot.redis_name, data, "PX", life_ms)', '("EXISTS", slot.redis_name)'),
    "nobody waits for another process": ("if is_locked or not token", "if True or not token"),
    "old values are served for ever": ("age_us < self.staleness_bound_seconds * MICROSECONDS", "age_us < 10 * MICROSECONDS"),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="only mutants with these words")
    parser.add_argument("--examples", type=int, default=300)
    options = parser.parse_args()
    survived, chosen = [], [n for n in MUTANTS if not options.names or any(w in n for w in options.names)]
    for name in chosen:
        started = time.monotonic()
        found = fault(name, options.examples)
        print(f"{time.monotonic() - started:6.1f} s  {name}: {found or 'NOT FOUND'}", flush=True)
        survived += [] if found else [name]
    print(
        f"{len(chosen) - len(survived)} of {len(chosen)} found ({1 - len(survived) / max(1, len(chosen)):.0%})"
    )
    return int(bool(survived))


def fault(name: str, examples: int) -> str:
    """What the model says against a mutant; "" if nothing."""
    edits = MUTANTS[name]

    def broken(source: str) -> str:
        for old, new in zip(edits[::2], edits[1::2], strict=True):
            assert source.count(old) == 1, f"{name}: {old!r} is not in the module, or more than once"
            source = source.replace(old, new)
        return source

    for machine, steps in model.use(os.environ["REDIS_URL"], broken).items():
        how = settings(
            max_examples=examples if machine is model.Rounds else examples // 3,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                run_state_machine_as_test(machine, settings=how)
        except Exception as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
