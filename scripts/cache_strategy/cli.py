"""
The command line: one function per verb. Reads arguments, calls one stage, prints, sets the exit code.

Exit codes: 0 done or clean, 1 findings or a refusal, 2 wrong usage or input. The only file that knows all stages;
heavy imports stand inside the functions, so that `--help` and `lint` start fast.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.exceptions

from cache_strategy.model.errors import CacheStrategyError, Refusal

if TYPE_CHECKING:
    from cache_strategy.model.change import ChangeSet
    from cache_strategy.model.contract import Contract
    from cache_strategy.model.evidence import Evidence
    from cache_strategy.model.forecast import Forecast
    from cache_strategy.model.trace import Trace
    from cache_strategy.model.verdict import Verdict

app = typer.Typer(
    name="cache-strategy",
    help="Caching for Python web applications: measured before, proven after, guarded from then on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
hookify_app = typer.Typer(
    name="hookify",
    help="Read past conversations, propose rules that would have prevented what went wrong, write the accepted ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(hookify_app)

WORK = ".cache-strategy"
CONTRACT = "cache-strategy.yaml"
NEW_CONTRACT = "cache-strategy.new.yaml"

RepoArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The repository of the application.")]
RepoOption = Annotated[
    Path, typer.Option("--repo", metavar="PATH", help="The repository of the application.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
LogOption = Annotated[
    list[Path] | None,
    typer.Option("--access-log", metavar="FILE", help="An access log, also gzipped; may be repeated."),
]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="DIR", help="A trace written by `record`.")
]
CommandArgument = Annotated[
    list[str], typer.Argument(metavar="-- CMD…", help="The command to run, after --.")
]


@app.command()
def run(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    trace: TraceOption = None,
    json_: JsonOption = False,
) -> None:
    """Profile, plan, simulate where a trace is at hand, report. The main job.

    Writes nothing outside .cache-strategy/ and a contract where there is none.
    """
    repo = _repo(path)
    evidence, measured = _profiled(repo, access_log, trace)
    contract, written = _planned(repo, evidence, None)
    forecast = _forecast(evidence, contract, measured, None) if measured else None
    report = _reported(repo, evidence, contract, forecast, None)
    if json_:
        _print_json(
            {
                "schema": 1,
                **_short(evidence),
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
    trace: TraceOption = None,
    json_: JsonOption = False,
) -> None:
    """Find out what the code does: endpoints, tables, writers, what may be cached and what must not."""
    repo = _repo(path)
    evidence, _ = _profiled(repo, access_log, trace)
    if json_:
        from cache_strategy.model.document import to_data

        data = to_data(evidence)
        del data["functions"]
        _print_json(data)
        return
    from cache_strategy.report.summary import summarise_evidence

    print(summarise_evidence(evidence))


@app.command()
def plan(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    trace: TraceOption = None,
    json_: JsonOption = False,
) -> None:
    """Write the contract, cache-strategy.yaml: what is cached, where, for how long, and what invalidates it.

    A contract that a person has edited is never overwritten: the proposal goes to cache-strategy.new.yaml.
    """
    repo = _repo(path)
    evidence, measured = _profiled(repo, access_log, trace)
    forecast = None
    if measured:
        from cache_strategy.plan import plan as make_plan

        forecast = _forecast(evidence, make_plan(evidence), measured, None)
    contract, written = _planned(repo, evidence, forecast)
    if json_:
        from cache_strategy.model.document import to_data

        _print_json({**to_data(contract), "written": written})
        return
    print(f"{written}: {len(contract.entries)} entries, {len(contract.rejected)} rejected")
    _print_difference(repo)


@app.command()
def simulate(
    path: RepoArgument = Path(),
    access_log: LogOption = None,
    trace: TraceOption = None,
    ttl: Annotated[
        str, typer.Option(help="Times to live in seconds, separated by commas.")
    ] = "60,300,3600,86400",
    capacity: Annotated[
        str, typer.Option(help="Capacities in bytes, separated by commas; empty is unbounded.")
    ] = "",
    policy: Annotated[str, typer.Option(help="Eviction policies, separated by commas.")] = "lru",
    json_: JsonOption = False,
) -> None:
    """Forecast hit rate, stale share, origin load and memory from a trace or an access log."""
    repo = _repo(path)
    if not access_log and not trace:
        raise CacheStrategyError(
            "simulate: no trace was given; one is needed. Name it with --access-log FILE or --trace DIR, "
            "or make one: cache-strategy record -- CMD"
        )
    evidence = _static(repo)
    measured = _trace(evidence, access_log, trace)
    assert measured is not None
    forecast = _forecast(
        evidence,
        None,
        measured,
        (_numbers("--ttl", ttl), _numbers("--capacity", capacity) or [None], policy.split(",")),
    )
    if json_:
        from cache_strategy.model.document import to_data

        _print_json(to_data(forecast))
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
    json_: JsonOption = False,
) -> None:
    """Run your own command (server, test suite, load script) and write a trace, with no change to the code."""
    from cache_strategy.record import read_trace, run_recorded

    root = _repo(repo)
    folder = out or root / WORK / "traces" / time.strftime("%Y%m%d-%H%M%S")
    _work_folder(root)
    done = run_recorded(command, root, folder, env={})
    trace = read_trace(folder)
    counts = {"requests": len(trace.accesses), "writes": len(trace.writes), "bad_lines": trace.bad_lines}
    if json_:
        _print_json(
            {
                "schema": 1,
                "trace": str(folder),
                "exit_code": done.exit_code,
                "seconds": done.seconds,
                **counts,
            }
        )
    else:
        print(
            f"{folder}: {counts['requests']} requests, {counts['writes']} writes in {done.seconds:.1f} s",
            file=sys.stderr,
        )
        if not trace.accesses:
            print("No request was seen: does the command serve or test a Flask application?", file=sys.stderr)
    if done.exit_code:
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
    json_: JsonOption = False,
) -> None:
    """Print the patch that the contract asks for. --apply writes it, --revert takes it back."""
    if runtime is not None:
        _write_runtime(runtime)
        return
    repo = _repo(path)
    if revert:
        from cache_strategy.emit.apply import revert as take_back

        paths = take_back(repo)
        print(f"Took back {len(paths)} files: {', '.join(paths)}", file=sys.stderr)
        return
    changes = _emitted(repo, _contract(repo), target)
    from cache_strategy.emit.patch import render_patch
    from cache_strategy.model.document import write_text

    patch = render_patch(changes.changes)
    _work_folder(repo)
    if apply:
        from cache_strategy.emit.apply import apply as write

        if patch:
            write_text(repo / WORK / "changes.patch", patch)
        paths = write(changes.changes, repo)
        print(
            f"Wrote {len(paths)} files." if paths else "Nothing to change: the contract is in force.",
            file=sys.stderr,
        )
    else:
        write_text(repo / WORK / "changes.patch", patch)
    _say_withheld(changes)
    if json_:
        from cache_strategy.model.document import to_data

        _print_json({"schema": 1, **to_data(changes), "applied": apply})
    elif not apply:
        sys.stdout.write(patch)


@app.command(context_settings={"ignore_unknown_options": True})
def verify(
    command: CommandArgument,
    repo: RepoOption = Path(),
    only: Annotated[list[str] | None, typer.Option(help="An entry to judge; may be repeated.")] = None,
    json_: JsonOption = False,
) -> None:
    """Prove the caches: run your command with caches off, on, and on with an oracle that recomputes every hit."""
    from cache_strategy.model.document import to_data, write_json
    from cache_strategy.record import read_trace, run_recorded
    from cache_strategy.verify import verify as prove

    root = _repo(repo)
    contract = _contract(root)
    _work_folder(root)
    with _progress() as say:
        verdict = prove(
            contract,
            command,
            root,
            run_recorded=run_recorded,
            read_trace=read_trace,
            only=tuple(only or ()),
            work=root / WORK / "verify",
            redis_url=os.environ.get(contract.infrastructure.redis.url_env),
            progress=say,
        )
    write_json(root / WORK / "verdict.json", verdict)
    if json_:
        _print_json(to_data(verdict))
    else:
        from cache_strategy.report.summary import summarise_verdict

        print(summarise_verdict(verdict))
    if not verdict.ok:
        raise typer.Exit(1)


@app.command()
def report(path: RepoArgument = Path(), json_: JsonOption = False) -> None:
    """Write the Cache Strategy Report: report.md and one self-contained report.html."""
    from cache_strategy.model.document import read_json
    from cache_strategy.model.evidence import Evidence

    repo = _repo(path)
    evidence = read_json(repo / WORK / "evidence.json", Evidence, f"cache-strategy profile {path}")
    forecast, verdict = _forecast_file(repo), _verdict_file(repo)
    written = _reported(repo, evidence, _contract(repo), forecast, verdict)
    if json_:
        _print_json({"schema": 1, **written})
    else:
        print("\n".join(written.values()))


@app.command()
def lint(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH…]", help="Files and folders.")] = None,
    diff: Annotated[str, typer.Option(metavar="REV", help="Only what has come since this revision.")] = "",
    format_: Annotated[str, typer.Option("--format", help="text, json or sarif.")] = "text",
    json_: JsonOption = False,
) -> None:
    """Check files against the safety rules, and the contract for mistakes."""
    from cache_strategy.lint import lint as check
    from cache_strategy.lint import render

    result = check(paths or [Path()], diff=diff or None, root=Path.cwd())
    sys.stdout.write(render(result, "json" if json_ else format_))
    if any(f.severity == "error" for f in result.findings) or (
        result.findings and not json_ and format_ == "text"
    ):
        raise typer.Exit(1)


@app.command()
def explain(rule: Annotated[str, typer.Argument(help="The name of a rule, as a finding shows it.")]) -> None:
    """Print a rule's page: what it does, why, an example, what to use instead."""
    from cache_strategy.rules import explain as page_of

    print(page_of(rule))


