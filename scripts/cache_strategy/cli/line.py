"""The wiring: what one stage made is handed to the next. The only place that knows all stages."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cache_strategy.cli.foretold import Replays, forecast_to_plan_by
from cache_strategy.cli.terminal import printable, progress
from cache_strategy.model.errors import CacheStrategyError, Refusal

if TYPE_CHECKING:
    from cache_strategy.model.change import ChangeSet
    from cache_strategy.model.contract import Contract, Target
    from cache_strategy.model.evidence import Evidence
    from cache_strategy.model.forecast import Forecast
    from cache_strategy.model.trace import Trace
    from cache_strategy.model.verdict import Verdict
    from cache_strategy.verify import Tour

WORK = ".cache-strategy"
CONTRACT = "cache-strategy.yaml"
NEW_CONTRACT = "cache-strategy.new.yaml"


def repository_at(path: Path) -> Path:
    if not path.exists():
        raise CacheStrategyError(f"{path}: is not there; a folder with a repository is needed.")
    if not path.is_dir():
        raise CacheStrategyError(f"{path}: is a file; the folder of a repository is needed.")
    return path


def work_folder_of(repo: Path) -> Path:
    """`.cache-strategy/`, which ignores itself."""
    from cache_strategy.model.document import write_text

    folder = repo / WORK
    if not (folder / ".gitignore").exists():
        write_text(folder / ".gitignore", "*\n")
    return folder


def writable_repository_at(path: Path) -> Path:
    """The repository, whose work folder can be written: told before any work is done."""
    repo = repository_at(path)
    folder = repo / WORK
    if os.path.lexists(folder) and not folder.is_dir():
        raise CacheStrategyError(
            f"{folder}: is a file; what is found out goes into a folder of that name. Move the file away."
        )
    if not os.access(folder if folder.exists() else repo, os.W_OK | os.X_OK):
        raise CacheStrategyError(
            f"{repo}: is read-only; what is found out goes into {folder}. Make the folder writable, or copy the repository."
        )
    return repo


def profile_of(repo: Path) -> "Evidence":
    from cache_strategy.profile import profile as read
    from cache_strategy.profile.kept import default_folder

    with progress() as say:
        evidence = read(repo, progress=say, kept=default_folder())
    return dataclasses.replace(evidence, repo=printable(evidence.repo))


def measured_profile_of(
    repo: Path,
    access_log: list[Path] | None,
    trace: Path | None,
    log_format: str,
    asked: "Sequence[tuple[str, str]]" = (),
    is_production: bool = False,
) -> "tuple[Evidence, Trace | None]":
    """
    The evidence with all that the given sources say; `asked` are further ones, as option and place.

    An access log counts as production's; a recording as well where `is_production` says so.
    """
    from cache_strategy.cli.sources import joined
    from cache_strategy.model.document import write_json

    evidence = profile_of(repo)
    if not evidence.files:
        raise CacheStrategyError(
            f"{repo}: holds no Python file that can be read; the repository of a Python web application is needed."
        )
    recorded = trace or newest_trace_of(repo)
    measured = trace_from(evidence, access_log, recorded, log_format)
    if measured and not measured.accesses and trace is None:
        print(f"{recorded}: holds no request, so it is not used. {' '.join(measured.notes)}", file=sys.stderr)
        measured = None
    if measured or asked:
        traces = [(measured, bool(access_log) or is_production)]
        if access_log and recorded:
            traces.append((trace_from(evidence, None, recorded, ""), is_production))
        evidence = joined(evidence, traces, asked)
    write_json(work_folder_of(repo) / "evidence.json", evidence)
    return evidence, measured


def with_entries_measured(
    repo: Path, evidence: "Evidence", contract: "Contract", trace: "Trace | None"
) -> "Evidence":
    """The evidence with what the trace says of the entries themselves, written anew."""
    from cache_strategy.cli.entry_trace import measured_entries
    from cache_strategy.cli.sources import by_id
    from cache_strategy.model.document import write_json

    if trace is None:
        return evidence
    added = measured_entries(contract, evidence, trace)
    evidence = dataclasses.replace(evidence, measurements=tuple(by_id((*evidence.measurements, *added))))
    write_json(work_folder_of(repo) / "evidence.json", evidence)
    return evidence


def newest_trace_of(repo: Path) -> Path | None:
    """The trace that `record` wrote last, None where there is none."""
    folders = sorted((repo / WORK / "traces").glob("*/"), key=lambda folder: folder.stat().st_mtime)
    return folders[-1] if folders else None


def trace_from(
    evidence: "Evidence",
    access_log: list[Path] | None,
    trace: Path | None,
    log_format: str,
    is_whole: bool = False,
) -> "Trace | None":
    if access_log:
        from cache_strategy.simulate import read_access_log

        routes = [(e.method, e.route) for e in evidence.endpoints]
        most = {"most_requests": sys.maxsize} if is_whole else {}
        return read_access_log(access_log, routes, log_format, **most)
    if trace:
        from cache_strategy.record import read_trace

        if not trace.is_dir():
            raise CacheStrategyError(
                f"{trace}: is not a folder; a trace is. Make one: cache-strategy record -- CMD"
            )
        return read_trace(trace)
    return None


def contract_for(
    repo: Path, evidence: "Evidence", trace: "Trace | None", replays: Replays | None = None
) -> "tuple[Contract, str]":
    """The contract in force (a person's, where there is one) and the path of what was written."""
    from cache_strategy.model.document import write_text
    from cache_strategy.plan import plan as make_plan
    from cache_strategy.plan.comparison import differences
    from cache_strategy.plan.document import is_untouched, read, render

    proposal = make_plan(evidence)
    if trace:
        foretold = forecast_to_plan_by(evidence, proposal, trace, replays or Replays())
        proposal = make_plan(evidence, foretold)
    text = render(proposal)
    file = repo / CONTRACT
    in_force = (repo / proposal.application.package_path / "caching" / "entries.py").exists()
    if not os.path.lexists(file) or (is_untouched(text_of(file)) and not in_force):
        write_text(file, text)
        return proposal, str(file)
    contract = read(file)
    write_text(repo / NEW_CONTRACT, text)
    found = differences(contract, proposal, frozenset(f"{f.path}:{f.qualname}" for f in evidence.functions))
    why = "is in force" if is_untouched(text_of(file)) else "was edited by a person"
    print(
        f"{file} {why} and stays as it is; the proposal is in {repo / NEW_CONTRACT}"
        + (":" if found else " and has no entry that yours lacks."),
        file=sys.stderr,
    )
    for line in found[:6]:
        print(f"  {line}", file=sys.stderr)
    if len(found) > 6:
        print(f"  … and {len(found) - 6} more", file=sys.stderr)
    return contract, str(repo / NEW_CONTRACT)


def text_of(file: Path) -> str:
    """The text of a contract, "" of what is no text: then a person put it there, and `read` says what is wrong."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def print_difference(repo: Path) -> None:
    import difflib

    old, new = repo / CONTRACT, repo / NEW_CONTRACT
    if new.exists():
        a, b = (f.read_text(encoding="utf-8").splitlines(keepends=True) for f in (old, new))
        sys.stdout.writelines(difflib.unified_diff(a, b, old.name, new.name))


def contract_of(repo: Path) -> "Contract":
    from cache_strategy.plan.document import read

    if not os.path.lexists(repo / CONTRACT):
        raise CacheStrategyError(
            f"{repo / CONTRACT}: is not there; a contract is needed. Make it: cache-strategy run {repo}"
        )
    return read(repo / CONTRACT)


def changes_of(repo: Path, contract: "Contract", target: str) -> "ChangeSet":
    from cache_strategy.emit import emit as make_changes

    if target:
        if target not in ("runtime", "flask-caching"):
            raise CacheStrategyError(
                f"--target: {target!r} is not a flavour; choose runtime or flask-caching."
            )
        chosen: Target = "runtime" if target == "runtime" else "flask-caching"
        entries = (
            dataclasses.replace(e, emit=chosen) if e.kind == "function" else e for e in contract.entries
        )
        contract = dataclasses.replace(contract, entries=tuple(entries))
    return make_changes(contract, profile_of(repo), repo)


def say_withheld(changes: "ChangeSet") -> None:
    for item in changes.withheld:
        print(f"{item.entry}: left out. {item.reason}", file=sys.stderr)
    for entry, limits in (changes.limits or {}).items():
        print(
            f"{entry}: its target cannot give {len(limits)} guarantees of the runtime; the report names them.",
            file=sys.stderr,
        )


def write_runtime(file: Path, is_async: bool) -> None:
    from cache_strategy.emit import runtime_source
    from cache_strategy.model.document import write_text

    if file.is_dir():
        raise CacheStrategyError(
            f"{file}: is a folder; name the file to write, for example {file / 'caching.py'}."
        )
    source = runtime_source(is_async)
    if file.exists() and file.read_text(encoding="utf-8", errors="replace") != source:
        raise Refusal(
            f"{file}: is there and differs; it is not overwritten. Remove it first, or choose another name."
        )
    write_text(file, source)


def proof_of(
    path: Path, command: list[str], only: tuple[str, ...], fail_fast: bool, pairs: int, tour: "Tour | None"
) -> "Verdict":
    """Runs the proof, on the Redis that the environment names or on a private one, and keeps the verdict."""
    from cache_strategy.model.document import write_json
    from cache_strategy.record import read_trace, run_recorded
    from cache_strategy.verify import private_redis, verify

    repo = writable_repository_at(path)
    contract = contract_of(repo)
    folder = work_folder_of(repo)
    own = os.environ.get(contract.infrastructure.redis.url_env)
    with progress() as say, nullcontext(own) if own else private_redis() as redis_url:
        verdict = verify(
            contract,
            command,
            repo,
            run_recorded=run_recorded,
            read_trace=read_trace,
            only=only,
            fail_fast=fail_fast,
            pairs=pairs,
            tour=tour,
            work=folder / "verify",
            redis_url=redis_url,
            progress=say,
        )
    write_json(folder / "verdict.json", verdict)
    return verdict


def forecast_file_of(repo: Path) -> "Forecast | None":
    from cache_strategy.model.document import read_json
    from cache_strategy.model.forecast import Forecast

    file = repo / WORK / "forecast.json"
    return read_json(file, Forecast, "cache-strategy run PATH --access-log FILE") if file.exists() else None


def verdict_file_of(repo: Path) -> "Verdict | None":
    from cache_strategy.model.document import read_json
    from cache_strategy.model.verdict import Verdict

    file = repo / WORK / "verdict.json"
    return read_json(file, Verdict, "cache-strategy verify -- CMD") if file.exists() else None


def report_files_of(
    repo: Path,
    evidence: "Evidence",
    contract: "Contract",
    forecast: "Forecast | None",
    verdict: "Verdict | None",
) -> dict[str, str]:
    """Writes forecast.json, report.md with its pictures, and report.html; the paths by name."""
    from cache_strategy.emit import emit as make_changes
    from cache_strategy.model.document import write_json, write_text
    from cache_strategy.report import render_html, render_markdown, render_pictures

    folder = work_folder_of(repo)
    if forecast:
        write_json(folder / "forecast.json", forecast)
    changes = make_changes(contract, evidence, repo)
    verdict = verdict if verdict is not None else verdict_file_of(repo)
    arguments = (evidence, contract, forecast, verdict, changes)
    for name, picture in render_pictures(contract, forecast, verdict).items():
        write_text(folder / "pictures" / name, picture)
    write_text(folder / "report.md", render_markdown(*arguments))
    write_text(folder / "report.html", render_html(*arguments))
    return {"report": str(folder / "report.md"), "html": str(folder / "report.html")}


def say_outdated(repo: Path, evidence: "Evidence") -> None:
    """A word when the evidence is of another commit than the one that is checked out."""
    from cache_strategy.profile.repository import commit_of

    now = commit_of(repo)
    if evidence.commit and now and now != evidence.commit:
        print(
            f"{repo / WORK / 'evidence.json'}: describes commit {evidence.commit[:7]}, the repository is at {now[:7]}. "
            f"Read it again: cache-strategy run {repo}",
            file=sys.stderr,
        )


def short_form_of(evidence: "Evidence") -> dict[str, Any]:
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


def lint_root_of(paths: list[Path], kind: str) -> Path:
    """
    What the paths of findings start from: the current folder, as people and code scanners want it.

    For programs, and where it lies elsewhere, the one folder that was named.
    """
    here = Path.cwd()
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0].resolve()
        if kind == "json" or not folder.is_relative_to(here):
            return folder
    return here


def words_in(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers_in(option: str, text: str) -> list[int | None]:
    try:
        numbers: list[int | None] = [int(item) for item in text.split(",") if item.strip()]
    except ValueError:
        raise CacheStrategyError(
            f"{option}: {text!r} is not a list of whole numbers; write for example 60,300."
        ) from None
    if any(n is not None and n <= 0 for n in numbers):
        raise CacheStrategyError(f"{option}: {text!r} has a number that is not above zero.")
    return numbers
