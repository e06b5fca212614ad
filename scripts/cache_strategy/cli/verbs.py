"""
The command line: one function per verb. Reads arguments, calls one stage, prints, sets the exit code.

Exit codes: 0 done or clean, 1 findings or a refusal, 2 wrong usage or input. Heavy imports stand inside the
functions, so that `--help` and `lint` start fast.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cache_strategy.cli import foretold, hookify, invalid_contract, line, sources, visiting
from cache_strategy.cli.terminal import print_json
from cache_strategy.model.errors import CacheStrategyError

app = typer.Typer(
    name="cache-strategy",
    help="Caching for Python web applications: measured before, proven after, guarded from then on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(hookify.app)

RepoArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The repository of the application.")]
RepoOption = Annotated[
    Path, typer.Option("--repo", metavar="PATH", help="The repository of the application.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
LogOption = Annotated[
    list[Path] | None,
    typer.Option("--access-log", metavar="FILE", help="An access log, also gzipped; may be repeated."),
]
FormatOption = Annotated[
    str, typer.Option(metavar="FORMAT", help="Of the access log, as the server's configuration has it.")
]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="DIR", help="A trace written by `record`.")
]
PgOption = Annotated[
    str,
    typer.Option("--pg", metavar="URL", help="A PostgreSQL: its statistics, and EXPLAIN of aggregates."),
]
RedisOption = Annotated[
    str, typer.Option("--redis", metavar="URL", help="A Redis: its keys by prefix, sampled, and its health.")
]
MonitorOption = Annotated[
    float,
    typer.Option("--redis-monitor", metavar="SECONDS", help="Watch its commands for so long (60 at most)."),
]
OtelOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--otel", metavar="FILE", help="OpenTelemetry traces as OTLP JSON, also gzipped; may be repeated."
    ),
]
StackOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--stacks", metavar="FILE", help="A profile of pyinstrument (JSON) or cProfile; may be repeated."
    ),
]
CacheMetricsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--cache-metrics", metavar="FILE", help="What /metrics/cache of the emitted caches answered."
    ),
]
ProductionOption = Annotated[
    bool, typer.Option("--production", help="The recording is of production: its volume counts, too.")
]
CommandArgument = Annotated[
    list[str], typer.Argument(metavar="-- CMD…", help="The command to run, after --.")
]


@app.command()
def run(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    log_format: FormatOption = "",
    trace: TraceOption = None,
    pg: PgOption = "",
    redis: RedisOption = "",
    redis_monitor: MonitorOption = 0,
    otel: OtelOption = None,
    stacks: StackOption = None,
    cache_metrics: CacheMetricsOption = None,
    production: ProductionOption = False,
    json_: JsonOption = False,
) -> None:
    """Profile, plan, simulate where a trace is at hand, report. The main job.

    Writes nothing outside .cache-strategy/ and a contract where there is none.
    """
    repo = line.writable_repository_at(path)
    asked = sources.asked(pg, redis, redis_monitor, otel, stacks, cache_metrics)
    evidence, measured = line.measured_profile_of(repo, access_log, trace, log_format, asked, production)
    replays = foretold.Replays()
    contract, written = line.contract_for(repo, evidence, measured, replays)
    evidence = line.with_entries_measured(repo, evidence, contract, measured)
    forecast = foretold.forecast_of(evidence, contract, measured, replays=replays) if measured else None
    report = line.report_files_of(repo, evidence, contract, forecast, None)
    if json_:
        print_json(
            {
                "schema": 1,
                **line.short_form_of(evidence),
                "contract": written,
                "entries": [e.id for e in contract.entries],
                **report,
            }
        )
        return
    from cache_strategy.report.summary import summarise

    print(summarise(evidence, contract, forecast, written, report))


@app.command()
def profile(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    log_format: FormatOption = "",
    trace: TraceOption = None,
    pg: PgOption = "",
    redis: RedisOption = "",
    redis_monitor: MonitorOption = 0,
    otel: OtelOption = None,
    stacks: StackOption = None,
    cache_metrics: CacheMetricsOption = None,
    production: ProductionOption = False,
    json_: JsonOption = False,
) -> None:
    """Find out what the code does: endpoints, tables, writers, what may be cached and what must not."""
    repo = line.writable_repository_at(path)
    asked = sources.asked(pg, redis, redis_monitor, otel, stacks, cache_metrics)
    evidence, _ = line.measured_profile_of(repo, access_log, trace, log_format, asked, production)
    if json_:
        from cache_strategy.model.document import to_data

        data = to_data(evidence)
        del data["functions"]
        print_json(data)
        return
    from cache_strategy.report.summary import summarise_evidence

    print(summarise_evidence(evidence))


@app.command()
def plan(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    log_format: FormatOption = "",
    trace: TraceOption = None,
    json_: JsonOption = False,
) -> None:
    """Write the contract, cache-strategy.yaml: what is cached, where, for how long, and what invalidates it.

    A contract that a person has edited is never overwritten: the proposal goes to cache-strategy.new.yaml.
    """
    repo = line.writable_repository_at(path)
    evidence, measured = line.measured_profile_of(repo, access_log, trace, log_format)
    contract, written = line.contract_for(repo, evidence, measured)
    if json_:
        from cache_strategy.model.document import to_data

        print_json({**to_data(contract), "written": written})
        return
    print(f"{written}: {len(contract.entries)} entries, {len(contract.rejected)} rejected")
    line.print_difference(repo)


@app.command()
def simulate(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    log_format: FormatOption = "",
    trace: TraceOption = None,
    ttl: Annotated[
        str, typer.Option(help="Times to live in seconds, separated by commas.")
    ] = "60,300,3600,86400",
    capacity: Annotated[
        str, typer.Option(help="Capacities in bytes, separated by commas; empty is unbounded.")
    ] = "",
    policy: Annotated[str, typer.Option(help="Eviction policies, separated by commas.")] = "lru",
    invalidation: Annotated[
        str, typer.Option(help="ttl: values only expire; event: a write takes them out; or both.")
    ] = "ttl",
    parquet: Annotated[
        str, typer.Option(metavar="PLACE", help="A trace in Parquet: a file, a folder, s3://…")
    ] = "",
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="With --parquet: on Dask; tcp://HOST:8786, or local.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Of a local cluster.")] = 2,
    exact_requests: Annotated[
        int, typer.Option(help="Read a log whole; more requests than these are sampled by key.")
    ] = 0,
    json_: JsonOption = False,
) -> None:
    """Forecast hit rate, stale share, origin load and memory from a trace or an access log."""
    repo = line.repository_at(path)
    grid = (
        line.numbers_in("--ttl", ttl),
        line.numbers_in("--capacity", capacity) or [None],
        line.words_in(policy),
        line.words_in(invalidation),
    )
    trace = trace or (None if access_log or parquet else line.newest_trace_of(repo))
    if exact_requests < 0:
        raise CacheStrategyError(
            f"--exact-requests: {exact_requests} is not above zero; write for example 1000000."
        )
    if cluster and not parquet:
        raise CacheStrategyError(
            "--cluster: needs a trace that its workers can read; name it with --parquet."
        )
    if not access_log and not trace and not parquet:
        raise CacheStrategyError(
            "simulate: no trace was given; one is needed. Name it with --access-log FILE or --trace DIR, "
            f"or make one: cache-strategy record --repo {repo} -- CMD"
        )
    evidence = line.profile_of(repo)
    if parquet:
        forecast = foretold.forecast_of_parquet(evidence, parquet, grid, cluster, workers, exact_requests)
    else:
        measured = line.trace_from(evidence, access_log, trace, log_format, bool(exact_requests))
        assert measured is not None
        forecast = foretold.forecast_of(evidence, None, measured, grid, exact_requests)
    if json_:
        from cache_strategy.model.document import to_data

        data = to_data(forecast)
        del data["entries"]
        print_json(data)
        return
    from cache_strategy.report.summary import summarise_forecast

    print(summarise_forecast(forecast))


@app.command(context_settings={"ignore_unknown_options": True})
def record(
    command: CommandArgument,
    repo: RepoOption = Path(),
    out: Annotated[
        Path | None, typer.Option(help="Where the trace goes; default .cache-strategy/traces/NAME.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="MB", help="The most that a trace may hold; 0: what the disk can.")
    ] = 256,
    json_: JsonOption = False,
) -> None:
    """Run your own command (server, test suite, load script) and write a trace, with no change to the code."""
    from cache_strategy.record import read_trace, run_recorded

    root = line.writable_repository_at(repo)
    folder = out or root / line.WORK / "traces" / time.strftime("%Y%m%d-%H%M%S")
    line.work_folder_of(root)
    functions = sources.candidate_functions_of(root)
    done = run_recorded(
        command, root, folder, functions=functions, to=sys.stderr.buffer if json_ else None, limit_mib=limit
    )
    trace = read_trace(folder)
    counts = {"requests": len(trace.accesses), "writes": len(trace.writes), "bad_lines": trace.bad_lines}
    if json_:
        print_json(
            {
                "schema": 1,
                "trace": str(folder),
                "exit_code": done.exit_code,
                "interrupted": done.interrupted,
                "seconds": done.seconds,
                **counts,
            }
        )
    else:
        print(
            f"{folder}: {counts['requests']} requests, {counts['writes']} writes in {done.seconds:.1f} s",
            file=sys.stderr,
        )
        for note in trace.notes:
            print(note, file=sys.stderr)
        if not trace.accesses:
            print(
                "No request was seen: does the command serve or test a web application in Python?",
                file=sys.stderr,
            )
    if done.exit_code and not done.interrupted:
        raise typer.Exit(1)


@app.command()
def emit(
    path: RepoArgument = Path(),
    apply: Annotated[bool, typer.Option("--apply", help="Write the changes into the repository.")] = False,
    revert: Annotated[bool, typer.Option("--revert", help="Take back what --apply wrote.")] = False,
    target: Annotated[
        str, typer.Option(help="Flavour of the caches: runtime or flask-caching; default: the contract's.")
    ] = "",
    runtime: Annotated[
        Path | None, typer.Option("--runtime", metavar="FILE", help="Write the cache module alone.")
    ] = None,
    is_async: Annotated[bool, typer.Option("--async", help="With --runtime: for coroutines.")] = False,
    json_: JsonOption = False,
) -> None:
    """Print the patch that the contract asks for. --apply writes it, --revert takes it back."""
    if runtime is not None:
        line.write_runtime(runtime, is_async)
        if json_:
            print_json({"schema": 1, "written": str(runtime)})
        else:
            print(runtime)
        return
    repo = line.writable_repository_at(path)
    if revert:
        from cache_strategy.emit.apply import revert as take_back

        paths = take_back(repo)
        print(f"Took back: {', '.join(paths)}", file=sys.stderr)
        if json_:
            print_json({"schema": 1, "reverted": paths})
        return
    changes = line.changes_of(repo, line.contract_of(repo), target)
    from cache_strategy.emit.patch import render_patch
    from cache_strategy.model.document import write_text

    patch = render_patch(changes.changes)
    line.work_folder_of(repo)
    if apply:
        from cache_strategy.emit.apply import apply as write

        if patch:
            write_text(repo / line.WORK / "changes.patch", patch)
        paths = write(changes.changes, repo)
        wrote = f"Wrote {len(paths)} {'file' if len(paths) == 1 else 'files'}."
        print(wrote if paths else "Nothing to change: the contract is in force.", file=sys.stderr)
    else:
        write_text(repo / line.WORK / "changes.patch", patch)
    line.say_withheld(changes)
    if json_:
        from cache_strategy.model.document import to_data

        print_json({"schema": 1, **to_data(changes), "applied": apply})
    elif not apply:
        sys.stdout.write(patch)


@app.command(context_settings={"ignore_unknown_options": True})
def verify(
    command: CommandArgument,
    repo: RepoOption = Path(),
    only: Annotated[list[str] | None, typer.Option(help="An entry to judge; may be repeated.")] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="No further run after one that fails.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report for CI.")] = None,
    pairs: Annotated[
        int, typer.Option(min=0, help="So many more runs off and on, in turns, for before and after.")
    ] = 0,
    pages: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CMD starts a server: ask it for these pages (an access log, or paths)."
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="Where that server answers.")] = "http://127.0.0.1:8000",
    as_: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="HEADER", help='A visitor, as "Cookie: session=…"; may be repeated.'),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Prove the caches: run your command with caches off, on, and on with an oracle that recomputes every hit."""
    from cache_strategy.model.document import to_data

    tour = visiting.tour_of(pages, url, as_ or [])
    verdict = line.proof_of(repo, command, tuple(only or ()), fail_fast, pairs, tour)
    if junit:
        from cache_strategy.model.document import write_text
        from cache_strategy.verify import junit as as_junit

        write_text(junit, as_junit(verdict))
    if json_:
        print_json(to_data(verdict))
    else:
        from cache_strategy.report.summary import summarise_verdict

        print(summarise_verdict(verdict))
    for note in verdict.notes:
        print(note, file=sys.stderr)
    if not verdict.ok:
        raise typer.Exit(1)