def _repo(path: Path) -> Path:
    if not path.exists():
        raise CacheStrategyError(f"{path}: is not there; a folder with a repository is needed.")
    if not path.is_dir():
        raise CacheStrategyError(f"{path}: is a file; the folder of a repository is needed.")
    return path


def _work_folder(repo: Path) -> Path:
    """`.cache-strategy/`, which ignores itself."""
    from cache_strategy.model.document import write_text

    folder = repo / WORK
    if not (folder / ".gitignore").exists():
        write_text(folder / ".gitignore", "*\n")
    return folder


def _static(repo: Path) -> "Evidence":
    from cache_strategy.profile import profile as read

    with _progress() as say:
        return read(repo, progress=say)


def _profiled(
    repo: Path, access_log: list[Path] | None, trace: Path | None
) -> "tuple[Evidence, Trace | None]":
    import dataclasses

    from cache_strategy.model.document import write_json

    evidence = _static(repo)
    if not evidence.files:
        raise CacheStrategyError(
            f"{repo}: holds no Python file; the repository of a Python web application is needed."
        )
    measured = _trace(evidence, access_log, trace)
    if measured:
        from cache_strategy.record.measure import measure

        evidence = dataclasses.replace(
            evidence, measurements=tuple(measure(measured, volume=bool(access_log)))
        )
    write_json(_work_folder(repo) / "evidence.json", evidence)
    return evidence, measured


