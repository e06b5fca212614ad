"""Three runs of the user's command: caches off, on, and on with the oracle that recomputes every hit."""

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Trace
from cache_strategy.model.verdict import EntryVerdict, Run, Verdict, Visits
from cache_strategy.verify.blocks import Pair, compared, order_of
from cache_strategy.verify.figures import before_and_after
from cache_strategy.verify.hints import untested_hint
from cache_strategy.verify.mismatches import judge
from cache_strategy.verify.side_by_side import Answer, Tour, answers_in, differences, write_spec

Mode = Literal["off", "on", "oracle"]
MODES: tuple[Mode, ...] = ("off", "on", "oracle")
CACHE_MODE: dict[Mode, str] = {"off": "off", "on": "on", "oracle": "shadow"}
CALLED: dict[Mode, str] = {
    "off": "caches off",
    "on": "caches on",
    "oracle": "caches on, every hit recomputed",
}
SUMMARY_LINES = 12
VISIT = Path(__file__).with_name("visit.py")


class Recorded(Protocol):
    """What `run_recorded` returns."""

    @property
    def exit_code(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def output_tail(self) -> str: ...
    @property
    def interrupted(self) -> bool: ...


def verify(
    contract: Contract,
    command: Sequence[str],
    repo: Path,
    *,
    run_recorded: Callable[..., Recorded],
    read_trace: Callable[[Path], Trace],
    work: Path,
    redis_url: str,
    only: Sequence[str] = (),
    fail_fast: bool = False,
    pairs: int = 0,
    tour: Tour | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verdict:
    """
    Runs `command` three times and says for each entry what that showed.

    An entry is refuted by one served value that differs from what the origin answers, unless a write explains it and
    is younger than the entry's staleness bound; untested without a compared hit; else proven.

    Args:
        run_recorded, read_trace: the doors of `record`.
        work: a folder of ours; the output of each run stays there as `<mode>/output.txt`.
        only: ids of the entries to judge; all caches are on nevertheless.
        fail_fast: no further run after one that failed.
        pairs: so many more runs with caches off and on, taking turns, for the figures before and after.
        tour: `command` starts a server; this is what visitors ask it for, side by side.

    Raises:
        CacheStrategyError: no Redis, an unknown id in `only`, a command that cannot be started.
        KeyboardInterrupt: a run was interrupted, so that it says nothing.
    """
    entries = _chosen(contract, only)
    _check_redis(redis_url)
    settings = {contract.infrastructure.redis.url_env: redis_url}
    runner = _Runner(command, repo, work, settings, run_recorded, read_trace, tour)
    runs: list[Run] = []
    traces: dict[Mode, list[Trace]] = {mode: [] for mode in MODES}
    say = progress or (lambda line: None)
    for number, mode in enumerate(MODES, 1):
        say(f"{CALLED[mode]} ({number} of {len(MODES)}): {' '.join(command)}")
        run, trace = runner.run(mode, mode)
        runs.append(run)
        traces[mode].append(trace)
        if run.exit_code and (mode == "off" or fail_fast):
            return _without_proof(command, entries, runs, work)
    taken: list[Pair] = []
    for number, order in enumerate(order_of(pairs), 1):
        say(f"caches {' and '.join(order)} (pair {number} of {pairs}): {' '.join(command)}")
        both: dict[str, Run] = {}
        for mode in order:
            both[mode], trace = runner.run(mode, f"block-{mode}")
            traces[mode].append(trace)
        if any(run.exit_code for run in both.values()):
            runs += both.values()
            break
        taken.append((both["off"], both["on"]))
    verdict = _verdict(command, entries, runs, traces, work, runner.visits())
    return replace(verdict, comparisons=compared(taken) if len(taken) == pairs else ())


class _Runner:
    """Runs the command once at a time: watched, with its caches in a state, from an empty cache."""

    def __init__(
        self,
        command: Sequence[str],
        repo: Path,
        work: Path,
        settings: Mapping[str, str],
        run_recorded: Callable[..., Recorded],
        read_trace: Callable[[Path], Trace],
        tour: Tour | None,
    ) -> None:
        self.command = command
        self.repo = repo
        self.work = work
        self.settings = settings
        self.run_recorded = run_recorded
        self.read_trace = read_trace
        self.tour = tour
        self.answers: dict[str, Sequence[Answer]] = {}
        self.token = secrets.token_hex(4)
        self.number = 0

    def run(self, mode: Mode, name: str) -> tuple[Run, Trace]:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        self.number += 1
        env = {
            **self.settings,
            "CACHE_MODE": CACHE_MODE[mode],
            "CACHE_NAMESPACE": f"verify-{self.token}-{self.number}",
        }
        command = self.command
        if self.tour is not None:
            folder.mkdir(parents=True)
            command = (sys.executable, str(VISIT), str(write_spec(self.tour, self.command, folder)))
        began = processor_seconds()
        try:
            recorded = self.run_recorded(command, self.repo, folder, env=env, quiet=True, plain=True)
            if recorded.interrupted:
                raise KeyboardInterrupt
            trace = self.read_trace(folder)
            if self.tour is not None and name == mode:
                self.answers[CALLED[mode]] = answers_in(folder)
        finally:
            _remove_what_users_see(folder)
        spent = None if began is None else round((processor_seconds() or 0) - began, 3)
        return replace(_run(mode, recorded, trace), cpu_seconds=spent), trace

    def visits(self) -> Visits | None:
        if self.tour is None:
            return None
        off, *others = self.answers.items()
        return differences(self.tour, off[1], dict(others))


def processor_seconds() -> float | None:
    """Of all processes that were started and have ended; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _chosen(contract: Contract, only: Sequence[str]) -> tuple[Entry, ...]:
    known = {entry.id: entry for entry in contract.entries}
    for name in only:
        if name not in known:
            raise CacheStrategyError(
                f"--only {name}: is not an entry of the contract; its entries are {', '.join(known) or 'none'}."
            )
    return tuple(entry for entry in contract.entries if not only or entry.id in only)


def _check_redis(redis_url: str) -> None:
    import redis

    try:
        with redis.Redis.from_url(redis_url, socket_connect_timeout=3, socket_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        scheme, _, rest = redis_url.partition("://")  # a password may hold any sign, as people write it
        shown = f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
        why = type(error).__name__ if isinstance(error, ValueError) else error  # that would quote the address
        raise CacheStrategyError(
            f"{shown}: does not answer as a Redis ({why}); start it, or set REDIS_URL to one that runs."
        ) from None


def _remove_what_users_see(folder: Path) -> None:
    """Journals hold keys and values in clear, answers whole pages, the order of visits the visitors' sessions."""
    for file in (*folder.glob("*.jsonl"), *folder.glob("*.json")):
        file.unlink(missing_ok=True)


def _run(mode: Mode, recorded: Recorded, trace: Trace) -> Run:
    counted = [access.statements for access in trace.accesses if access.statements is not None]
    return Run(
        mode=mode,
        exit_code=recorded.exit_code,
        seconds=round(recorded.seconds, 3),
        summary=_summary(recorded),
        statements=sum(counted) if counted else None,
        requests=len(trace.accesses) or None,
    )


def _summary(recorded: Recorded) -> str:
    """The last line of a run that passed; of one that failed the lines that say so."""
    lines = [line.rstrip() for line in recorded.output_tail.splitlines() if line.strip()]
    if not recorded.exit_code:
        return lines[-1] if lines else ""
    said = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return "\n".join([*said[: SUMMARY_LINES - 1], lines[-1]] if said else lines[-SUMMARY_LINES:])


def _failure(run: Run, work: Path) -> str:
    said = f"The command fails with caches off (exit code {run.exit_code}): the proof needs one that passes."
    if run.mode != "off":
        said = f"The command passes with caches off and fails with {CALLED[run.mode]} (exit code {run.exit_code})."
    return f"{said} Its output: {work / run.mode / 'output.txt'}"


def _without_proof(
    command: Sequence[str], entries: Sequence[Entry], runs: Sequence[Run], work: Path
) -> Verdict:
    hint = f"The command fails with {CALLED[runs[-1].mode]}; make it pass first."
    untested = tuple(EntryVerdict(id=entry.id, verdict="untested", hits=0, hint=hint) for entry in entries)
    notes = (_failure(runs[-1], work),)
    return Verdict(ok=False, command=tuple(command), entries=untested, runs=tuple(runs), notes=notes)


def _verdict(
    command: Sequence[str],
    entries: Sequence[Entry],
    runs: Sequence[Run],
    traces: Mapping[Mode, Sequence[Trace]],
    work: Path,
    visits: Visits | None,
) -> Verdict:
    notes = [_failure(run, work) for run in runs if run.exit_code]
    oracle = traces["oracle"][0]
    if not any(event.entry for event in oracle.cache_events):
        notes.append(
            "No cache was used in any run. Were the changes applied (emit --apply), and does the command run the application?"
        )
        notes.extend(oracle.notes)
    judged = [_judge(entry, traces, notes) for entry in entries]
    failed = any(run.exit_code for run in runs) or any(entry.verdict == "refuted" for entry in judged)
    failed = failed or bool(visits and visits.differences)
    tested = any(entry.verdict == "proven" for entry in judged)
    return Verdict(
        ok=tested and not failed,
        command=tuple(command),
        entries=tuple(judged),
        runs=tuple(runs),
        notes=tuple(notes),
        visits=visits,
    )


def _judge(entry: Entry, traces: Mapping[Mode, Sequence[Trace]], notes: list[str]) -> EntryVerdict:
    oracle = traces["oracle"][0]
    judgement = judge(entry, oracle)
    notes.extend(f"{entry.id}: {note}" for note in judgement.notes)
    before, after = before_and_after(entry, traces["off"], traces["on"])
    word: Literal["proven", "refuted", "untested"] = "proven" if judgement.hits else "untested"
    events = [event for event in oracle.cache_events if event.entry == entry.id]
    if judgement.mismatches:
        word = "refuted"
    return EntryVerdict(
        id=entry.id,
        verdict=word,
        hits=judgement.hits,
        mismatches=judgement.mismatches,
        before=before,
        after=after,
        hint=untested_hint(entry, events) if word == "untested" else "",
    )