@app.command()
def report(path: RepoArgument = Path(), json_: JsonOption = False) -> None:
    """Write the Cache Strategy Report: report.md and one self-contained report.html."""
    from cache_strategy.model.document import read_json
    from cache_strategy.model.evidence import Evidence

    repo = line.writable_repository_at(path)
    evidence = read_json(repo / line.WORK / "evidence.json", Evidence, f"cache-strategy profile {path}")
    line.say_outdated(repo, evidence)
    forecast, verdict = line.forecast_file_of(repo), line.verdict_file_of(repo)
    written = line.report_files_of(repo, evidence, line.contract_of(repo), forecast, verdict)
    if json_:
        print_json({"schema": 1, **written})
    else:
        print("\n".join(written.values()))


@app.command()
def monitor(
    redis: Annotated[str, typer.Option("--redis", metavar="URL", help="The Redis of the running cache.")],
    redis_monitor: MonitorOption = 0,
    json_: JsonOption = False,
) -> None:
    """Look at a running cache: memory, hits, keys by prefix, what never expires. Exit code 1 when there is a worry."""
    from cache_strategy.report.health import health_of, summarise_health

    health = health_of(sources.observed_in("redis", sources.asked("", redis, redis_monitor)))
    if json_:
        from cache_strategy.model.document import to_data

        print_json({"schema": 1, **to_data(health)})
    else:
        print(summarise_health(health))
    if health.worries:
        raise typer.Exit(1)