def _trace(evidence: "Evidence", access_log: list[Path] | None, trace: Path | None) -> "Trace | None":
    if access_log:
        from cache_strategy.simulate.readers import read_access_log

        return read_access_log(access_log, [(e.method, e.route) for e in evidence.endpoints])
    if trace:
        from cache_strategy.record import read_trace

        if not trace.is_dir():
            raise CacheStrategyError(
                f"{trace}: is not a folder; a trace is. Make one: cache-strategy record -- CMD"
            )
        return read_trace(trace)
    return None


def _planned(repo: Path, evidence: "Evidence", forecast: "Forecast | None") -> "tuple[Contract, str]":
    """The contract in force (a person's, where there is one) and the path of what was written."""
    from cache_strategy.model.document import write_text
    from cache_strategy.plan import plan as make_plan
    from cache_strategy.plan.document import is_untouched, read, render

    proposal = make_plan(evidence, forecast)
    text = render(proposal)
    file = repo / CONTRACT
    if not file.exists() or is_untouched(file.read_text(encoding="utf-8")):
        write_text(file, text)
        return proposal, str(file)
    contract = read(file)
    write_text(repo / NEW_CONTRACT, text)
    print(
        f"{file} was edited by a person and stays as it is; the proposal is in {repo / NEW_CONTRACT}.",
        file=sys.stderr,
    )
    return contract, str(repo / NEW_CONTRACT)


def _print_difference(repo: Path) -> None:
    import difflib

    old, new = repo / CONTRACT, repo / NEW_CONTRACT
    if new.exists():
        a, b = (f.read_text(encoding="utf-8").splitlines(keepends=True) for f in (old, new))
        sys.stdout.writelines(difflib.unified_diff(a, b, old.name, new.name))


def _contract(repo: Path) -> "Contract":
    from cache_strategy.plan.document import read

    return read(repo / CONTRACT)


def _forecast(
    evidence: "Evidence",
    contract: "Contract | None",
    trace: "Trace",
    grid: tuple[list[int | None], list[int | None], list[str]] | None,
) -> "Forecast":
    from cache_strategy.simulate import simulate as replay

    tables = {e.id: frozenset(e.reads) for e in evidence.endpoints}
    if grid is None:
        ttls: list[int | None] = sorted({e.ttl_seconds for e in contract.entries}) if contract else [300]
        grid = (ttls or [300], [None], ["lru"])
    with _progress() as say:
        say("Replaying the trace")
        return replay(trace, ttls=grid[0], capacities=grid[1], policies=grid[2], tables_of=tables)


def _emitted(repo: Path, contract: "Contract", target: str) -> "ChangeSet":
    import dataclasses

    from cache_strategy.emit import emit as make_changes

    if target:
        if target not in ("runtime", "flask-caching"):
            raise CacheStrategyError(
                f"--target: {target!r} is not a flavour; choose runtime or flask-caching."
            )
        entries = tuple(
            dataclasses.replace(e, emit=target) if e.kind == "function" else e  # type: ignore[arg-type]
            for e in contract.entries
        )
        contract = dataclasses.replace(contract, entries=entries)
    return make_changes(contract, _static(repo), repo)


def _say_withheld(changes: "ChangeSet") -> None:
    for item in changes.withheld:
        print(f"{item.entry}: left out. {item.reason}", file=sys.stderr)
    for entry, limits in (changes.limits or {}).items():
        print(f"{entry}: its target cannot give: {'; '.join(limits)}.", file=sys.stderr)


def _write_runtime(file: Path) -> None:
    from cache_strategy.emit import runtime_source
    from cache_strategy.model.document import write_text

    if file.is_dir():
        raise CacheStrategyError(
            f"{file}: is a folder; name the file to write, for example {file / 'caching.py'}."
        )
    source = runtime_source()
    if file.exists() and file.read_text(encoding="utf-8", errors="replace") != source:
        raise Refusal(
            f"{file}: is there and differs; it is not overwritten. Remove it first, or choose another name."
        )
    write_text(file, source)
    print(file)