@app.command()
def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH…]", help="Files and folders; - for standard input.")
    ] = None,
    diff: Annotated[
        str,
        typer.Option(
            metavar="REV|FILE|-",
            help="Only what has come since this revision, or comes with the output of git diff in a file or on standard input.",
        ),
    ] = "",
    format_: Annotated[str, typer.Option("--format", help="text, json, sarif or github.")] = "text",
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave out the findings that this file knows.")
    ] = None,
    write_baseline: Annotated[
        bool, typer.Option("--write-baseline", help="Write what there is now into the baseline.")
    ] = False,
    stdin_filename: Annotated[
        str, typer.Option(metavar="NAME", help="The path of the text on standard input.")
    ] = "stdin.py",
    jobs: Annotated[int, typer.Option(help="Processes; 0 for one per processor.")] = 0,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Check every file anew, and keep nothing.")
    ] = False,
    context: Annotated[
        bool | None,
        typer.Option(
            "--context/--no-context",
            help="Ask CS151 to CS156, which need all files; by itself for changes and up to 4 MB of Python.",
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Check files against the safety rules, and the contract for mistakes."""
    from cache_strategy.cli.linting import run_lint

    if run_lint(
        paths or [],
        kind="json" if json_ else format_,
        diff=diff,
        stdin_name=stdin_filename,
        baseline=baseline,
        write=write_baseline,
        jobs=jobs,
        keep=not no_cache,
        others=context,
    ):
        raise typer.Exit(1)


@app.command()
def index(
    path: RepoArgument = Path(),
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the hook looks for it; else $CLAUDE_PLUGIN_DATA."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Make or refresh the index of a project that the hook reads. A session does so by itself, in the background."""
    from cache_strategy.cli.indexing import make_index

    told = make_index(line.repository_at(path), data)
    if json_:
        print_json({"schema": 1, **told})
        return
    print(
        "{files} files, {read} read anew, {facts} facts, {allowed} line{s} allowed with a reason".format(
            s="s" * (told["allowed"] != 1), **told
        )
    )
    for place, rules, reason in told["allows"]:
        print(f"  {place}: allow[{rules}] {reason}")


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The name of a rule, as a finding shows it.")],
    json_: JsonOption = False,
) -> None:
    """Print a rule's page: what it does, why, an example, what to use instead."""
    from cache_strategy.rules import rule_named

    code, name, severity = invalid_contract.CODE, invalid_contract.NAME, invalid_contract.SEVERITY
    page = invalid_contract.page()
    if rule not in (code, name):
        try:
            found = rule_named(rule)
        except KeyError as unknown:
            raise CacheStrategyError(str(unknown.args[0])) from None
        code, name, severity, page = found.code, found.name, found.severity, found.page
    if json_:
        print_json({"schema": 1, "rule": code, "name": name, "severity": severity, "page": page})
    else:
        print(page)