def _forecast_file(repo: Path) -> "Forecast | None":
    from cache_strategy.model.document import read_json
    from cache_strategy.model.forecast import Forecast

    file = repo / WORK / "forecast.json"
    return read_json(file, Forecast, "cache-strategy run PATH --access-log FILE") if file.exists() else None


def _verdict_file(repo: Path) -> "Verdict | None":
    from cache_strategy.model.document import read_json
    from cache_strategy.model.verdict import Verdict

    file = repo / WORK / "verdict.json"
    return read_json(file, Verdict, "cache-strategy verify -- CMD") if file.exists() else None


def _reported(
    repo: Path,
    evidence: "Evidence",
    contract: "Contract",
    forecast: "Forecast | None",
    verdict: "Verdict | None",
) -> dict[str, str]:
    """Writes forecast.json, report.md and report.html; the paths by name."""
    from cache_strategy.emit import emit as make_changes
    from cache_strategy.model.document import write_json, write_text
    from cache_strategy.report import render_html, render_markdown

    folder = _work_folder(repo)
    if forecast:
        write_json(folder / "forecast.json", forecast)
    changes = make_changes(contract, evidence, repo)
    arguments = (
        evidence,
        contract,
        forecast,
        verdict if verdict is not None else _verdict_file(repo),
        changes,
    )
    write_text(folder / "report.md", render_markdown(*arguments))
    write_text(folder / "report.html", render_html(*arguments))
    return {"report": str(folder / "report.md"), "html": str(folder / "report.html")}


def _short(evidence: "Evidence") -> dict[str, Any]:
    return {
        "repo": evidence.repo,
        "commit": evidence.commit,
        "frameworks": list(evidence.frameworks),
        "endpoints": len(evidence.endpoints),
        "candidates": len(evidence.candidates),
        "rejected": len(evidence.rejected),
        "unread": len(evidence.unread),
        "seconds": evidence.seconds,
    }


def _numbers(option: str, text: str) -> list[int | None]:
    try:
        numbers: list[int | None] = [int(item) for item in text.split(",") if item.strip()]
    except ValueError:
        raise CacheStrategyError(
            f"{option}: {text!r} is not a list of whole numbers; write for example 60,300."
        ) from None
    if any(n is not None and n <= 0 for n in numbers):
        raise CacheStrategyError(f"{option}: {text!r} has a number that is not above zero.")
    return numbers


def _print_json(data: Any) -> None:
    json.dump(data, sys.stdout, ensure_ascii=True)
    sys.stdout.write("\n")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says what is going on, on a terminal, once a second has passed."""
    began, last = time.monotonic(), [0.0]
    shown = [False]

    def say(text: str) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - began > 1 and now - last[0] > 0.1:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            last[0], shown[0] = now, True

    try:
        yield say
    finally:
        if shown[0]:
            sys.stderr.write("\r\x1b[K")


def _sentence(error: Exception) -> str:
    """The words of a usage error, on one line, ending in a full stop."""
    words = getattr(error, "format_message", lambda: str(error))()
    line = " ".join(str(words).split())
    return line if line.endswith((".", "?", "!")) else line + "."


def main() -> NoReturn:
    """The edge: every error becomes one line and an exit code."""
    try:
        code = app(standalone_mode=False)
    except CacheStrategyError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except typer.Exit as done:
        code = done.exit_code
    except typer.exceptions.TyperException as error:
        is_help = type(error).__name__ == "NoArgsIsHelpError"
        print(error if is_help else f"cache-strategy: {_sentence(error)} See: cache-strategy --help", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted; every file is whole.", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("CACHE_STRATEGY_TRACEBACK"):
            raise
        text = " ".join(str(error).split())
        print(
            f"cache-strategy: failed inside ({type(error).__name__}: {text}); this is a mistake of ours. "
            "Run again with CACHE_STRATEGY_TRACEBACK=1 and report what it prints.",
            file=sys.stderr,
        )
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
